"""Embedding pixels in the five-dimensional permutohedral lattice of the bilateral term.

Pixels lie in the hyperplane sum(z) = 0 of R^6, each in a simplex of the lattice
(A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x, sections 3 and 4).

A lattice point of remainder k has coordinates z_i = 6 q_i + k. With mixed-radix strides r_1..r_5 over
the range of q_1..q_5 (z_0 follows from the others), `base = sum(q_i r_i)` is one integer, a vertex is the
key `6 base + k`, and a simplex the key `7776 base + code`, where `code` holds the ranks of z_1..z_5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import part
from tag2mask.crf.simd import (
    add,
    below,
    floor,
    greatest,
    least,
    load,
    multiply,
    scaled,
    splat,
    store,
    subtract,
    vector,
)

TILE = 96
"""Side of the square tiles in which pixels are visited, so that pixels close in memory are close in the image.

A multiple of 16. Larger tiles make fewer groups; smaller tiles keep the values of more classes in the cache."""
PLANE = TILE * TILE
CODES = 7776
"""6**5, the number of codes of five ranks in 0..5."""

_WIDE = (0.0,) * 16


@part
def embed_run(image: Any, y: int, x0: int, count: int, scale: Any, work: Any, weights: Any, at: int) -> None:
    """Embed `count` pixels of row `y` from column `x0`, 16 at a time.

    Args:
        image: uint8 (H, W, 3).
        y, x0, count: row, first column and number of the pixels.
        scale: float32 (5,), factors of x, y, red, green and blue.
        work: float32 (6 * TILE,), written: q_1..q_5 of the vertex of remainder 0, and the code of the
            ranks, each `TILE` entries long.
        weights: float32 (6 * TILE * TILE,), six planes of barycentric weights, written from `at` on.
    """
    zero = vector(_WIDE)
    sixth = splat(zero, np.float32(1 / 6))
    half = splat(zero, np.float32(0.5))
    one = splat(zero, np.float32(1))
    six = splat(zero, np.float32(6))
    fy = splat(zero, np.float32(y) * scale[1])
    for i in range(count):
        work[i] = np.float32(x0 + i) * scale[0]
        work[TILE + i] = np.float32(image[y, x0 + i, 0]) * scale[2]
        work[2 * TILE + i] = np.float32(image[y, x0 + i, 1]) * scale[3]
        work[3 * TILE + i] = np.float32(image[y, x0 + i, 2]) * scale[4]
    for i in range(0, count, 16):
        f0 = load(zero, work, i)
        f2 = load(zero, work, TILE + i)
        f3 = load(zero, work, 2 * TILE + i)
        f4 = load(zero, work, 3 * TILE + i)
        # elevated coordinates, divided by 6: z_j is the sum of features j.. minus j times feature j - 1
        s4 = add(f4, f3)
        s3 = add(s4, f2)
        s2 = add(s3, fy)
        z5 = multiply(scaled(f4, np.float32(-5), zero), sixth)
        z4 = multiply(scaled(f3, np.float32(-4), f4), sixth)
        z3 = multiply(scaled(f2, np.float32(-3), s4), sixth)
        z2 = multiply(scaled(fy, np.float32(-2), s3), sixth)
        z1 = multiply(subtract(s2, f0), sixth)
        z0 = multiply(add(s2, f0), sixth)
        # nearest point of remainder 0, and the differences to it
        q0 = floor(add(z0, half))
        q1 = floor(add(z1, half))
        q2 = floor(add(z2, half))
        q3 = floor(add(z3, half))
        q4 = floor(add(z4, half))
        q5 = floor(add(z5, half))
        d0 = subtract(z0, q0)
        d1 = subtract(z1, q1)
        d2 = subtract(z2, q2)
        d3 = subtract(z3, q3)
        d4 = subtract(z4, q4)
        d5 = subtract(z5, q5)
        # rank: number of coordinates with a greater difference, shifted by the distance from the hyperplane
        off = add(add(add(q0, q1), add(q2, q3)), add(q4, q5))
        c = below(d0, d1)
        k0 = add(off, c)
        k1 = subtract(add(off, one), c)
        c = below(d0, d2)
        k0 = add(k0, c)
        k2 = subtract(add(off, splat(zero, np.float32(2))), c)
        c = below(d0, d3)
        k0 = add(k0, c)
        k3 = subtract(add(off, splat(zero, np.float32(3))), c)
        c = below(d0, d4)
        k0 = add(k0, c)
        k4 = subtract(add(off, splat(zero, np.float32(4))), c)
        c = below(d0, d5)
        k0 = add(k0, c)
        k5 = subtract(add(off, splat(zero, np.float32(5))), c)
        c = below(d1, d2)
        k1, k2 = add(k1, c), subtract(k2, c)
        c = below(d1, d3)
        k1, k3 = add(k1, c), subtract(k3, c)
        c = below(d1, d4)
        k1, k4 = add(k1, c), subtract(k4, c)
        c = below(d1, d5)
        k1, k5 = add(k1, c), subtract(k5, c)
        c = below(d2, d3)
        k2, k3 = add(k2, c), subtract(k3, c)
        c = below(d2, d4)
        k2, k4 = add(k2, c), subtract(k4, c)
        c = below(d2, d5)
        k2, k5 = add(k2, c), subtract(k5, c)
        c = below(d3, d4)
        k3, k4 = add(k3, c), subtract(k4, c)
        c = below(d3, d5)
        k3, k5 = add(k3, c), subtract(k5, c)
        c = below(d4, d5)
        k4, k5 = add(k4, c), subtract(k5, c)
        # back onto the hyperplane: the coordinates with the greatest or least differences move by one step
        m0 = _step_back(k0)
        m1 = _step_back(k1)
        m2 = _step_back(k2)
        m3 = _step_back(k3)
        m4 = _step_back(k4)
        m5 = _step_back(k5)
        store(work, i, add(q1, m1))
        store(work, TILE + i, add(q2, m2))
        store(work, 2 * TILE + i, add(q3, m3))
        store(work, 3 * TILE + i, add(q4, m4))
        store(work, 4 * TILE + i, add(q5, m5))
        code = add(k5, multiply(six, m5))
        code = add(multiply(six, code), add(k4, multiply(six, m4)))
        code = add(multiply(six, code), add(k3, multiply(six, m3)))
        code = add(multiply(six, code), add(k2, multiply(six, m2)))
        code = add(multiply(six, code), add(k1, multiply(six, m1)))
        store(work, 5 * TILE + i, code)
        # differences in descending order (sorting network); barycentric weights are differences of neighbours
        d0, d1, d2 = subtract(d0, m0), subtract(d1, m1), subtract(d2, m2)
        d3, d4, d5 = subtract(d3, m3), subtract(d4, m4), subtract(d5, m5)
        d0, d5 = greatest(d0, d5), least(d0, d5)
        d1, d3 = greatest(d1, d3), least(d1, d3)
        d2, d4 = greatest(d2, d4), least(d2, d4)
        d1, d2 = greatest(d1, d2), least(d1, d2)
        d3, d4 = greatest(d3, d4), least(d3, d4)
        d0, d3 = greatest(d0, d3), least(d0, d3)
        d2, d5 = greatest(d2, d5), least(d2, d5)
        d0, d1 = greatest(d0, d1), least(d0, d1)
        d2, d3 = greatest(d2, d3), least(d2, d3)
        d4, d5 = greatest(d4, d5), least(d4, d5)
        d1, d2 = greatest(d1, d2), least(d1, d2)
        d3, d4 = greatest(d3, d4), least(d3, d4)
        store(weights, at + i, add(one, subtract(d5, d0)))
        store(weights, at + i + PLANE, subtract(d4, d5))
        store(weights, at + i + 2 * PLANE, subtract(d3, d4))
        store(weights, at + i + 3 * PLANE, subtract(d2, d3))
        store(weights, at + i + 4 * PLANE, subtract(d1, d2))
        store(weights, at + i + 5 * PLANE, subtract(d0, d1))


@part
def _step_back(rank: Any) -> Any:
    """1 where a shifted rank is below 0, -1 where it is above 5, else 0."""
    return subtract(below(rank, splat(rank, np.float32(0))), below(splat(rank, np.float32(5.5)), rank))
