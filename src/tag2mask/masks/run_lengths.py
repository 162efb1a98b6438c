"""Lengths of runs, the common ground of COCO's, CVAT's and Label Studio's encodings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_lengths(values: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs of equal values.

    Args:
        values: (N,) bool, N > 0.

    Returns:
        int64, false first: where the first value is true, the first length is 0. They sum to N.
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [values.size]]))
    return np.concatenate([[0], lengths]) if values[0] else lengths


def bounding_box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the true pixels of a (H, W) region, which has at least one."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def class_regions(mask: NDArray[np.uint8], count: int) -> list[tuple[int, NDArray[Any]]]:
    """The classes with a pixel in a mask, in order of index, each with its (H, W) bool region.

    Background and `IGNORE_INDEX` are left out.

    Args:
        mask: uint8 (H, W) class indices.
        count: number of classes without background.
    """
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[1 : count + 1]) + 1
    return [(int(index), mask == index) for index in present]
