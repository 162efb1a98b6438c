"""Image files: decoding as displayed, the files of a folder by name, decoded copies."""
