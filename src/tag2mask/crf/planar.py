"""Kernels that build the two-dimensional permutohedral lattice of the Gaussian term.

It is the lattice of `embedding` in two dimensions, but needs no hash table: with z = 3 q + k the numbers
a = q_0 - q_1 and b = q_0 - q_2 are coordinates in a hexagonal grid, and (a, b - floor(a / 2)) lies in a rectangle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.simd import get, put

_ONE = np.float32(1)
_TWO = np.float32(2)
_THREE = np.float32(3)
_THIRD = np.float32(1 / 3)
_HALF = np.float32(0.5)
_ZERO = np.float32(0)


@kernel
def embed_positions(
    count: int, columns: int, scale_x: Any, scale_y: Any, breadth: int, corners: Any, weights: Any
) -> None:
    """Simplex vertices and barycentric weights of the pixels, row by row.

    Args:
        count: number of pixels N.
        columns: width of the image.
        scale_x, scale_y: float32 factors of the embedding.
        breadth: size of the grid along its second axis.
        corners: int32 (3 N,), written: index in the grid of the vertices of remainder 0..2 of each pixel's simplex.
        weights: float32 (3 N,), written: barycentric weights.
    """
    x, y = -1, 0
    for p in range(count):
        x += 1
        if x == columns:
            x, y = 0, y + 1
        f0 = np.float32(x) * scale_x
        f1 = np.float32(y) * scale_y
        z0 = (f1 + f0) * _THIRD
        z1 = (f1 - f0) * _THIRD
        z2 = -_TWO * f1 * _THIRD
        q0 = np.floor(z0 + _HALF)
        q1 = np.floor(z1 + _HALF)
        q2 = np.floor(z2 + _HALF)
        d0 = z0 - q0
        d1 = z1 - q1
        d2 = z2 - q2
        total = q0 + q1 + q2
        c01 = np.float32(d0 < d1)
        c02 = np.float32(d0 < d2)
        c12 = np.float32(d1 < d2)
        k0 = total + c01 + c02
        k1 = total + _ONE - c01 + c12
        k2 = total + _TWO - c02 - c12
        m0 = np.float32(k0 < _ZERO) - np.float32(k0 >= _THREE)
        m1 = np.float32(k1 < _ZERO) - np.float32(k1 >= _THREE)
        m2 = np.float32(k2 < _ZERO) - np.float32(k2 >= _THREE)
        d0 -= m0
        d1 -= m1
        d2 -= m2
        k0 += _THREE * m0
        k1 += _THREE * m1
        k2 += _THREE * m2
        a = np.int32(q0 + m0 - q1 - m1)
        b = np.int32(q0 + m0 - q2 - m2)
        # vertex 1: the coordinate of rank 2 is one step lower; vertex 2: those of ranks 1 and 2 are
        a1 = a + np.int32(k1 > _HALF + _ONE) - np.int32(k0 > _HALF + _ONE)
        b1 = b + np.int32(k2 > _HALF + _ONE) - np.int32(k0 > _HALF + _ONE)
        a2 = a - np.int32(k1 < _HALF) + np.int32(k0 < _HALF)
        b2 = b - np.int32(k2 < _HALF) + np.int32(k0 < _HALF)
        put(corners, 3 * p, (a + 2) * breadth + b - (a >> 1) + 3)
        put(corners, 3 * p + 1, (a1 + 2) * breadth + b1 - (a1 >> 1) + 3)
        put(corners, 3 * p + 2, (a2 + 2) * breadth + b2 - (a2 >> 1) + 3)
        high = max(d0, max(d1, d2))
        low = min(d0, min(d1, d2))
        middle = d0 + d1 + d2 - high - low
        put(weights, 3 * p, _ONE + low - high)
        put(weights, 3 * p + 1, middle - low)
        put(weights, 3 * p + 2, high - middle)


@part
def _step(direction: int, vertex: int, breadth: int, sign: int) -> int:
    """Difference of the grid index from `vertex` to its neighbour in direction 0 (a and b), 1 (a) or 2 (b)."""
    if direction == 2:
        return sign
    odd = (vertex // breadth) & 1
    along = 1 if direction == 0 else 0
    if sign > 0:
        return breadth - odd + along
    return -breadth + 1 - odd - along


@kernel
def number_grid_vertices(corners: Any, length: int, breadth: int) -> Any:
    """Give numbers to the vertices of simplices that contain pixels, and find chains of neighbours.

    Where most of the grid is in use, the vertices keep their index in the grid as number.

    Args:
        corners: int32 (3 N,), indices in the grid; replaced by the numbers.
        length, breadth: size of the grid.

    Returns:
        (number of vertices, chains int32 (L,)), the latter as `vertices.find_chains` writes them.
    """
    number = np.full(length * breadth, -1, np.int32)
    for i in range(corners.shape[0]):
        put(number, get(corners, i), 0)
    sparse = 2 * number.shape[0] > corners.shape[0]
    count = 0
    for i in range(number.shape[0]):
        if get(number, i) == 0:
            put(number, i, count if sparse else i)
            count += 1
    if sparse:
        for i in range(corners.shape[0]):
            put(corners, i, get(number, get(corners, i)))
    else:
        count = number.shape[0]
    chains = np.empty(3 * count, np.int32)
    at = 0
    for j in range(3):
        for i in range(number.shape[0]):
            if get(number, i) < 0 or get(number, i + _step(j, i, breadth, -1)) >= 0:
                continue
            u = i + _step(j, i, breadth, 1)
            if get(number, u) < 0:
                continue
            put(chains, at, get(number, i))
            at += 1
            while True:
                after = u + _step(j, u, breadth, 1)
                if get(number, after) < 0:
                    break
                put(chains, at, get(number, u))
                at += 1
                u = after
            put(chains, at, -1 - get(number, u))
            at += 1
    return count, chains[:at].copy()


@kernel
def gather_positions(
    pixels: Any, row_corners: Any, row_weights: Any, row_total: Any, corners: Any, weights: Any, total: Any
) -> None:
    """Copy a lattice whose pixels lie row by row to the pixel order of `pixels`.

    Args:
        pixels: int32 (N,), index of the pixel at each position of the new order.
        row_corners, row_weights, row_total: int32 (3 N,), float32 (3 N,), float32 (N,), row by row.
        corners, weights, total: the same, written in the new order; corners are multiplied by 4, as
            `simd.load_vertex` takes them.
    """
    for p in range(pixels.shape[0]):
        q = get(pixels, p)
        for j in range(3):
            put(corners, 3 * p + j, 4 * get(row_corners, 3 * q + j))
            put(weights, 3 * p + j, get(row_weights, 3 * q + j))
        put(total, p, get(row_total, q))
