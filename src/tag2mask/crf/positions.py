"""The lattice of pixel positions, which depends on the size of the image and the deviations alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import meanfield, norms, planar

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_LEAST_DEVIATION = 0.3
"""Pixels; below it a pixel has no neighbours left in the lattice, and nothing changes."""
_KEPT_PIXELS = 2**20
"""Plans of larger images are not kept; one of this size takes 29 MB."""
_WIDE = (0.0,) * 16


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the pixels of an image lie in the lattice, row by row.

    Attributes:
        corners: int32 (3 N,), the nodes of each pixel.
        weights: float32 (3 N,), barycentric weights times the normalisation.
        total: float32 (N,), the filtered constant.
        links: int32, chains of nodes as `vertices.find_chains` writes them.
        count: number of nodes.
    """

    corners: Ints
    weights: Floats
    total: Floats
    links: Ints
    count: int


def plan_of(size: tuple[int, int], sigma: tuple[float, float]) -> Plan:
    """The plan for images of `size` (H, W) with deviations `sigma` (x, y); the last few are kept."""
    return _kept(size, sigma) if size[0] * size[1] <= _KEPT_PIXELS else _make(size, sigma)


def _make(size: tuple[int, int], sigma: tuple[float, float]) -> Plan:
    scale = scale_of([max(value, _LEAST_DEVIATION) for value in sigma])
    length = math.ceil((size[1] - 1) * scale[0] * 2 / 3) + 6
    breadth = math.ceil((size[0] - 1) * scale[1]) + 8
    pixels = size[0] * size[1]
    corners, weights = np.empty(3 * pixels, np.int32), np.empty(3 * pixels, np.float32)
    sx, sy = np.float32(scale[0]), np.float32(scale[1])
    planar.embed_positions(pixels, size[1], sx, sy, breadth, corners, weights)
    count, links = planar.number_nodes(corners, length, breadth)
    nodes, again = np.zeros((2, count), np.float32)
    norms.splat_ones(corners, weights, nodes)
    meanfield.blur(_WIDE, (0.0,), 0, nodes, links)
    norms.normalise_planar(corners, weights, nodes, again)
    meanfield.blur(_WIDE, (0.0,), 0, again, links)
    total = np.empty(pixels, np.float32)
    norms.slice_planar(corners, weights, again, total)
    return Plan(corners, weights, total, links, count)


_kept = lru_cache(maxsize=4)(_make)


def scale_of(deviations: Sequence[float]) -> NDArray[np.float64]:
    """Factors of the features in the embedding, so that its blur has these deviations."""
    size = len(deviations)
    i = np.arange(size)
    factors = math.sqrt(2 / 3) * (size + 1) / np.sqrt((i + 1.0) * (i + 2.0))
    return np.asarray(factors / np.array(deviations))
