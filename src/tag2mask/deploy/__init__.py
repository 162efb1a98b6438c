"""Masks over HTTP and of huge datasets."""
