"""Kernels that filter a constant 1, which gives the normalisation D = diag(K 1).

Shapes: N pixels, G groups of pixels in one simplex, V lattice vertices. `values` and `splatted`, float32 (V,), hold
values at the vertices. Bilateral lattice: `starts` int32 (G + 1,), `corners` int32 (6 G,), barycentric `weights`
float32 (6 N,). Gaussian lattice: `corners` and `weights` (3 N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.simd import get, put

_ONE = np.float32(1)
_TINY = np.float32(1e-20)


@part
def add_to(values: Any, vertex: int, value: Any) -> None:
    """Add to the value at one vertex."""
    put(values, vertex, get(values, vertex) + value)


@kernel
def splat_ones_grouped(starts: Any, corners: Any, weights: Any, values: Any) -> None:
    """Splat a constant 1 into the bilateral lattice."""
    for g in range(starts.shape[0] - 1):
        w0 = w1 = w2 = w3 = w4 = w5 = np.float32(0)
        for p in range(get(starts, g), get(starts, g + 1)):
            w0 += get(weights, 6 * p)
            w1 += get(weights, 6 * p + 1)
            w2 += get(weights, 6 * p + 2)
            w3 += get(weights, 6 * p + 3)
            w4 += get(weights, 6 * p + 4)
            w5 += get(weights, 6 * p + 5)
        add_to(values, get(corners, 6 * g), w0)
        add_to(values, get(corners, 6 * g + 1), w1)
        add_to(values, get(corners, 6 * g + 2), w2)
        add_to(values, get(corners, 6 * g + 3), w3)
        add_to(values, get(corners, 6 * g + 4), w4)
        add_to(values, get(corners, 6 * g + 5), w5)


@kernel
def slice_grouped(starts: Any, corners: Any, weights: Any, values: Any, out: Any) -> None:
    """Slice the bilateral lattice: interpolate `values` at all pixels into `out`, float32 (N,)."""
    for g in range(starts.shape[0] - 1):
        v0 = get(values, get(corners, 6 * g))
        v1 = get(values, get(corners, 6 * g + 1))
        v2 = get(values, get(corners, 6 * g + 2))
        v3 = get(values, get(corners, 6 * g + 3))
        v4 = get(values, get(corners, 6 * g + 4))
        v5 = get(values, get(corners, 6 * g + 5))
        for p in range(get(starts, g), get(starts, g + 1)):
            a = get(weights, 6 * p) * v0 + get(weights, 6 * p + 1) * v1 + get(weights, 6 * p + 2) * v2
            b = get(weights, 6 * p + 3) * v3 + get(weights, 6 * p + 4) * v4 + get(weights, 6 * p + 5) * v5
            put(out, p, a + b)


@kernel
def splat_ones(corners: Any, weights: Any, values: Any) -> None:
    """Splat a constant 1 into the Gaussian lattice, or into one of any number of dimensions."""
    for i in range(corners.shape[0]):
        add_to(values, get(corners, i), get(weights, i))


@kernel
def slice_planar(corners: Any, weights: Any, values: Any, out: Any) -> None:
    """Slice the Gaussian lattice: interpolate `values` at all pixels into `out`, float32 (N,)."""
    for p in range(out.shape[0]):
        i = 3 * p
        a = get(weights, i) * get(values, get(corners, i))
        b = get(weights, i + 1) * get(values, get(corners, i + 1))
        c = get(weights, i + 2) * get(values, get(corners, i + 2))
        put(out, p, a + b + c)


@kernel
def normalise_grouped(starts: Any, corners: Any, weights: Any, values: Any, splatted: Any) -> None:
    """Multiply D^-1/2 into the weights of the bilateral lattice.

    `values` is the blurred constant, and slicing it gives D. The new weights are splatted into `splatted`.
    """
    zero = np.float32(0)
    for g in range(starts.shape[0] - 1):
        v0 = get(values, get(corners, 6 * g))
        v1 = get(values, get(corners, 6 * g + 1))
        v2 = get(values, get(corners, 6 * g + 2))
        v3 = get(values, get(corners, 6 * g + 3))
        v4 = get(values, get(corners, 6 * g + 4))
        v5 = get(values, get(corners, 6 * g + 5))
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
        add_to(splatted, get(corners, 6 * g), s0)
        add_to(splatted, get(corners, 6 * g + 1), s1)
        add_to(splatted, get(corners, 6 * g + 2), s2)
        add_to(splatted, get(corners, 6 * g + 3), s3)
        add_to(splatted, get(corners, 6 * g + 4), s4)
        add_to(splatted, get(corners, 6 * g + 5), s5)


@kernel
def normalise_planar(corners: Any, weights: Any, values: Any, splatted: Any) -> None:
    """`normalise_grouped` for the Gaussian lattice."""
    for i in range(0, corners.shape[0], 3):
        c0, c1, c2 = get(corners, i), get(corners, i + 1), get(corners, i + 2)
        w0, w1, w2 = get(weights, i), get(weights, i + 1), get(weights, i + 2)
        norm = w0 * get(values, c0) + w1 * get(values, c1) + w2 * get(values, c2)
        factor = _ONE / np.sqrt(norm + _TINY)
        w0, w1, w2 = w0 * factor, w1 * factor, w2 * factor
        put(weights, i, w0)
        put(weights, i + 1, w1)
        put(weights, i + 2, w2)
        add_to(splatted, c0, w0)
        add_to(splatted, c1, w1)
        add_to(splatted, c2, w2)


@kernel
def slice_ones(corners: Any, weights: Any, values: Any, out: Any) -> None:
    """Slice a lattice of any number of dimensions: interpolate `values` at all points into `out`, float32 (N,)."""
    size = corners.shape[0] // out.shape[0]
    for p in range(out.shape[0]):
        total = np.float32(0)
        for i in range(size * p, size * (p + 1)):
            total += get(weights, i) * get(values, get(corners, i))
        put(out, p, total)


@kernel
def scale_weights(weights: Any, factors: Any, out: Any) -> None:
    """Multiply the weights (N size,) of each point by its factor, float32 (N,), into `out`."""
    size = weights.shape[0] // factors.shape[0]
    for p in range(factors.shape[0]):
        factor = get(factors, p)
        for i in range(size * p, size * (p + 1)):
            put(out, i, get(weights, i) * factor)
