"""Bilinear resizing of maps with pixel centres at half integers (`align_corners=False`)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def resize_maps(maps: Array, size: tuple[int, int]) -> Array:
    """Resize maps (K, h, w) to (K, *size)."""
    if maps.shape[1:] == size:
        return maps
    resized = np.empty((len(maps), *size), dtype=np.float32)
    for source, target in zip(maps, resized, strict=True):
        cv2.resize(np.ascontiguousarray(source), size[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return resized


def average_maps(maps: Array, size: tuple[int, int]) -> Array:
    """Reduce maps (K, h, w) to (K, *size) by averaging over areas, which keeps their sums over K."""
    reduced = [cv2.resize(np.ascontiguousarray(one), size[::-1], interpolation=cv2.INTER_AREA) for one in maps]
    return np.stack(reduced).astype(np.float32)


def resize_window(maps: Array, size: tuple[int, int], rows: slice, columns: slice) -> Array:
    """A window of `resize_maps(maps, size)`, computed without the rest of it (OpenCV resizes whole maps only).

    Args:
        maps: (K, h, w).
        size: (H, W) of the whole.
        rows: of the window, with start and stop.
        columns: of the window, with start and stop.

    Returns:
        (K, rows, columns).
    """
    low, high, share = _neighbours(maps.shape[1], size[0], rows)
    along = maps[:, low] * (1 - share)[:, None] + maps[:, high] * share[:, None]
    low, high, share = _neighbours(maps.shape[2], size[1], columns)
    return np.asarray(along[:, :, low] * (1 - share) + along[:, :, high] * share, dtype=np.float32)


def _neighbours(
    source: int, target: int, window: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = (np.arange(window.start, window.stop) + 0.5) * (source / target) - 0.5
    position = np.clip(position, 0, source - 1)
    low = position.astype(np.intp)
    return low, np.minimum(low + 1, source - 1), (position - low).astype(np.float32)
