"""Kernels that filter a constant, from which normalisation follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel

_TINY = np.float32(1e-20)


@kernel
def splat_ones_grouped(starts: Any, corners: Any, weights: Any, nodes: Any) -> None:
    """Add the weights of all pixels to `nodes` (V,); corners (6 G,), weights (6 N,)."""
    for g in range(starts.shape[0] - 1):
        w0 = w1 = w2 = w3 = w4 = w5 = np.float32(0)
        for p in range(starts[g], starts[g + 1]):
            w0 += weights[6 * p]
            w1 += weights[6 * p + 1]
            w2 += weights[6 * p + 2]
            w3 += weights[6 * p + 3]
            w4 += weights[6 * p + 4]
            w5 += weights[6 * p + 5]
        nodes[corners[6 * g]] += w0
        nodes[corners[6 * g + 1]] += w1
        nodes[corners[6 * g + 2]] += w2
        nodes[corners[6 * g + 3]] += w3
        nodes[corners[6 * g + 4]] += w4
        nodes[corners[6 * g + 5]] += w5


@kernel
def slice_grouped(starts: Any, corners: Any, weights: Any, nodes: Any, out: Any) -> None:
    """Read `nodes` (V,) at all pixels into `out` (N,)."""
    for g in range(starts.shape[0] - 1):
        v0 = nodes[corners[6 * g]]
        v1 = nodes[corners[6 * g + 1]]
        v2 = nodes[corners[6 * g + 2]]
        v3 = nodes[corners[6 * g + 3]]
        v4 = nodes[corners[6 * g + 4]]
        v5 = nodes[corners[6 * g + 5]]
        for p in range(starts[g], starts[g + 1]):
            a = weights[6 * p] * v0 + weights[6 * p + 1] * v1 + weights[6 * p + 2] * v2
            b = weights[6 * p + 3] * v3 + weights[6 * p + 4] * v4 + weights[6 * p + 5] * v5
            out[p] = a + b


@kernel
def splat_ones(corners: Any, weights: Any, nodes: Any) -> None:
    """Add weights to `nodes` (V,); corners and weights (3 N,)."""
    for i in range(corners.shape[0]):
        nodes[corners[i]] += weights[i]


@kernel
def slice_planar(corners: Any, weights: Any, nodes: Any, out: Any) -> None:
    """Read `nodes` (V,) at all pixels into `out` (N,); corners and weights (3 N,)."""
    for p in range(out.shape[0]):
        i = 3 * p
        out[p] = (
            weights[i] * nodes[corners[i]]
            + weights[i + 1] * nodes[corners[i + 1]]
            + weights[i + 2] * nodes[corners[i + 2]]
        )


@kernel
def normalise(weights: Any, norm: Any) -> None:
    """Divide the weights of each pixel by the root of `norm` (N,)."""
    each = weights.shape[0] // norm.shape[0]
    for p in range(norm.shape[0]):
        factor = np.float32(1) / np.sqrt(norm[p] + _TINY)
        for j in range(each):
            weights[p * each + j] *= factor
