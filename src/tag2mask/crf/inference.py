"""Mean-field inference in the fully connected CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import layout, meanfield
from tag2mask.crf.lattice import Lattice

Floats = NDArray[np.float32]

FLOOR = 1e-5
"""Probabilities below this count as this, so that the logarithm stays finite."""
_WIDE = (0.0,) * 16


def dense_crf(
    image: NDArray[np.uint8],
    probs: Floats,
    *,
    iterations: int = 10,
    gaussian_weight: float = 3.0,
    gaussian_xy: float = 3.0,
    bilateral_weight: float = 5.0,
    bilateral_xy: float = 50.0,
    bilateral_rgb: float = 10.0,
    prune: float = 0.0,
    scale: float = 1.0,
    lattice: Lattice | None = None,
) -> Floats:
    """Sharpen class probabilities along the edges of an image.

    Args:
        image: uint8 (H, W, 3), RGB.
        probs: float32 (K, H, W), sums to 1 over K.

    Returns:
        float32 (K, H, W), the marginals Q; sums to 1 over K.
    """
    if lattice is None:
        lattice = Lattice(
            image, gaussian_xy=gaussian_xy, bilateral_xy=bilateral_xy, bilateral_rgb=bilateral_rgb
        )
    return mean_field(
        lattice,
        probs.reshape(len(probs), -1),
        floor=FLOOR,
        iterations=iterations,
        near_weight=gaussian_weight,
        far_weight=bilateral_weight,
    ).reshape(probs.shape)


def mean_field(
    lattice: Lattice, scores: Floats, *, floor: float, iterations: int, near_weight: float, far_weight: float
) -> Floats:
    """Run the iterations.

    Args:
        lattice: the lattice of the image.
        scores: float32 (K, N): probabilities where `floor` > 0, else log-probabilities.
        floor: least probability; 0 for log-probabilities.

    Returns:
        float32 (K, N), the marginals.
    """
    classes, count = scores.shape
    full, tail = _chunks(classes - 1)
    lanes = 16 * full + len(tail)
    bias = np.float32(far_weight) * lattice.far_sum + np.float32(near_weight) * lattice.near_sum
    unary = _aligned(count * lanes)
    greatest = layout.pack(
        _WIDE, len(tail), full, scores, np.float32(floor), bias, lattice.pixels, lattice.tiles, unary
    )
    steep = bool(greatest + bias.max() > meanfield.LIMIT)
    near, near_out = (_aligned(lattice.near_count * lanes) for _ in range(2))
    far, far_out = (_aligned(lattice.far_count * lanes) for _ in range(2))
    buffer = _aligned(meanfield.BLOCK * lanes)
    shares = _aligned(meanfield.BLOCK * 2)
    out = np.empty_like(scores)
    lattices = (
        lattice.starts,
        lattice.far_corners,
        lattice.far_weights,
        lattice.near_corners,
        lattice.near_weights,
    )
    for i in range(iterations + 1):
        meanfield.sweep(
            _WIDE,
            tail,
            full,
            unary,
            bias,
            lattices,
            near,
            far,
            near_out,
            far_out,
            np.float32(near_weight),
            np.float32(far_weight),
            steep,
            i == 0,
            i == iterations,
            buffer,
            shares,
        )
        if i == iterations:
            break
        meanfield.blur(_WIDE, tail, full, near_out, lattice.near_links)
        meanfield.blur(_WIDE, tail, full, far_out, lattice.far_links)
        near, near_out, far, far_out = near_out, near, far_out, far
        near_out.fill(0)
        far_out.fill(0)
    layout.unpack(len(tail), full, unary, bias, lattice.pixels, lattice.tiles, out)
    return out


def _chunks(channels: int) -> tuple[int, tuple[float, ...]]:
    """Chunks of 16 lanes, and a tuple of as many zeros as the tail has lanes."""
    full = (channels - 1) // 16
    tail = channels - 16 * full
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16) if lanes >= tail)
    return full, (0.0,) * lanes


def _aligned(size: int) -> Floats:
    """Zeros, float32 (size,), that start at a cache line."""
    raw = np.zeros(size + 16, np.float32)
    start = -(raw.ctypes.data // 4) % 16
    return raw[start : start + size]


def dense_crf_batch(
    images: Sequence[NDArray[np.uint8]], probs: Sequence[Floats], *, threads: int = 1, **settings: object
) -> list[Floats]:
    """Run `dense_crf` over many images."""
    return [dense_crf(i, p, **settings) for i, p in zip(images, probs, strict=True)]  # type: ignore[arg-type]
