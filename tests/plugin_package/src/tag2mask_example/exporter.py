"""Writes a table of areas: image, class, share of the image's pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.formats.options import ExportOptions
from tag2mask.masks.plugins import FileExporter


class AreaTable:
    """Writes the table line by line; masks come one at a time."""

    def __init__(self, write: Callable[[str], object], options: ExportOptions) -> None:
        self.write, self.classes = write, options.classes
        write("image,class,share\n")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the lines of one image: a mask is (H, W) class indices, 0 background, 255 undecided."""
        for index, class_name in enumerate(self.classes, start=1):
            if share := float((mask == index).mean()):
                self.write(f"{name},{class_name},{share:.4f}\n")

    def close(self) -> None:
        """Write what comes after the last mask: nothing."""


AREAS = FileExporter(writer=AreaTable, suffix=".csv")
