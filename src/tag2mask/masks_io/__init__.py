"""Reading and writing masks, one file per format."""

from tag2mask.masks_io.label_map import write_label_map
from tag2mask.masks_io.palette_png import mask_path, read_mask, voc_colours, write_mask

__all__ = ["mask_path", "read_mask", "voc_colours", "write_label_map", "write_mask"]
