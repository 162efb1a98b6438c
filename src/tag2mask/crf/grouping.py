"""Grouping the pixels of an image, tile by tile, by the lattice simplex that contains them.

Pixels of a group share six vertices, so that splat and slice load and store these once per group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.embedding import CODES, PLANE, TILE, embed_run
from tag2mask.crf.simd import get, put
from tag2mask.crf.vertices import find_slot, hashed

SIZES = 64
"""Sorting treats groups of this many pixels or more as equally large."""


@part
def sort_groups(first: int, end: int, at: int, starts: Any, owners: Any, cursor: Any) -> None:
    """Sort the groups first..end by size (counting sort), so that branches in loops over groups are predictable.

    Args:
        first, end: the groups of a tile.
        at: first pixel of the tile.
        starts: sizes of the groups; replaced by their first pixels, in the new order.
        owners: simplex of each group; reordered.
        cursor: int32 (2 * PLANE,), written: first pixel of each group, indexed by its old number minus `first`.
    """
    offsets = np.zeros(SIZES + 1, np.int32)
    for g in range(first, end):
        put(cursor, PLANE + g - first, get(owners, g))
        size = min(get(starts, g), SIZES - 1)
        put(offsets, size + 1, get(offsets, size + 1) + 1)
    for size in range(1, SIZES + 1):
        put(offsets, size, get(offsets, size) + get(offsets, size - 1))
    for g in range(first, end):
        size = min(get(starts, g), SIZES - 1)
        position = get(offsets, size)
        put(offsets, size, position + 1)
        put(owners, first + position, get(cursor, PLANE + g - first))
        put(cursor, g - first, position)
    for g in range(first, end):
        put(cursor, PLANE + get(cursor, g - first), get(starts, g))
    for g in range(first, end):
        put(starts, g, at)
        at += get(cursor, PLANE + g - first)
    for g in range(first, end):
        put(cursor, g - first, get(starts, first + get(cursor, g - first)))


@part
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
        at, groups, count: numbers of pixels, groups and simplices before this tile.
        table, simplices: hash table and keys of simplices, with free slots for every pixel of a tile.
        latest: int32, the most recent group of each simplex.
        work, planes, sequence, cursor: scratch memory.
        starts, owners: written: first pixel and simplex of each group.
        pixels, weights: written, as in `group_pixels`.
    """
    height, width = image.shape[0], image.shape[1]
    y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
    first = groups
    last_key = np.int64(-1)
    group: Any = np.int64(-1)
    s1, s2, s3, s4, s5 = strides[1], strides[2], strides[3], strides[4], strides[5]
    keys = np.empty(TILE, np.int64)
    for y in range(y0, y1):
        row = (y - y0) * TILE
        embed_run(image, y, x0, x1 - x0, scale, work, planes, row)
        # a separate loop, which the compiler vectorises
        for i in range(x1 - x0):
            base = offset + np.int64(get(work, i)) * s1 + np.int64(get(work, TILE + i)) * s2
            base += np.int64(get(work, 2 * TILE + i)) * s3 + np.int64(get(work, 3 * TILE + i)) * s4
            base += np.int64(get(work, 4 * TILE + i)) * s5
            put(keys, i, base * CODES + np.int64(get(work, 5 * TILE + i)))
        for i in range(x1 - x0):
            key = get(keys, i)
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
        scale: float32 (5,), factors of x, y, red, green and blue.
        strides: int64 (6,): mixed-radix strides of q_0..q_5; entry 0 is 0.
        offset: added to `base` so that keys are not negative.
        pixels: int32 (N,), written: index y * W + x of each pixel, in the order of the groups.
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
