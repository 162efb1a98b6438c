"""Tables and boxes: run lengths as Kaggle writes them, and YOLO's label files of boxes.

`ImageId,ClassId,EncodedPixels`: a line an object, pairs of first pixel and length, counted from 1 column by column. An
image without any class has one line with two empty cells.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import yaml
from numpy.typing import NDArray

from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, Text, stem_of
from tag2mask.masks.formats.regions import object_regions, part_boxes
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


class YoloBoxes:
    """Writes `labels/NAME.txt` with a box for each connected part, and `data.yaml`; the images belong in `images/`."""

    contents = frozenset({"labels", "data.yaml"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._options = options

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the boxes of one image; background alone gives an empty file."""
        height, width = mask.shape
        lines = []
        for index, (left, top, wide, high), _ in part_boxes(mask, len(self._options.classes)):
            values = ((left + wide / 2) / width, (top + high / 2) / height, wide / width, high / height)
            lines.append(f"{index - 1} {' '.join(f'{value:.8f}' for value in values)}\n")
        self._write(f"labels/{stem_of(name)}.txt", "".join(lines).encode())

    def close(self) -> None:
        """Write data.yaml."""
        names = dict(enumerate(self._options.classes))
        text = yaml.safe_dump({"train": "images", "val": "images", "names": names}, allow_unicode=True, sort_keys=False)
        note = "# Images belong in images/, beside labels/, with the same names. Choose a val set of your own.\n"
        self._write("data.yaml", (note + text).encode())
