"""Kernels that build the five-dimensional permutohedral lattice of an image.

Pixels are embedded in the hyperplane sum(z) = 0 of R^6 and grouped by the simplex that encloses them
(A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x, sections 3 and 4).

A lattice point of remainder k has coordinates z_i = 6 q_i + k. With mixed-radix strides r_1..r_5 over
the range of q_1..q_5 (z_0 follows from the others), `base = sum(q_i r_i)` is one integer, a vertex is the
key `6 base + k`, and a simplex the key `7776 base + code`, where `code` holds the ranks of z_1..z_5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import (
    add,
    below,
    floor,
    get,
    greatest,
    least,
    load,
    multiply,
    put,
    scaled,
    splat,
    store,
    subtract,
    vector,
)

TILE = 64
"""Pixels are visited in squares of this side, so that neighbours in order are neighbours in the image."""
CODES = 7776
"""6**5: the number of codes for five ranks of 0..5."""

PLANE = TILE * TILE
SIZES = 64
"""Groups of this many pixels or more count as equally large."""
BATCH = 12288
"""Vertices looked up between two checks of the size of their table; a multiple of 6."""

_HASH = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_WIDE = (0.0,) * 16


@kernel
def embed_run(image: Any, y: int, x0: int, count: int, scale: Any, work: Any, weights: Any, at: int) -> None:
    """Embed `count` pixels of row `y` from column `x0`, 16 at a time.

    Args:
        image: uint8 (H, W, 3).
        y, x0, count: the run of pixels.
        scale: float32 (5,): scale of x, y, red, green, blue.
        work: float32 (6 * TILE,), written: q_1..q_5 of the vertex of remainder 0, and the code of the
            ranks, each `TILE` entries long.
        weights: float32 (6 * TILE * TILE,), written from `at` on in six planes: barycentric weights.
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
        # coordinates in units of 6: z_j is the sum of the later features less j times the one before
        s4 = add(f4, f3)
        s3 = add(s4, f2)
        s2 = add(s3, fy)
        z5 = multiply(scaled(f4, np.float32(-5), zero), sixth)
        z4 = multiply(scaled(f3, np.float32(-4), f4), sixth)
        z3 = multiply(scaled(f2, np.float32(-3), s4), sixth)
        z2 = multiply(scaled(fy, np.float32(-2), s3), sixth)
        z1 = multiply(subtract(s2, f0), sixth)
        z0 = multiply(add(s2, f0), sixth)
        # nearest point of remainder 0, and how far the coordinates lie from it
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
        # rank: how many coordinates lie farther out; shifted by how far the point is off the plane
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
        # back onto the plane: the outermost coordinates move by one step
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
        # distances in descending order by a sorting network; weights are their differences
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


@kernel
def _step_back(rank: Any) -> Any:
    """1 where a shifted rank is below 0, -1 where it is above 5, else 0."""
    return subtract(below(rank, splat(rank, np.float32(0))), below(splat(rank, np.float32(5.5)), rank))


@kernel
def find_slot(table: Any, keys: Any, key: int) -> Any:
    """Slot of an open-addressing table that holds the position of `key` in `keys`, or is free (-1)."""
    mask = np.uint64(table.shape[0] - 1)
    mixed = np.uint64(key) * _HASH
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while get(table, slot) >= 0 and get(keys, get(table, slot)) != key:
        slot = (slot + _ONE) & mask
    return slot


@kernel
def hashed(keys: Any, count: int, least: int) -> Any:
    """Table over `keys[:count]` with more than `2 * least` slots."""
    capacity = 1024
    while capacity <= 2 * least:
        capacity *= 2
    table = np.full(capacity, -1, np.int32)
    for i in range(count):
        put(table, find_slot(table, keys, get(keys, i)), i)
    return table


@kernel
def sort_groups(first: int, end: int, at: int, starts: Any, owners: Any, cursor: Any) -> None:
    """Order the groups first..end by size, which spares the loops over groups mispredicted branches.

    Args:
        first, end: the groups of a tile.
        at: first pixel of the tile.
        starts: sizes of the groups; replaced by their first pixels, in the new order.
        owners: brought to the new order.
        cursor: int32 (2 * PLANE,), written: first pixel of each group by its old number less `first`.
    """
    places = np.zeros(SIZES + 1, np.int32)
    for g in range(first, end):
        put(cursor, PLANE + g - first, get(owners, g))
        size = min(get(starts, g), SIZES - 1)
        put(places, size + 1, get(places, size + 1) + 1)
    for size in range(1, SIZES + 1):
        put(places, size, get(places, size) + get(places, size - 1))
    for g in range(first, end):
        size = min(get(starts, g), SIZES - 1)
        place = get(places, size)
        put(places, size, place + 1)
        put(owners, first + place, get(cursor, PLANE + g - first))
        put(cursor, g - first, place)
    for g in range(first, end):
        put(cursor, PLANE + get(cursor, g - first), get(starts, g))
    for g in range(first, end):
        put(starts, g, at)
        at += get(cursor, PLANE + g - first)
    for g in range(first, end):
        put(cursor, g - first, get(starts, first + get(cursor, g - first)))


@kernel
def group_tile(
    image: Any,
    y0: int,
    x0: int,
    at: int,
    groups: int,
    count: int,
    scale: Any,
    strides: Any,
    offset: int,
    table: Any,
    simplices: Any,
    latest: Any,
    work: Any,
    planes: Any,
    sequence: Any,
    cursor: Any,
    starts: Any,
    owners: Any,
    pixels: Any,
    weights: Any,
) -> Any:
    """Group the pixels of the tile at (y0, x0); returns the new numbers of groups and of simplices.

    Args:
        at, groups, count: pixels, groups and simplices so far.
        table, simplices: hash table of simplices; free for one tile's worth of them.
        latest: int32, the last group of each simplex.
        work, planes, sequence, cursor: work space.
        starts, owners: written: first pixel and simplex of each group.
        pixels, weights: written, as in `group_pixels`.
    """
    height, width = image.shape[0], image.shape[1]
    y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
    first = groups
    last_key = np.int64(-1)
    group: Any = np.int64(-1)
    for y in range(y0, y1):
        row = (y - y0) * TILE
        embed_run(image, y, x0, x1 - x0, scale, work, planes, row)
        for i in range(x1 - x0):
            base = offset + np.int64(get(work, i)) * strides[1] + np.int64(get(work, TILE + i)) * strides[2]
            base += np.int64(get(work, 2 * TILE + i)) * strides[3] + np.int64(get(work, 3 * TILE + i)) * strides[4]
            base += np.int64(get(work, 4 * TILE + i)) * strides[5]
            key = base * CODES + np.int64(get(work, 5 * TILE + i))
            if key != last_key:
                last_key = key
                slot = find_slot(table, simplices, key)
                simplex = get(table, slot)
                if simplex < 0:
                    simplex = count
                    put(simplices, count, key)
                    put(latest, count, -1)
                    put(table, slot, simplex)
                    count += 1
                group = get(latest, simplex)
                if group < first:
                    group = groups
                    put(latest, simplex, group)
                    put(owners, group, simplex)
                    put(starts, group, 0)
                    groups += 1
            put(starts, group, get(starts, group) + 1)
            put(sequence, row + i, group)
    sort_groups(first, groups, at, starts, owners, cursor)
    for y in range(y0, y1):
        row = (y - y0) * TILE
        for i in range(x1 - x0):
            g = get(sequence, row + i) - first
            p = get(cursor, g)
            put(cursor, g, p + 1)
            put(pixels, p, y * width + x0 + i)
            for j in range(6):
                put(weights, 6 * p + j, get(planes, j * PLANE + row + i))
    return groups, count


@kernel
def group_pixels(image: Any, scale: Any, strides: Any, offset: int, pixels: Any, weights: Any) -> Any:
    """Group the pixels of each tile of an image by simplex.

    Args:
        image: uint8 (H, W, 3).
        scale: float32 (5,): scale of x, y, red, green, blue.
        strides: int64 (6,): mixed-radix strides of q_0..q_5; entry 0 is 0.
        offset: added to `base`, so that it is never negative.
        pixels: int32 (N,), written: y * W + x, in the order of the groups.
        weights: float32 (6 N,), written: barycentric weights of each of `pixels`.

    Returns:
        (simplices int64 (S,), owners int32 (G,), starts int32 (G + 1,)). Group g belongs to the simplex
        owners[g] and holds the entries starts[g] .. starts[g + 1] of `pixels`.
    """
    height, width = image.shape[0], image.shape[1]
    n = height * width
    work = np.zeros(6 * TILE, np.float32)
    planes = np.empty(6 * PLANE, np.float32)
    sequence = np.empty(PLANE, np.int32)
    cursor = np.empty(2 * PLANE, np.int32)
    simplices = np.empty(n, np.int64)
    latest = np.empty(n, np.int32)
    owners = np.empty(n, np.int32)
    starts = np.empty(n + 1, np.int32)
    table = hashed(simplices, 0, min(n, 3 * PLANE))
    at = groups = count = 0
    for y0 in range(0, height, TILE):
        for x0 in range(0, width, TILE):
            if 2 * (count + PLANE) > table.shape[0]:
                table = hashed(simplices, count, 2 * (count + PLANE))
            groups, count = group_tile(
                image,
                y0,
                x0,
                at,
                groups,
                count,
                scale,
                strides,
                offset,
                table,
                simplices,
                latest,
                work,
                planes,
                sequence,
                cursor,
                starts,
                owners,
                pixels,
                weights,
            )
            at += min(TILE, height - y0) * min(TILE, width - x0)
    put(starts, groups, n)
    return simplices[:count].copy(), owners[:groups].copy(), starts[: groups + 1].copy()


@kernel
def number_vertices(
    simplices: Any, g0: int, g1: int, strides: Any, table: Any, keys: Any, count: int, vertices: Any
) -> int:
    """Number the vertices of the simplices g0..g1; returns the new number of vertices."""
    step = np.empty(6, np.int64)
    for g in range(g0, g1):
        base = get(simplices, g) // CODES
        code = get(simplices, g) - base * CODES
        for i in range(6):
            step[i] = 0
        for i in range(1, 6):
            rank = code % 6
            step[5 - rank] = strides[i]
            code //= 6
        for k in range(6):
            # the coordinates of rank > 5 - k have stepped down by one
            if k > 0:
                base -= step[k - 1]
            key = base * 6 + k
            slot = find_slot(table, keys, key)
            vertex = get(table, slot)
            if vertex < 0:
                vertex = count
                put(keys, count, key)
                put(table, slot, vertex)
                count += 1
            put(vertices, 6 * g + k, vertex)
    return count


@kernel
def find_vertices(simplices: Any, owners: Any, strides: Any) -> Any:
    """Vertices of all simplices.

    Returns:
        (vertex keys int64 (V,), their hash table, corners int32 (6 G,)): for each group the vertex of
        remainder 0..5.
    """
    total = simplices.shape[0]
    keys = np.empty(6 * total, np.int64)
    table = hashed(keys, 0, min(6 * total, 2 * BATCH))
    vertices = np.empty(6 * total, np.int32)
    count = 0
    for g in range(0, total, BATCH // 6):
        if 2 * (count + BATCH) > table.shape[0]:
            table = hashed(keys, count, min(6 * total, 2 * (count + BATCH)))
        count = number_vertices(simplices, g, min(total, g + BATCH // 6), strides, table, keys, count, vertices)
    corners = np.empty(6 * owners.shape[0], np.int32)
    for g in range(owners.shape[0]):
        for k in range(6):
            put(corners, 6 * g + k, get(vertices, 6 * get(owners, g) + k))
    return keys[:count].copy(), table, corners


@kernel
def find_chains(keys: Any, table: Any, strides: Any) -> Any:
    """Chains of neighbouring vertices along each of the six directions of the lattice.

    Returns:
        links int32 (L,): the chains of direction 0, then those of direction 1, and so on. The last vertex
        v of a chain is written as -1 - v. Vertices without a neighbour appear in no chain.
    """
    count = keys.shape[0]
    after = np.empty(count, np.int32)
    first = np.empty(count, np.uint8)
    links = np.empty(6 * count, np.int32)
    total = strides[1] + strides[2] + strides[3] + strides[4] + strides[5]
    at = 0
    for j in range(6):
        first[:] = 1
        for v in range(count):
            key = get(keys, v)
            other = key + 1 - 6 * strides[j] if key % 6 < 5 else key - 5 + 6 * (total - strides[j])
            u = get(table, find_slot(table, keys, other))
            put(after, v, u)
            if u >= 0:
                put(first, u, 0)
        for v in range(count):
            if get(first, v) > 0 and get(after, v) >= 0:
                u = v
                while get(after, u) >= 0:
                    put(links, at, u)
                    at += 1
                    u = get(after, u)
                put(links, at, -1 - u)
                at += 1
    return links[:at].copy()
