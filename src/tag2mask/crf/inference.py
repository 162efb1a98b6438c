"""Mean-field inference in the fully connected CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.lattice import Lattice

Floats = NDArray[np.float32]


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
    labels = probs.shape[0]
    logits = np.log(np.clip(probs.reshape(labels, -1)[:, lattice.pixels].T, 1e-5, 1.0))
    q = _softmax(logits)
    for _ in range(iterations):
        messages = bilateral_weight * lattice.filter(q) + gaussian_weight * lattice.grid.filter(q)
        q = _softmax(logits + messages)
    out = np.empty_like(probs.reshape(labels, -1))
    out[:, lattice.pixels] = q.T
    return out.reshape(probs.shape)


def dense_crf_batch(
    images: Sequence[NDArray[np.uint8]], probs: Sequence[Floats], *, threads: int = 1, **settings: object
) -> list[Floats]:
    """Run `dense_crf` over many images."""
    return [dense_crf(i, p, **settings) for i, p in zip(images, probs, strict=True)]  # type: ignore[arg-type]


def _softmax(logits: Floats) -> Floats:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Floats = e / e.sum(axis=1, keepdims=True)
    return out
