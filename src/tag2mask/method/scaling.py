"""Maps scaled to [0, 1]."""

from __future__ import annotations

import numpy as np

from tag2mask.method.resize import Array

EPSILON = np.float32(1e-6)


def min_max(maps: Array) -> Array:
    """Scale each map (..., H, W) to [0, 1] by its own minimum and maximum; a constant map becomes 0."""
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    scaled: Array = (maps - low) / np.maximum(span, EPSILON)
    return scaled
