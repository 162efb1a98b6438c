"""The lattice vertices of the simplices that contain pixels, and chains of neighbours for the blur.

`embedding` describes the keys: a vertex of remainder k has the key `6 base + k`, so the keys of its neighbours
follow by arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.embedding import CODES
from tag2mask.crf.simd import get, put

BATCH = 12288
"""Number of vertices looked up between two checks of the hash table's size; a multiple of 6."""

_HASH = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@part
def find_slot(table: Any, keys: Any, key: int) -> Any:
    """Slot of an open-addressing hash table that holds the index of `key` in `keys`, or that is free (-1)."""
    mask = np.uint64(table.shape[0] - 1)
    mixed = np.uint64(key) * _HASH
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while get(table, slot) >= 0 and get(keys, get(table, slot)) != key:
        slot = (slot + _ONE) & mask
    return slot


@part
def hashed(keys: Any, count: int, least: int) -> Any:
    """Hash table of `keys[:count]` with more than `2 * least` slots."""
    capacity = 1024
    while capacity <= 2 * least:
        capacity *= 2
    table = np.full(capacity, -1, np.int32)
    for i in range(count):
        put(table, find_slot(table, keys, get(keys, i)), i)
    return table


@part
def find_or_add(table: Any, keys: Any, key: int, count: int) -> Any:
    """Index of `key` in `keys[:count]`; a new key is added there and in the hash table, and its index is `count`."""
    slot = find_slot(table, keys, key)
    index = get(table, slot)
    if index < 0:
        index = count
        put(keys, count, key)
        put(table, slot, index)
    return index


@part
def number_vertices(
    simplices: Any, g0: int, g1: int, strides: Any, table: Any, keys: Any, count: int, vertices: Any
) -> int:
    """Give numbers to the vertices of the simplices g0..g1, and return the new number of vertices.

    Args:
        simplices: int64 (S,), keys of the simplices.
        g0, g1: first simplex, and the one after the last.
        strides: int64 (6,), as `grouping.group_pixels` takes them.
        table, keys: hash table and keys of the vertices; new vertices are added.
        count: number of vertices before.
        vertices: int32 (6 S,), written: numbers of the vertices of remainder 0..5 of each simplex.
    """
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
            vertex = find_or_add(table, keys, base * 6 + k, count)
            if vertex == count:
                count += 1
            put(vertices, 6 * g + k, vertex)
    return count


@kernel
def find_vertices(simplices: Any, owners: Any, strides: Any) -> Any:
    """Vertices of all simplices.

    Args:
        simplices, owners: as `grouping.group_pixels` returns them.
        strides: int64 (6,), as `grouping.group_pixels` takes them.

    Returns:
        (keys int64 (V,), their hash table, corners int32 (6 G,)). `corners` are the numbers of the vertices of
        remainder 0..5 of each group's simplex.
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

    Args:
        keys, table: as `find_vertices` returns them.
        strides: int64 (6,), as `grouping.group_pixels` takes them.

    Returns:
        chains int32 (L,): the chains of direction 0, then those of direction 1, and so on. The last vertex
        v of a chain is written as -1 - v. Vertices without neighbours are in no chain.
    """
    count = keys.shape[0]
    after = np.empty(count, np.int32)
    first = np.empty(count, np.uint8)
    chains = np.empty(6 * count, np.int32)
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
        at = write_chains(after, first, chains, at)
    return chains[:at].copy()


@part
def write_chains(after: Any, first: Any, chains: Any, at: int) -> int:
    """Write the chains of one direction to `chains[at:]`, and return the entry after the last.

    Args:
        after: int32 (V,), the next vertex of each, or -1.
        first: uint8 (V,), whether no vertex has this one as its next.
        chains: int32, with room for all vertices.
        at: first entry.
    """
    for v in range(after.shape[0]):
        if get(first, v) > 0 and get(after, v) >= 0:
            u = v
            while get(after, u) >= 0:
                put(chains, at, u)
                at += 1
                u = get(after, u)
            put(chains, at, -1 - u)
            at += 1
    return at
