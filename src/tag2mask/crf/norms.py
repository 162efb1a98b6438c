"""Kernels that filter a constant, from which normalisation follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import get, put

_ONE = np.float32(1)
_TINY = np.float32(1e-20)


@kernel
def add_at(nodes: Any, node: int, value: Any) -> None:
    """Add to one node."""
    put(nodes, node, get(nodes, node) + value)


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
        add_at(nodes, get(corners, 6 * g), w0)
        add_at(nodes, get(corners, 6 * g + 1), w1)
        add_at(nodes, get(corners, 6 * g + 2), w2)
        add_at(nodes, get(corners, 6 * g + 3), w3)
        add_at(nodes, get(corners, 6 * g + 4), w4)
        add_at(nodes, get(corners, 6 * g + 5), w5)


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
        add_at(nodes, get(corners, i), get(weights, i))


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
def normalise_grouped(starts: Any, corners: Any, weights: Any, nodes: Any, again: Any) -> None:
    """Read `nodes` (V,) at all pixels, divide their weights by the root, and add these to `again` (V,)."""
    zero = np.float32(0)
    for g in range(starts.shape[0] - 1):
        v0 = get(nodes, get(corners, 6 * g))
        v1 = get(nodes, get(corners, 6 * g + 1))
        v2 = get(nodes, get(corners, 6 * g + 2))
        v3 = get(nodes, get(corners, 6 * g + 3))
        v4 = get(nodes, get(corners, 6 * g + 4))
        v5 = get(nodes, get(corners, 6 * g + 5))
        s0 = s1 = s2 = s3 = s4 = s5 = zero
        for p in range(get(starts, g), get(starts, g + 1)):
            w0, w1, w2 = get(weights, 6 * p), get(weights, 6 * p + 1), get(weights, 6 * p + 2)
            w3, w4, w5 = get(weights, 6 * p + 3), get(weights, 6 * p + 4), get(weights, 6 * p + 5)
            norm = (w0 * v0 + w1 * v1 + w2 * v2) + (w3 * v3 + w4 * v4 + w5 * v5)
            factor = _ONE / np.sqrt(norm + _TINY)
            w0, w1, w2 = w0 * factor, w1 * factor, w2 * factor
            w3, w4, w5 = w3 * factor, w4 * factor, w5 * factor
            put(weights, 6 * p, w0)
            put(weights, 6 * p + 1, w1)
            put(weights, 6 * p + 2, w2)
            put(weights, 6 * p + 3, w3)
            put(weights, 6 * p + 4, w4)
            put(weights, 6 * p + 5, w5)
            s0, s1, s2 = s0 + w0, s1 + w1, s2 + w2
            s3, s4, s5 = s3 + w3, s4 + w4, s5 + w5
        add_at(again, get(corners, 6 * g), s0)
        add_at(again, get(corners, 6 * g + 1), s1)
        add_at(again, get(corners, 6 * g + 2), s2)
        add_at(again, get(corners, 6 * g + 3), s3)
        add_at(again, get(corners, 6 * g + 4), s4)
        add_at(again, get(corners, 6 * g + 5), s5)


@kernel
def normalise_planar(corners: Any, weights: Any, nodes: Any, again: Any) -> None:
    """As `normalise_grouped`; corners and weights (3 N,)."""
    for i in range(0, corners.shape[0], 3):
        c0, c1, c2 = get(corners, i), get(corners, i + 1), get(corners, i + 2)
        w0, w1, w2 = get(weights, i), get(weights, i + 1), get(weights, i + 2)
        norm = w0 * get(nodes, c0) + w1 * get(nodes, c1) + w2 * get(nodes, c2)
        factor = _ONE / np.sqrt(norm + _TINY)
        w0, w1, w2 = w0 * factor, w1 * factor, w2 * factor
        put(weights, i, w0)
        put(weights, i + 1, w1)
        put(weights, i + 2, w2)
        add_at(again, c0, w0)
        add_at(again, c1, w1)
        add_at(again, c2, w2)
