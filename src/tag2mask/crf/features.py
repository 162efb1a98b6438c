"""Features of pixels for lattices with explicit features: positions and colours over their standard deviations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEAST_DEVIATION = 1e-4
"""Smaller standard deviations of positions and grey levels count as this: being whole numbers, different ones lie
10,000 standard deviations apart then, and share nothing in any lattice."""


def position_features(size: tuple[int, int], sigma: Sequence[float]) -> Floats:
    """Positions of the pixels of an image of `size` (H, W), row by row.

    Args:
        size: height and width.
        sigma: standard deviations of x and y in pixels.

    Returns:
        float32 (2, H * W): x and y, divided by their standard deviations.
    """
    x_sigma, y_sigma = np.maximum(sigma, LEAST_DEVIATION)
    features = np.empty((2, *size), np.float32)
    features[0] = np.arange(size[1]) / x_sigma
    features[1] = (np.arange(size[0]) / y_sigma)[:, None]
    return features.reshape(2, -1)


def bilateral_features(image: NDArray[np.uint8], sigma: Sequence[float]) -> Floats:
    """Positions and colours of the pixels of an image, row by row.

    Args:
        image: uint8 (H, W, 3).
        sigma: standard deviations of x, y, red, green and blue.

    Returns:
        float32 (5, H * W).
    """
    deviations = np.maximum(np.array(sigma[2:], np.float32), np.float32(LEAST_DEVIATION))
    features = np.empty((5, image.shape[0] * image.shape[1]), np.float32)
    features[:2] = position_features((image.shape[0], image.shape[1]), sigma[:2])
    np.divide(image.reshape(-1, 3).T, deviations[:, None], out=features[2:])
    return features
