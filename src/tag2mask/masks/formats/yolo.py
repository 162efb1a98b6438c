"""YOLO: a text file per image, a line per part of a class, and data.yaml; outlines (YOLO-seg) or boxes.

A line of YOLO-seg is the class (from 0, background not counted) and the vertices x y, divided by width and height.
Vertices are pixels on the outline: readers multiply by the size, make whole numbers of the result and fill with
`cv2.fillPoly`, which adds the outline, and so get the pixels back. Ultralytics cuts off the fraction, others round; the
column c is written as c + 0.25, which gives c either way, also after rounding errors.

Ultralytics drops without notice a second line of the same class with the same bounding box, and a line whose bounding
box has no area: see `_line`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import yaml
from numpy.typing import NDArray

from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, stem_of
from tag2mask.masks.formats.regions import part_boxes
from tag2mask.masks.polygons import Ring, centre_polygons
from tag2mask.masks.run_lengths import class_regions

_OFFSET = 0.25
_LEAST, _MOST = 0.05, 0.45
"""Offsets from a pixel that are surely cut off and rounded to it."""


class _YoloFiles:
    """Writes `labels/NAME.txt` and `data.yaml`; the images belong in `images/`."""

    contents = frozenset({"labels", "data.yaml"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._options = options

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the labels of one image; background alone gives an empty file."""
        lines = "".join(f"{index - 1} {values}\n" for index, values in self._labels(mask))
        self._write(f"labels/{stem_of(name)}.txt", lines.encode())

    def close(self) -> None:
        """Write data.yaml."""
        names = dict(enumerate(self._options.classes))
        text = yaml.safe_dump({"train": "images", "val": "images", "names": names}, allow_unicode=True, sort_keys=False)
        note = "# Images belong in images/, beside labels/, with the same names. Choose a val set of your own.\n"
        self._write("data.yaml", (note + text).encode())

    def _labels(self, mask: NDArray[np.uint8]) -> Iterator[tuple[int, str]]:
        """Class index and numbers of each line of one image."""
        raise NotImplementedError


class YoloSeg(_YoloFiles):
    """A line for each outline."""

    def _labels(self, mask: NDArray[np.uint8]) -> Iterator[tuple[int, str]]:
        for index, region in class_regions(mask, len(self._options.classes)):
            seen: dict[tuple[int, ...], int] = {}
            for polygon in centre_polygons(region, self._options.tolerance):
                box = (*polygon.min(axis=0).tolist(), *polygon.max(axis=0).tolist())
                seen[box] = seen.get(box, -1) + 1
                yield index, _line(polygon, mask.shape, seen[box])


class YoloBoxes(_YoloFiles):
    """A line with the box of each connected part: centre and size, divided by width and height."""

    def _labels(self, mask: NDArray[np.uint8]) -> Iterator[tuple[int, str]]:
        height, width = mask.shape
        for index, (left, top, wide, high), _ in part_boxes(mask, len(self._options.classes)):
            values = ((left + wide / 2) / width, (top + high / 2) / height, wide / width, high / height)
            yield index, " ".join(f"{value:.8f}" for value in values)


def _line(polygon: Ring, shape: tuple[int, ...], repeated: int) -> str:
    """Vertices as text.

    A part of one pixel's width or height becomes a narrow rectangle inside its pixels, so that it has an area.
    `repeated` parts of the same class and bounding box came before: a shift of a hundredth of a pixel each,
    which changes no pixel, makes the boxes differ.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if (low == high).any():
        (left, top), (right, bottom) = low + _LEAST, high + _MOST
        vertices = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    else:
        # A diagonal has two vertices; less than three would be read as a box.
        closed = polygon if len(polygon) > 2 else np.concatenate([polygon, polygon[:1]])
        vertices = closed + _LEAST + (_OFFSET - _LEAST + 0.01 * repeated) % (_MOST - _LEAST)
    values = (vertices / np.array([shape[1], shape[0]])).ravel()
    return " ".join(f"{value:.8f}".rstrip("0") for value in values.tolist())
