"""The layout of a PASCAL VOC devkit, as CVAT's "Segmentation mask 1.1" and Datumaro read it.

`SegmentationClass/NAME.png` are palette PNGs of class indices, `labelmap.txt` says what their colours mean,
`ImageSets/Segmentation/default.txt` lists the names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.errors import DataError
from tag2mask.masks_io.containers import Write
from tag2mask.masks_io.export_options import ExportOptions, stem_of
from tag2mask.masks_io.label_map import label_map
from tag2mask.masks_io.palette_png import encode_mask


class VocLayout:
    """Writes the files of a devkit."""

    contents = frozenset({"SegmentationClass", "ImageSets", "labelmap.txt"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._classes = options.classes
        self._names: list[str] = []
        for name in self._classes:
            if ":" in name or "#" in name:
                raise DataError(f"class name {name!r}: labelmap.txt cannot hold : or #; rename it")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask."""
        stem = stem_of(name)
        self._write(f"SegmentationClass/{stem}.png", encode_mask(mask, classes=len(self._classes)))
        # Quotes keep a name with spaces together for Datumaro and CVAT.
        self._names.append(f'"{stem}"' if any(character.isspace() for character in stem) else stem)

    def close(self) -> None:
        """Write the list of names and the label map."""
        self._write("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in self._names).encode())
        self._write("labelmap.txt", label_map(self._classes).encode())
