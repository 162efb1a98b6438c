"""Plain filters over any number of channels: the permutohedral lattice and the position grid.

Values stand pixel-major, float32 (N, C), in the order of the lattice's groups. The mean-field loop has
faster fused kernels of its own; these serve normalisation, single steps and unusual settings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel


@kernel
def splat_lattice(values: Any, starts: Any, vertices: Any, weights: Any, count: int) -> Any:
    """Sum of weights * values at each of `count` vertices: float32 (V, C)."""
    channels = values.shape[1]
    corners = vertices.shape[1]
    out = np.zeros((count, channels), np.float32)
    for g in range(starts.shape[0] - 1):
        for p in range(starts[g], starts[g + 1]):
            for j in range(corners):
                v = vertices[g, j]
                w = weights[p, j]
                for c in range(channels):
                    out[v, c] += w * values[p, c]
    return out


@kernel
def blur_lattice(nodes: Any, links: Any) -> None:
    """Blur `nodes` float32 (V, C) in place by (1/2, 1, 1/2) along all chains, direction by direction."""
    channels = nodes.shape[1]
    half = np.float32(0.5)
    before = np.zeros(channels, np.float32)
    i = 0
    while i < links.shape[0]:
        before[:] = 0
        v = links[i]
        while v >= 0:
            i += 1
            u = links[i]
            after = u if u >= 0 else -1 - u
            for c in range(channels):
                here = nodes[v, c]
                nodes[v, c] = here + half * (before[c] + nodes[after, c])
                before[c] = here
            v = u
        v = -1 - v
        for c in range(channels):
            nodes[v, c] += half * before[c]
        i += 1


@kernel
def slice_lattice(nodes: Any, starts: Any, vertices: Any, weights: Any) -> Any:
    """Values at the pixels from those at the vertices: float32 (N, C)."""
    channels = nodes.shape[1]
    corners = vertices.shape[1]
    out = np.zeros((weights.shape[0], channels), np.float32)
    for g in range(starts.shape[0] - 1):
        for p in range(starts[g], starts[g + 1]):
            for j in range(corners):
                v = vertices[g, j]
                w = weights[p, j]
                for c in range(channels):
                    out[p, c] += w * nodes[v, c]
    return out


@kernel
def splat_grid(values: Any, corner: Any, weights: Any, rows: int, columns: int) -> Any:
    """Sum of weights * values at each node of the position grid: float32 (rows * columns, C)."""
    channels = values.shape[1]
    out = np.zeros((rows * columns, channels), np.float32)
    for p in range(values.shape[0]):
        for j in range(4):
            v = corner[p] + (j & 1) + (j >> 1) * columns
            w = weights[p, j]
            for c in range(channels):
                out[v, c] += w * values[p, c]
    return out


@kernel
def blur_grid(nodes: Any, rows: int, columns: int, taps: Any) -> Any:
    """Convolve the grid by `taps` (the half kernel, centre first) along both axes; nodes outside are 0."""
    channels = nodes.shape[1]
    for axis in range(2):
        out = np.zeros_like(nodes)
        step = columns if axis == 0 else 1
        for y in range(rows):
            for x in range(columns):
                at = y * columns + x
                where = y if axis == 0 else x
                size = rows if axis == 0 else columns
                for t in range(-taps.shape[0] + 1, taps.shape[0]):
                    if 0 <= where + t < size:
                        w = taps[abs(t)]
                        for c in range(channels):
                            out[at, c] += w * nodes[at + t * step, c]
        nodes = out
    return nodes


@kernel
def slice_grid(nodes: Any, corner: Any, weights: Any, columns: int) -> Any:
    """Values at the pixels from those at the nodes of the grid: float32 (N, C)."""
    channels = nodes.shape[1]
    out = np.zeros((weights.shape[0], channels), np.float32)
    for p in range(weights.shape[0]):
        for j in range(4):
            v = corner[p] + (j & 1) + (j >> 1) * columns
            w = weights[p, j]
            for c in range(channels):
                out[p, c] += w * nodes[v, c]
    return out
