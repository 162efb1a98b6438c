"""A page in the browser: a project from untagged images to masks."""
