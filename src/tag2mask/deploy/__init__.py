"""Masks over HTTP, and of huge datasets on many machines."""
