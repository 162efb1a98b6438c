"""What an export writes as one object: a class of an image, or each connected part of it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND
from tag2mask.masks.run_lengths import class_regions

CONNECTIVITY = 8
"""Pixels that touch at a corner are of one part, as in `tag2mask.masks.polygons`."""


def object_regions(
    mask: NDArray[np.uint8], classes: int, *, instances: bool
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The regions that are one object each, in order of class index.

    Args:
        mask: uint8 (H, W) class indices.
        classes: number of classes without background.
        instances: each connected part of a class is an object; else the whole class is one.

    Yields:
        Class index, and (H, W) bool.
    """
    for index, region in class_regions(mask, classes):
        if not instances:
            yield index, region
            continue
        count, parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=CONNECTIVITY)
        for part in range(1, count):
            yield index, parts == part


def part_boxes(mask: NDArray[np.uint8], classes: int) -> Iterator[tuple[int, tuple[int, int, int, int], int]]:
    """Class index, box (left, top, width, height) and number of pixels of each connected part."""
    for index, region in class_regions(mask, classes):
        count, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=CONNECTIVITY)
        for left, top, width, height, area in stats[1:count].tolist():
            yield index, (left, top, width, height), area


def without_small_parts(mask: NDArray[np.uint8], classes: int, least: int) -> tuple[NDArray[np.uint8], int]:
    """The mask with background in place of the connected parts of fewer than `least` pixels, and their number."""
    if least <= 1:
        return mask, 0
    kept, dropped = mask.copy(), 0
    for _, region in class_regions(mask, classes):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=CONNECTIVITY)
        small = np.zeros(count, np.bool_)
        small[1:] = stats[1:, cv2.CC_STAT_AREA] < least
        kept[small[parts]] = BACKGROUND
        dropped += int(small.sum())
    return kept, dropped
