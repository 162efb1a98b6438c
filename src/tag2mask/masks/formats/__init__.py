"""Formats of annotation and training tools, one file a format."""
