"""Embedding points of any number of dimensions in the permutohedral lattice.

`embedding` is the same for the five features of a pixel. A point of D features lies in the hyperplane sum(z) = 0 of
R^(D + 1), in a simplex whose vertices are lattice points of remainder 0..D (A. Adams, J. Baek, M. A. Davis, "Fast
High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010,
https://doi.org/10.1111/j.1467-8659.2009.01645.x, sections 3 and 4).

The key of a lattice point is the sum of z_i r_i over i = 1..D (z_0 follows from the others) modulo 2**64, with odd
random multipliers r_i. It is linear, so that the keys of neighbours follow by addition; two of a million vertices share
a key with a probability of 10**-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.simd import add, below, floor, get, load, multiply, put, scaled, splat, store, subtract, vector
from tag2mask.crf.vertices import find_or_add, find_slot, hashed, write_chains

BLOCK = 256
"""Number of points embedded at a time; a multiple of 16."""
NEAR = 2.0**21
"""Coordinates up to this keep two digits after the point in single precision."""

_WIDE = (0.0,) * 16


@part
def embed_near(features: Any, p0: int, count: int, scale: Any, lowest: Any, ranks: Any, rests: Any) -> None:
    """Embed the points p0..p0 + count, 16 at a time, in single precision.

    Args:
        features: float32 (D, N).
        p0, count: first point and number of points, at most `BLOCK`.
        scale: float64 (D,), factors of the features.
        lowest: float32 (D + 1, BLOCK), written: q_i of the vertex of remainder 0, whose coordinates are (D + 1) q_i.
        ranks: float32 (D + 1, BLOCK), written: number of coordinates with a greater difference to that vertex.
        rests: float32 (D + 1, BLOCK), written: the differences, divided by D + 1.
    """
    zero = vector(_WIDE)
    size = features.shape[0]
    high = splat(zero, np.float32(size) + np.float32(0.5))
    half, one = splat(zero, np.float32(0.5)), splat(zero, np.float32(1))
    part, whole = np.float32(1 / (size + 1)), splat(zero, np.float32(size + 1))
    flat_lowest, flat_ranks, flat_rests = lowest.reshape(-1), ranks.reshape(-1), rests.reshape(-1)
    for i in range(size):
        row = features[i]
        factor = np.float32(scale[i])
        for p in range(count):
            put(flat_rests, (i + 1) * BLOCK + p, get(row, p0 + p) * factor)
    for p in range(0, count, 16):
        # elevated coordinates, divided by D + 1: z_i is the sum of features i.. minus i times feature i - 1
        tail, off = zero, zero
        for i in range(size, -1, -1):
            at = i * BLOCK + p
            feature = load(zero, flat_rests, at) if i > 0 else zero
            z = scaled(add(tail, scaled(feature, np.float32(-i), zero)), part, zero)
            tail = add(tail, feature)
            nearest = floor(add(z, half))
            off = add(off, nearest)
            store(flat_lowest, at, nearest)
            store(flat_rests, at, subtract(z, nearest))
        for i in range(size + 1):
            store(flat_ranks, i * BLOCK + p, off)
        for i in range(size):
            rest, rank = load(zero, flat_rests, i * BLOCK + p), load(zero, flat_ranks, i * BLOCK + p)
            for j in range(i + 1, size + 1):
                at = j * BLOCK + p
                less = below(rest, load(zero, flat_rests, at))
                rank = add(rank, less)
                store(flat_ranks, at, add(load(zero, flat_ranks, at), subtract(one, less)))
            store(flat_ranks, i * BLOCK + p, rank)
        # back onto the hyperplane: the coordinates with the greatest or least differences move by one step
        for i in range(size + 1):
            at = i * BLOCK + p
            rank = load(zero, flat_ranks, at)
            step = subtract(below(rank, zero), below(high, rank))
            store(flat_ranks, at, add(rank, multiply(step, whole)))
            store(flat_lowest, at, add(load(zero, flat_lowest, at), step))
            store(flat_rests, at, subtract(load(zero, flat_rests, at), step))


@part
def embed_far(features: Any, p0: int, count: int, scale: Any, lowest: Any, ranks: Any, rests: Any) -> None:
    """The same in double precision, for coordinates whose integers float32 does not hold; `lowest` is float64."""
    size = features.shape[0]
    for p in range(count):
        tail, off = np.float64(0), np.float64(0)
        for i in range(size, -1, -1):
            feature = np.float32(features[i - 1, p0 + p] * scale[i - 1]) if i > 0 else np.float32(0)
            z = (tail - i * np.float64(feature)) / (size + 1)
            tail += feature
            nearest = np.floor(z + 0.5)
            off += nearest
            lowest[i, p] = nearest
            rests[i, p] = z - nearest
        for i in range(size + 1):
            ranks[i, p] = off
        for i in range(size):
            for j in range(i + 1, size + 1):
                less = rests[i, p] < rests[j, p]
                ranks[i if less else j, p] += np.float32(1)
        for i in range(size + 1):
            step = np.float32(ranks[i, p] < 0) - np.float32(ranks[i, p] > size)
            ranks[i, p] += step * (size + 1)
            lowest[i, p] += step
            rests[i, p] -= step


@part
def number_points(
    count: int,
    lowest: Any,
    ranks: Any,
    rests: Any,
    multipliers: Any,
    simplices: Any,
    simplex_table: Any,
    vertices: Any,
    keys: Any,
    table: Any,
    used: Any,
    weights: Any,
    corners: Any,
) -> None:
    """Find the vertices of the simplices of embedded points, and number those that are new.

    Args:
        count: number of points.
        lowest, ranks, rests: as `embed_near` writes them.
        multipliers: int64 (2, D + 1): r_i of the module docstring (r_0 is 0), and such numbers for the ranks.
        simplices, simplex_table: int64 keys of the simplices, and their hash table, with room for all points.
        vertices: int32, D + 1 numbers of vertices for each simplex.
        keys, table: the same for the vertices, with room for all vertices of all points.
        used: int64 (2,): number of simplices and of vertices, increased.
        weights: float32 (count (D + 1),), written: barycentric weights of remainder 0..D.
        corners: int32 (count (D + 1),), written: the vertices' numbers.
    """
    size = lowest.shape[0] - 1
    ordered = np.zeros(size + 2, np.float32)
    mover = np.zeros(size + 1, np.int64)
    total = np.int64(0)
    for i in range(1, size + 1):
        total += multipliers[0, i]
    last, simplex = np.int64(0), np.int64(-1)
    for p in range(count):
        base = code = np.int64(0)
        for i in range(size + 1):
            rank = np.int64(ranks[i, p])
            put(ordered, rank, rests[i, p])
            base += np.int64(lowest[i, p]) * multipliers[0, i]
            code += rank * multipliers[1, i]
        first = p * (size + 1)
        put(weights, first, np.float32(1) + get(ordered, size) - get(ordered, 0))
        for k in range(1, size + 1):
            put(weights, first + k, get(ordered, size - k) - get(ordered, size - k + 1))
        key = base * multipliers[1, 0] + code
        if key != last or simplex < 0:
            last = key
            simplex = find_or_add(simplex_table, simplices, key, used[0])
            if simplex == used[0]:
                used[0] += 1
                for i in range(size + 1):
                    mover[np.int64(ranks[i, p])] = multipliers[0, i]
                vertex_key = base * (size + 1)
                for k in range(size + 1):
                    vertex = find_or_add(table, keys, vertex_key, used[1])
                    if vertex == used[1]:
                        used[1] += 1
                    put(vertices, simplex * (size + 1) + k, vertex)
                    # the next one: all coordinates one higher, but that of rank D - k lower by D
                    vertex_key += total - (size + 1) * mover[size - k]
        at = simplex * (size + 1)
        for k in range(size + 1):
            put(corners, first + k, get(vertices, at + k))


@kernel
def embed_points(features: Any, scale: Any, multipliers: Any, near: Any, far: Any, corners: Any, weights: Any) -> Any:
    """Vertices and barycentric weights of the simplex that contains each point.

    Args:
        features: float32 (D, N).
        scale: float64 (D,), factors of the features in the embedding.
        multipliers: as in `number_points`.
        near: scratch memory, float32 (D + 1, BLOCK), or None where coordinates reach `NEAR`.
        far: the same, float64; None where `near` is given.
        corners: int32 (N (D + 1),), written: numbers of the vertices of remainder 0..D.
        weights: float32 (N (D + 1),), written: barycentric weights.

    Returns:
        (keys int64 (V,), their hash table).
    """
    size, count = features.shape
    ranks = np.zeros((size + 1, BLOCK), np.float32)
    rests = np.zeros((size + 1, BLOCK), np.float32)
    simplices, vertices = np.empty(4 * BLOCK, np.int64), np.empty(4 * BLOCK * (size + 1), np.int32)
    keys = np.empty(4 * BLOCK * (size + 1), np.int64)
    simplex_table, table = hashed(simplices, 0, 4 * BLOCK), hashed(keys, 0, 4 * BLOCK)
    used = np.zeros(2, np.int64)
    for p0 in range(0, count, BLOCK):
        number = min(BLOCK, count - p0)
        if near is not None:
            embed_near(features, p0, number, scale, near, ranks, rests)
        if far is not None:
            embed_far(features, p0, number, scale, far, ranks, rests)
        if used[0] + BLOCK > simplices.shape[0]:
            simplices = _longer(simplices, used[0])
            vertices = _longer(vertices, used[0] * (size + 1))
        if 2 * (used[0] + BLOCK) > simplex_table.shape[0]:
            simplex_table = hashed(simplices, used[0], 2 * (used[0] + BLOCK))
        most = BLOCK * (size + 1)
        if used[1] + most > keys.shape[0]:
            keys = _longer(keys, used[1])
        if 2 * (used[1] + most) > table.shape[0]:
            table = hashed(keys, used[1], 2 * (used[1] + most))
        at, end = p0 * (size + 1), (p0 + number) * (size + 1)
        number_points(
            number,
            far if near is None else near,
            ranks,
            rests,
            multipliers,
            simplices,
            simplex_table,
            vertices,
            keys,
            table,
            used,
            weights[at:end],
            corners[at:end],
        )
    return keys[: used[1]].copy(), table


@kernel
def find_links(keys: Any, table: Any, multipliers: Any) -> Any:
    """Chains of neighbouring vertices along each of the D + 1 directions, as `vertices.find_chains` writes them.

    Args:
        keys, table: as `embed_points` returns them.
        multipliers: as in `number_points`.
    """
    count, directions = keys.shape[0], multipliers.shape[1]
    after, first = np.empty(count, np.int32), np.empty(count, np.uint8)
    chains = np.empty(directions * count, np.int32)
    at = 0
    for j in range(directions):
        # all coordinates one higher, but coordinate j lower by D
        step = -directions * multipliers[0, j]
        for i in range(1, directions):
            step += multipliers[0, i]
        first[:] = 1
        for v in range(count):
            u = get(table, find_slot(table, keys, get(keys, v) + step))
            put(after, v, u)
            if u >= 0:
                put(first, u, 0)
        at = write_chains(after, first, chains, at)
    return chains[:at].copy()


@part
def _longer(array: Any, used: int) -> Any:
    """Twice as long a copy of an array of which the first entries are used."""
    longer = np.empty(2 * array.shape[0], array.dtype)
    longer[:used] = array[:used]
    return longer
