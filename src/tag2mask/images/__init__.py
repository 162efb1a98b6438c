"""Image files: decoding as displayed, the files of a folder by name, a cache of decoded images."""
