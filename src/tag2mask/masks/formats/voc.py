"""The layout of a PASCAL VOC devkit, as CVAT's "Segmentation mask 1.1" and Datumaro read it.

`SegmentationClass/NAME.png` are palette PNGs of class indices, `labelmap.txt` says what their colours mean,
`ImageSets/Segmentation/default.txt` lists the names. With instances, `SegmentationObject/NAME.png` numbers the
connected parts of all classes from 1. Undecided pixels stay 255; where there are any, `labelmap.txt` names their
colour `undecided`, because Datumaro refuses masks with a colour that is not declared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, stem_of
from tag2mask.masks.formats.regions import object_regions
from tag2mask.masks.label_map import UNDECIDED, label_map
from tag2mask.masks.palette_png import encode_mask


class VocLayout:
    """Writes the files of a devkit."""

    contents = frozenset({"SegmentationClass", "SegmentationObject", "ImageSets", "labelmap.txt"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._classes = options.classes
        self._instances = options.instances
        self._names: list[str] = []
        self._undecided = False
        if UNDECIDED in self._classes:
            raise DataError(f"class name {UNDECIDED!r}: labelmap.txt uses it for the value 255; rename the class")
        for name in self._classes:
            if ":" in name or "#" in name:
                raise DataError(f"class name {name!r}: labelmap.txt cannot hold : or # in a name; rename the class")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask."""
        stem = stem_of(name)
        self._undecided = self._undecided or bool((mask == IGNORE_INDEX).any())
        self._write(f"SegmentationClass/{stem}.png", encode_mask(mask, classes=len(self._classes)))
        if self._instances:
            self._write(f"SegmentationObject/{stem}.png", encode_mask(_numbered(mask, len(self._classes), name)))
        self._names.append(stem)

    def close(self) -> None:
        """Write the list of names and the label map."""
        self._write("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in self._names).encode())
        self._write("labelmap.txt", label_map(self._classes, undecided=self._undecided).encode())


def _numbered(mask: NDArray[np.uint8], classes: int, name: str) -> NDArray[np.uint8]:
    numbers = np.where(mask == IGNORE_INDEX, IGNORE_INDEX, 0).astype(np.uint8)
    for number, (_, region) in enumerate(object_regions(mask, classes, instances=True), start=1):
        if number >= IGNORE_INDEX:
            raise DataError(f"{name}: more than {IGNORE_INDEX - 1} parts, which 8 bits cannot number; raise `min_area`")
        numbers[region] = number
    return numbers
