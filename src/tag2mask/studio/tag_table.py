"""The file `tags.csv` of a project: a line an image of which something is known, a column a class; 1, 0 or nothing."""

from tag2mask.data.tag_table import States, read_tags, tags_text

__all__ = ["States", "read_tags", "tags_text"]
