"""Run lengths in a table, as Kaggle writes them.

`ImageId,ClassId,EncodedPixels`: a line an object, pairs of first pixel and length, counted from 1 column by column. An
image without any class has one line with two empty cells.
"""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.formats.options import ExportOptions, Text
from tag2mask.masks.formats.regions import object_regions
from tag2mask.masks.run_lengths import run_lengths


class KaggleCsv:
    """Writes the table line by line."""

    def __init__(self, write: Text, options: ExportOptions) -> None:
        self._write = write
        self._options = options
        self._row("ImageId", "ClassId", "EncodedPixels")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the lines of one image."""
        found = False
        for index, region in object_regions(mask, len(self._options.classes), instances=self._options.instances):
            lengths = run_lengths(region.ravel(order="F"))
            starts = np.cumsum(lengths) - lengths + 1
            pairs = np.stack([starts[1::2], lengths[1::2]], axis=1).ravel()
            self._row(name, self._options.classes[index - 1], " ".join(map(str, pairs.tolist())))
            found = True
        if not found:
            self._row(name, "", "")

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _row(self, *cells: str) -> None:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(cells)
        self._write(out.getvalue())
