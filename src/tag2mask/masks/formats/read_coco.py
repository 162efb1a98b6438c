"""Masks from COCO JSON, as annotation tools give them back: polygons and run lengths onto pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND

MAX_PIXELS = 110_000_000


class CocoMaskError(ValueError):
    """An annotation that makes no sense; the message says why."""


def coco_mask(
    size: tuple[int, int], annotations: Sequence[dict[str, Any]], indices: dict[Any, int]
) -> NDArray[np.uint8]:
    """Draw the annotations of one image, later ones over earlier ones.

    Args:
        size: (H, W) of the image.
        annotations: of COCO, each with `category_id` and `segmentation`.
        indices: class index of each category id.

    Returns:
        (H, W) uint8 class indices, 0 where nothing is annotated.

    Raises:
        CocoMaskError: a size or a segmentation that makes no sense.
    """
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise CocoMaskError(f"an image of {size[1]} x {size[0]} pixels")
    mask = np.full(size, BACKGROUND, dtype=np.uint8)
    for annotation in annotations:
        region = _region(annotation.get("segmentation"), size)
        mask[region] = indices[annotation["category_id"]]
    return mask


def _region(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, list):
        return _polygons(segmentation, size)
    if not isinstance(segmentation, dict):
        raise CocoMaskError("a segmentation that is neither polygons nor run lengths; export masks, not boxes alone")
    if segmentation.get("size") != [size[0], size[1]]:
        raise CocoMaskError(f"run lengths of size {segmentation.get('size')!r} on an image of {[size[0], size[1]]}")
    counts = segmentation.get("counts")
    lengths = list(_uncompressed(counts)) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(type(length) is int and length >= 0 for length in lengths):
        raise CocoMaskError("run lengths that are not numbers from 0 up")
    if sum(lengths) != size[0] * size[1]:
        raise CocoMaskError(f"run lengths that add up to {sum(lengths)} pixels instead of {size[0] * size[1]}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size, order="F")


def _polygons(polygons: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """What lies within any of the polygons, whose corners lie on pixels' corners."""
    region = np.zeros(size, dtype=bool)
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            raise CocoMaskError("a polygon that is not a list of x, y, x, y, ...") from None
        if len(corners) < 3 or not np.isfinite(corners).all():
            raise CocoMaskError("a polygon of fewer than 3 corners, or with corners that are not numbers")
        if np.abs(corners).max() > 1e6:
            raise CocoMaskError("a polygon that lies far outside its image")
        region |= _filled(corners, size)
    return region


def _filled(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (H, W) whose centres lie within a polygon (N, 2) of x, y, by the even-odd rule."""
    turns = np.zeros((size[0], size[1] + 1), dtype=np.uint8)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        low, high = min(y0, y1), max(y0, y1)
        rows = np.arange(max(0, math.ceil(low - 0.5)), min(size[0], math.ceil(high - 0.5)))
        crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        turns[rows, np.clip(np.ceil(crossings - 0.5), 0, size[1]).astype(np.intp)] ^= 1
    return np.asarray(np.bitwise_xor.accumulate(turns, axis=1)[:, :-1], dtype=bool)


def _uncompressed(text: str) -> Iterator[int]:
    """Run lengths of COCO's compressed text: 5 bits a character; from the fourth on, less the one before last."""
    before: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position >= len(text) or shift > 60:
                raise CocoMaskError("compressed run lengths that are cut off")
            bits = ord(text[position]) - 48
            if not 0 <= bits < 64:
                raise CocoMaskError("compressed run lengths with characters that do not belong there")
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            position += 1
            shift += 5
            if not more and bits & 16:
                value -= 1 << shift
        if len(before) > 2:
            value += before[-2]
        before.append(value)
        yield value
