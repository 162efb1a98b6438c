"""Sources of tags, one file a format."""
