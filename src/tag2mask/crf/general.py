"""The permutohedral lattice for features of any number of dimensions, for pairwise terms of the drop-in interface.

A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x. A plain implementation;
`grouping` and `update` are the optimised one for the two usual terms on images.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.compiling import kernel
from tag2mask.crf.errors import ArrayError

Floats = NDArray[np.float32]

_HASH = np.uint64(0x9E3779B97F4A7C15)
_REACH = 2**30
_WIDE_REACH = 2**44
"""Coordinates up to these fit into keys of 32 bits, and can be told apart by a hundredth in double precision."""


class GeneralLattice:
    """Unnormalised Gaussian filter exp(-|f_i - f_j|^2 / 2) over the points of a feature space."""

    def __init__(self, features: Floats) -> None:
        """Build the lattice.

        Args:
            features: float32 (D, N), divided by their standard deviations.

        Raises:
            ArrayError: the features are not finite, or too large for the lattice's coordinates.
        """
        size = features.shape[0]
        i = np.arange(size)
        factors = math.sqrt(2 / 3) * (size + 1) / np.sqrt((i + 1.0) * (i + 2.0))
        scaled = np.ascontiguousarray(features.T * factors, dtype=np.float32)
        reach = np.abs(scaled).sum(axis=1, dtype=np.float64).max(initial=0) * size
        if not reach <= _WIDE_REACH:
            raise ArrayError("`features` must be finite and below about 10**11 standard deviations; check their scale")
        key_type = np.int32 if reach <= _REACH else np.int64
        self.corners, self.weights, keys = embed_points(scaled, np.empty((64, size), key_type))
        self.before, self.after = find_neighbours(keys)
        self._gain = np.float32(1 / (1 + 2.0**-size))

    def filter(self, values: Floats) -> Floats:
        """Filter `values`, float32 (C, N): sum over j of exp(-|f_i - f_j|^2 / 2) values_j, of the same shape."""
        filtered = filter_points(np.ascontiguousarray(values.T), self.corners, self.weights, self.before, self.after)
        return np.ascontiguousarray(filtered.T * self._gain)


@kernel
def find_row(table: Any, rows: Any, row: Any) -> Any:
    """Slot of an open-addressing hash table that holds the index of `row` in `rows`, or that is free (-1)."""
    mask = np.uint64(table.shape[0] - 1)
    mixed = np.uint64(0)
    for i in range(row.shape[0]):
        mixed = (mixed ^ np.uint64(np.int64(row[i]))) * _HASH
        mixed ^= mixed >> np.uint64(29)
    slot = mixed & mask
    while table[slot] >= 0:
        same = True
        for i in range(row.shape[0]):
            if rows[table[slot], i] != row[i]:
                same = False
                break
        if same:
            break
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel
def table_of(rows: Any, count: int, least: int) -> Any:
    """Hash table of `rows[:count]` with more than `2 * least` slots."""
    capacity = 1024
    while capacity <= 2 * least:
        capacity *= 2
    table = np.full(capacity, -1, np.int32)
    for i in range(count):
        table[find_row(table, rows, rows[i])] = i
    return table


@kernel
def embed_points(points: Any, keys: Any) -> Any:
    """Vertices and barycentric weights of the simplex that contains each point.

    Args:
        points: float32 (N, D), scaled for the embedding.
        keys: int32 or int64 (64, D), scratch memory; its type is that of the keys.

    Returns:
        (corners int32 (N, D + 1), barycentric weights float32 (N, D + 1), keys (V, D)). A key is the first D
        coordinates of a vertex.
    """
    count, size = points.shape
    corners = np.empty((count, size + 1), np.int32)
    weights = np.empty((count, size + 1), np.float32)
    table = table_of(keys, 0, 512)
    used = 0
    z = np.empty(size + 1, np.float64)
    nearest = np.empty(size + 1, np.int64)
    rank = np.empty(size + 1, np.int64)
    ordered = np.empty(size + 1, np.float64)
    key = np.empty(size, keys.dtype)
    for p in range(count):
        tail = 0.0
        for i in range(size, 0, -1):
            z[i] = tail - i * points[p, i - 1]
            tail += points[p, i - 1]
        z[0] = tail
        off = 0
        for i in range(size + 1):
            nearest[i] = np.int64(np.floor(z[i] / (size + 1) + 0.5))
            off += nearest[i]
        for i in range(size + 1):
            rank[i] = off
        for i in range(size):
            for j in range(i + 1, size + 1):
                if z[i] - nearest[i] * (size + 1) < z[j] - nearest[j] * (size + 1):
                    rank[i] += 1
                else:
                    rank[j] += 1
        for i in range(size + 1):
            if rank[i] < 0:
                rank[i] += size + 1
                nearest[i] += 1
            elif rank[i] > size:
                rank[i] -= size + 1
                nearest[i] -= 1
            ordered[rank[i]] = z[i] / (size + 1) - nearest[i]
        weights[p, 0] = 1 + ordered[size] - ordered[0]
        for k in range(1, size + 1):
            weights[p, k] = ordered[size - k] - ordered[size - k + 1]
        if 2 * (used + size + 1) > table.shape[0]:
            table = table_of(keys, used, 2 * (used + size + 1))
        if used + size + 1 > keys.shape[0]:
            larger = np.empty((2 * (used + size + 1), size), keys.dtype)
            larger[:used] = keys[:used]
            keys = larger
        for k in range(size + 1):
            for i in range(size):
                key[i] = nearest[i] * (size + 1) + k - (size + 1 if rank[i] > size - k else 0)
            slot = find_row(table, keys, key)
            if table[slot] < 0:
                keys[used] = key
                table[slot] = used
                used += 1
            corners[p, k] = table[slot]
    return corners, weights, keys[:used].copy()


@kernel
def find_neighbours(keys: Any) -> Any:
    """Neighbours of each vertex along each direction.

    Args:
        keys: int32 or int64 (V, D), as `embed_points` returns them.

    Returns:
        (before, after), each int32 (D + 1, V); V means no neighbour.
    """
    count, size = keys.shape
    table = table_of(keys, count, count)
    before = np.full((size + 1, count), count, np.int32)
    after = np.full((size + 1, count), count, np.int32)
    key = np.empty(size, keys.dtype)
    for j in range(size + 1):
        for v in range(count):
            for i in range(size):
                key[i] = keys[v, i] + 1
            if j < size:
                key[j] = keys[v, j] - size
            u = table[find_row(table, keys, key)]
            if u >= 0:
                after[j, v] = u
                before[j, u] = v
    return before, after


@kernel
def filter_points(values: Any, corners: Any, weights: Any, before: Any, after: Any) -> Any:
    """Splat, blur with (1/2, 1, 1/2) along each direction, and slice.

    Args:
        values: float32 (N, C).
        corners, weights: as `embed_points` returns them.
        before, after: as `find_neighbours` returns them.

    Returns:
        float32 (N, C).
    """
    channels = values.shape[1]
    directions, count = before.shape
    vertices = np.zeros((count + 1, channels), np.float32)
    blurred = np.zeros((count + 1, channels), np.float32)
    for p in range(values.shape[0]):
        for k in range(corners.shape[1]):
            v = corners[p, k]
            for c in range(channels):
                vertices[v, c] += weights[p, k] * values[p, c]
    half = np.float32(0.5)
    for j in range(directions):
        for v in range(count):
            u, w = before[j, v], after[j, v]
            for c in range(channels):
                blurred[v, c] = vertices[v, c] + half * (vertices[u, c] + vertices[w, c])
        vertices, blurred = blurred, vertices
    out = np.zeros((values.shape[0], channels), np.float32)
    for p in range(values.shape[0]):
        for k in range(corners.shape[1]):
            v = corners[p, k]
            for c in range(channels):
                out[p, c] += weights[p, k] * vertices[v, c]
    return out
