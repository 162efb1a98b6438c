"""Kernels that filter a constant, from which normalisation follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import get, put

_TINY = np.float32(1e-20)


@kernel
def splat_ones_grouped(starts: Any, corners: Any, weights: Any, nodes: Any) -> None:
    """Add the weights of all pixels to `nodes` (V,); corners (6 G,), weights (6 N,)."""
    for g in range(starts.shape[0] - 1):
        w0 = w1 = w2 = w3 = w4 = w5 = np.float32(0)
        for p in range(get(starts, g), get(starts, g + 1)):
            w0 += get(weights, 6 * p)
            w1 += get(weights, 6 * p + 1)
            w2 += get(weights, 6 * p + 2)
            w3 += get(weights, 6 * p + 3)
            w4 += get(weights, 6 * p + 4)
            w5 += get(weights, 6 * p + 5)
        node = get(corners, 6 * g)
        put(nodes, node, get(nodes, node) + w0)
        node = get(corners, 6 * g + 1)
        put(nodes, node, get(nodes, node) + w1)
        node = get(corners, 6 * g + 2)
        put(nodes, node, get(nodes, node) + w2)
        node = get(corners, 6 * g + 3)
        put(nodes, node, get(nodes, node) + w3)
        node = get(corners, 6 * g + 4)
        put(nodes, node, get(nodes, node) + w4)
        node = get(corners, 6 * g + 5)
        put(nodes, node, get(nodes, node) + w5)


@kernel
def slice_grouped(starts: Any, corners: Any, weights: Any, nodes: Any, out: Any) -> None:
    """Read `nodes` (V,) at all pixels into `out` (N,)."""
    for g in range(starts.shape[0] - 1):
        v0 = get(nodes, get(corners, 6 * g))
        v1 = get(nodes, get(corners, 6 * g + 1))
        v2 = get(nodes, get(corners, 6 * g + 2))
        v3 = get(nodes, get(corners, 6 * g + 3))
        v4 = get(nodes, get(corners, 6 * g + 4))
        v5 = get(nodes, get(corners, 6 * g + 5))
        for p in range(get(starts, g), get(starts, g + 1)):
            a = get(weights, 6 * p) * v0 + get(weights, 6 * p + 1) * v1 + get(weights, 6 * p + 2) * v2
            b = get(weights, 6 * p + 3) * v3 + get(weights, 6 * p + 4) * v4 + get(weights, 6 * p + 5) * v5
            put(out, p, a + b)


@kernel
def splat_ones(corners: Any, weights: Any, nodes: Any) -> None:
    """Add weights to `nodes` (V,); corners and weights (3 N,)."""
    for i in range(corners.shape[0]):
        node = get(corners, i)
        put(nodes, node, get(nodes, node) + get(weights, i))


@kernel
def slice_planar(corners: Any, weights: Any, nodes: Any, out: Any) -> None:
    """Read `nodes` (V,) at all pixels into `out` (N,); corners and weights (3 N,)."""
    for p in range(out.shape[0]):
        i = 3 * p
        a = get(weights, i) * get(nodes, get(corners, i))
        b = get(weights, i + 1) * get(nodes, get(corners, i + 1))
        c = get(weights, i + 2) * get(nodes, get(corners, i + 2))
        put(out, p, a + b + c)


@kernel
def normalise(weights: Any, norm: Any) -> None:
    """Divide the weights of each pixel by the root of `norm` (N,)."""
    each = weights.shape[0] // norm.shape[0]
    for p in range(norm.shape[0]):
        factor = np.float32(1) / np.sqrt(get(norm, p) + _TINY)
        for j in range(each):
            i = p * each + j
            put(weights, i, get(weights, i) * factor)
