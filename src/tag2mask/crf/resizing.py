"""Resizing of class planes, for inference at a smaller size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.compiling import kernel

Floats = NDArray[np.float32]


def resize(planes: Floats, height: int, width: int) -> Floats:
    """Resize by linear interpolation between pixel centres, with an averaging (triangle) filter when shrinking.

    Every output value is a weighted average of input values, so planes that sum to 1 still do.

    Args:
        planes: float32 (C, H, W).
        height, width: size of the output.

    Returns:
        float32 (C, height, width).
    """
    rows = _taps(planes.shape[1], height)
    columns = _taps(planes.shape[2], width)
    out = np.empty((planes.shape[0], height, width), np.float32)
    resample(planes, *rows, *columns, out)
    return out


def _taps(size: int, wanted: int) -> tuple[NDArray[np.int64], Floats]:
    """First input index, int64 (wanted,), and weights, float32 (wanted, taps), of each output index."""
    ratio = size / wanted
    support = max(1.0, ratio)
    centre = (np.arange(wanted) + 0.5) * ratio - 0.5
    taps = min(size, int(np.ceil(2 * support)) + 1)
    first = np.clip(np.ceil(centre - support), 0, size - taps).astype(np.int64)
    distance = np.abs(first[:, None] + np.arange(taps) - centre[:, None])
    weights = np.maximum(0.0, 1 - distance / support)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


@kernel
def resample(planes: Any, y_first: Any, y_weights: Any, x_first: Any, x_weights: Any, out: Any) -> None:
    """Separable resampling, first along y, then along x. `*_first` and `*_weights` come from `_taps`."""
    line = np.empty(planes.shape[2], np.float32)
    for c in range(planes.shape[0]):
        for y in range(out.shape[1]):
            line[:] = 0
            for t in range(y_weights.shape[1]):
                weight = y_weights[y, t]
                if weight > 0:
                    row = planes[c, y_first[y] + t]
                    for x in range(line.shape[0]):
                        line[x] += weight * row[x]
            for x in range(out.shape[2]):
                total = np.float32(0)
                for t in range(x_weights.shape[1]):
                    total += x_weights[x, t] * line[x_first[x] + t]
                out[c, y, x] = total
