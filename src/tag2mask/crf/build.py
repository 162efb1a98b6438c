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

TILE = 64
"""Pixels are visited in squares of this side, so that neighbours in order are neighbours in the image."""
CODES = 7776
"""6**5: the number of codes for five ranks of 0..5."""

_ZERO = np.float32(0)
_ONE = np.float32(1)
_SIX = np.float32(6)
_SIXTH = np.float32(1 / 6)
_HASH = np.uint64(0x9E3779B97F4A7C15)


@kernel
def embed_run(
    image: Any, y: int, x0: int, count: int, scale: Any, strides: Any, offset: int, keys: Any, weights: Any
) -> None:
    """Embed `count` pixels of row `y` from column `x0`: simplex keys and barycentric weights.

    Args:
        image: uint8 (H, W, 3).
        y, x0, count: the run of pixels.
        scale: float32 (5,): scale of x, y, red, green, blue.
        strides: int64 (6,): mixed-radix strides; entry 0 is 0.
        offset: added to `base`, so that it is never negative.
        keys: int64 (>= count,), written.
        weights: float32 (6, >= count), written; column sums are 1.
    """
    s0, s1, s2, s3, s4 = scale[0], scale[1], scale[2], scale[3], scale[4]
    r1, r2, r3, r4, r5 = strides[1], strides[2], strides[3], strides[4], strides[5]
    fy = np.float32(y) * s1
    for i in range(count):
        x = x0 + i
        f0 = np.float32(x) * s0
        f2 = np.float32(image[y, x, 0]) * s2
        f3 = np.float32(image[y, x, 1]) * s3
        f4 = np.float32(image[y, x, 2]) * s4
        z5 = -np.float32(5) * f4
        z4 = f4 - np.float32(4) * f3
        t = f4 + f3
        z3 = t - np.float32(3) * f2
        t = t + f2
        z2 = t - np.float32(2) * fy
        t = t + fy
        z1 = t - f0
        z0 = t + f0
        # nearest point of remainder 0, then how far the coordinates lie from it, in units of 6
        q0 = np.floor(z0 * _SIXTH + np.float32(0.5))
        q1 = np.floor(z1 * _SIXTH + np.float32(0.5))
        q2 = np.floor(z2 * _SIXTH + np.float32(0.5))
        q3 = np.floor(z3 * _SIXTH + np.float32(0.5))
        q4 = np.floor(z4 * _SIXTH + np.float32(0.5))
        q5 = np.floor(z5 * _SIXTH + np.float32(0.5))
        d0 = z0 * _SIXTH - q0
        d1 = z1 * _SIXTH - q1
        d2 = z2 * _SIXTH - q2
        d3 = z3 * _SIXTH - q3
        d4 = z4 * _SIXTH - q4
        d5 = z5 * _SIXTH - q5
        total = q0 + q1 + q2 + q3 + q4 + q5
        # rank: how many coordinates lie farther out
        c01 = np.float32(d0 < d1)
        c02 = np.float32(d0 < d2)
        c03 = np.float32(d0 < d3)
        c04 = np.float32(d0 < d4)
        c05 = np.float32(d0 < d5)
        c12 = np.float32(d1 < d2)
        c13 = np.float32(d1 < d3)
        c14 = np.float32(d1 < d4)
        c15 = np.float32(d1 < d5)
        c23 = np.float32(d2 < d3)
        c24 = np.float32(d2 < d4)
        c25 = np.float32(d2 < d5)
        c34 = np.float32(d3 < d4)
        c35 = np.float32(d3 < d5)
        c45 = np.float32(d4 < d5)
        k0 = total + c01 + c02 + c03 + c04 + c05
        k1 = total + _ONE - c01 + c12 + c13 + c14 + c15
        k2 = total + np.float32(2) - c02 - c12 + c23 + c24 + c25
        k3 = total + np.float32(3) - c03 - c13 - c23 + c34 + c35
        k4 = total + np.float32(4) - c04 - c14 - c24 - c34 + c45
        k5 = total + np.float32(5) - c05 - c15 - c25 - c35 - c45
        # where the rounded point left the plane, move the outermost coordinates by one step
        m0 = np.float32(k0 < _ZERO) - np.float32(k0 >= _SIX)
        m1 = np.float32(k1 < _ZERO) - np.float32(k1 >= _SIX)
        m2 = np.float32(k2 < _ZERO) - np.float32(k2 >= _SIX)
        m3 = np.float32(k3 < _ZERO) - np.float32(k3 >= _SIX)
        m4 = np.float32(k4 < _ZERO) - np.float32(k4 >= _SIX)
        m5 = np.float32(k5 < _ZERO) - np.float32(k5 >= _SIX)
        q1 += m1
        q2 += m2
        q3 += m3
        q4 += m4
        q5 += m5
        code = (k1 + _SIX * m1) + _SIX * (
            (k2 + _SIX * m2)
            + _SIX * ((k3 + _SIX * m3) + _SIX * ((k4 + _SIX * m4) + _SIX * (k5 + _SIX * m5)))
        )
        base = np.int64(q1) * r1 + np.int64(q2) * r2 + np.int64(q3) * r3 + np.int64(q4) * r4
        base += np.int64(q5) * r5 + offset
        keys[i] = base * CODES + np.int64(code)
        # distances in descending order by a sorting network; weights are their differences
        d0 -= m0
        d1 -= m1
        d2 -= m2
        d3 -= m3
        d4 -= m4
        d5 -= m5
        d0, d5 = max(d0, d5), min(d0, d5)
        d1, d3 = max(d1, d3), min(d1, d3)
        d2, d4 = max(d2, d4), min(d2, d4)
        d1, d2 = max(d1, d2), min(d1, d2)
        d3, d4 = max(d3, d4), min(d3, d4)
        d0, d3 = max(d0, d3), min(d0, d3)
        d2, d5 = max(d2, d5), min(d2, d5)
        d0, d1 = max(d0, d1), min(d0, d1)
        d2, d3 = max(d2, d3), min(d2, d3)
        d4, d5 = max(d4, d5), min(d4, d5)
        d1, d2 = max(d1, d2), min(d1, d2)
        d3, d4 = max(d3, d4), min(d3, d4)
        weights[0, i] = _ONE + d5 - d0
        weights[1, i] = d4 - d5
        weights[2, i] = d3 - d4
        weights[3, i] = d2 - d3
        weights[4, i] = d1 - d2
        weights[5, i] = d0 - d1


@kernel
def find_slot(table: Any, key: int) -> int:
    """Slot of `key` in the open-addressing table, or the free slot (-1) where it belongs."""
    mask = table.shape[0] - 1
    mixed = np.uint64(key) * _HASH
    slot = np.int64((mixed ^ (mixed >> np.uint64(32))) >> np.uint64(8)) & mask
    while table[slot] != key and table[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@kernel
def rehash(keys: Any, count: int, capacity: int) -> Any:
    """Table (keys, ids) of `capacity` slots over `keys[:count]`, where the id is the position."""
    table = np.full(capacity, -1, np.int64)
    ids = np.empty(capacity, np.int32)
    for i in range(count):
        slot = find_slot(table, keys[i])
        table[slot] = keys[i]
        ids[slot] = i
    return table, ids


@kernel
def group_pixels(image: Any, scale: Any, strides: Any, offset: int) -> Any:
    """Group the pixels of an image by simplex.

    Args:
        image: uint8 (H, W, 3); the other arguments as in `embed_run`.

    Returns:
        (simplex keys int64 (G,), starts int32 (G + 1,), pixels int32 (N,), weights float32 (N, 6)).
        Group g holds the entries starts[g] .. starts[g + 1] of `pixels` (y * W + x) and `weights`.
    """
    height, width = image.shape[0], image.shape[1]
    n = height * width
    run_keys = np.empty(TILE, np.int64)
    run_weights = np.empty((6, TILE), np.float32)
    simplices = np.empty(max(64, n // 4), np.int64)
    table, ids = rehash(simplices, 0, 1024)
    group = np.empty(n, np.int32)
    visited = np.empty((n, 6), np.float32)
    groups = 0
    at = 0
    last_key = np.int64(-1)
    last = np.int32(-1)
    for y0 in range(0, height, TILE):
        for x0 in range(0, width, TILE):
            count = min(TILE, width - x0)
            for y in range(y0, min(y0 + TILE, height)):
                embed_run(image, y, x0, count, scale, strides, offset, run_keys, run_weights)
                for i in range(count):
                    key = run_keys[i]
                    if key != last_key:
                        slot = find_slot(table, key)
                        if table[slot] == -1:
                            if groups == simplices.shape[0]:
                                larger = np.empty(min(n, 2 * groups), np.int64)
                                larger[:groups] = simplices
                                simplices = larger
                            simplices[groups] = key
                            table[slot] = key
                            ids[slot] = groups
                            groups += 1
                            if 2 * groups > table.shape[0]:
                                table, ids = rehash(simplices, groups, 4 * table.shape[0])
                                slot = find_slot(table, key)
                        last_key = key
                        last = ids[slot]
                    group[at + i] = last
                    for j in range(6):
                        visited[at + i, j] = run_weights[j, i]
                at += count
    starts = np.zeros(groups + 1, np.int32)
    for t in range(n):
        starts[group[t] + 1] += 1
    for g in range(groups):
        starts[g + 1] += starts[g]
    nxt = starts[:groups].copy()
    pixels = np.empty(n, np.int32)
    weights = np.empty((n, 6), np.float32)
    t = 0
    for y0 in range(0, height, TILE):
        for x0 in range(0, width, TILE):
            for y in range(y0, min(y0 + TILE, height)):
                for x in range(x0, min(x0 + TILE, width)):
                    p = nxt[group[t]]
                    nxt[group[t]] = p + 1
                    pixels[p] = y * width + x
                    for j in range(6):
                        weights[p, j] = visited[t, j]
                    t += 1
    return simplices[:groups].copy(), starts, pixels, weights


@kernel
def find_vertices(simplices: Any, strides: Any) -> Any:
    """Vertices of all simplices.

    Returns:
        (vertex keys int64 (V,), vertices int32 (G, 6)): for each simplex the vertex of remainder 0..5.
    """
    groups = simplices.shape[0]
    keys = np.empty(max(64, groups), np.int64)
    table, ids = rehash(keys, 0, 1024)
    vertices = np.empty((groups, 6), np.int32)
    count = 0
    step = np.empty(6, np.int64)
    for g in range(groups):
        base = simplices[g] // CODES
        code = simplices[g] - base * CODES
        step[:] = 0
        for i in range(1, 6):
            step[5 - code % 6] = strides[i]
            code //= 6
        for k in range(6):
            # coordinates of rank > 5 - k step down by one as the remainder grows
            if k > 0:
                base -= step[k - 1]
            key = base * 6 + k
            slot = find_slot(table, key)
            if table[slot] == -1:
                if count == keys.shape[0]:
                    larger = np.empty(2 * count, np.int64)
                    larger[:count] = keys
                    keys = larger
                keys[count] = key
                table[slot] = key
                ids[slot] = count
                count += 1
                if 2 * count > table.shape[0]:
                    table, ids = rehash(keys, count, 4 * table.shape[0])
                    slot = find_slot(table, key)
            vertices[g, k] = ids[slot]
    return keys[:count].copy(), vertices


@kernel
def find_chains(keys: Any, strides: Any) -> Any:
    """Chains of neighbouring vertices along each of the six directions of the lattice.

    Returns:
        (links int32 (L,), ends int64 (6,)): `links[:ends[0]]` are the chains of direction 0, the next
        entries up to `ends[1]` those of direction 1, and so on. The last vertex v of a chain is
        written as -1 - v. Vertices without a neighbour appear in no chain.
    """
    count = keys.shape[0]
    capacity = 1024
    while capacity < 2 * count:
        capacity *= 2
    table, ids = rehash(keys, count, capacity)
    after = np.empty(count, np.int32)
    first = np.empty(count, np.bool_)
    links = np.empty(6 * count, np.int32)
    ends = np.empty(6, np.int64)
    total = strides[1] + strides[2] + strides[3] + strides[4] + strides[5]
    at = 0
    for j in range(6):
        first[:] = True
        for v in range(count):
            key = keys[v]
            other = key + 1 - 6 * strides[j] if key % 6 < 5 else key - 5 + 6 * (total - strides[j])
            slot = find_slot(table, other)
            if table[slot] == -1:
                after[v] = -1
            else:
                after[v] = ids[slot]
                first[ids[slot]] = False
        for v in range(count):
            if first[v] and after[v] >= 0:
                u = np.int32(v)
                while after[u] >= 0:
                    links[at] = u
                    at += 1
                    u = after[u]
                links[at] = np.int32(-1) - u
                at += 1
        ends[j] = at
    return links[:at].copy(), ends
