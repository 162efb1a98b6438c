"""A reader, an exporter and a backbone for tag2mask."""
