"""Reading and writing masks: palette PNGs, confidence maps, and the formats of annotation and training tools."""

from tag2mask.masks.confidence_png import read_confidence, write_confidence
from tag2mask.masks.export import FORMATS, export_records
from tag2mask.masks.label_map import write_label_map
from tag2mask.masks.palette_png import mask_path, read_mask, voc_colours, write_mask

__all__ = [
    "FORMATS",
    "export_records",
    "mask_path",
    "read_confidence",
    "read_mask",
    "voc_colours",
    "write_confidence",
    "write_label_map",
    "write_mask",
]
