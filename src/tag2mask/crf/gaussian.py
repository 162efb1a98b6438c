"""The lattice of the Gaussian term, which depends on the image's size and the standard deviations only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import norms, planar, update

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_LEAST_DEVIATION = 0.3
"""In pixels. For smaller standard deviations pixels have no neighbours in the lattice, and nothing changes."""
_KEPT_PIXELS = 2**20
"""Lattices of larger images are not cached; one of this size takes 29 MB."""
_WIDE = (0.0,) * 16


@dataclass(frozen=True, eq=False)
class GaussianLattice:
    """The two-dimensional permutohedral lattice of pixel positions, pixels row by row.

    Attributes:
        corners: int32 (3 N,), the vertices of the simplex that holds each pixel.
        weights: float32 (3 N,), barycentric weights times D^-1/2.
        total: float32 (N,), the normalised filter applied to a constant 1.
        chains: int32, chains of neighbouring vertices as `vertices.find_chains` writes them.
        count: number of vertices.
    """

    corners: Ints
    weights: Floats
    total: Floats
    chains: Ints
    count: int


def gaussian_lattice(size: tuple[int, int], sigma: tuple[float, float]) -> GaussianLattice:
    """The lattice for images of `size` (H, W) and standard deviations `sigma` (x, y); the last 4 are cached."""
    return _cached(size, sigma) if size[0] * size[1] <= _KEPT_PIXELS else _build(size, sigma)


def _build(size: tuple[int, int], sigma: tuple[float, float]) -> GaussianLattice:
    scale = scale_of([max(value, _LEAST_DEVIATION) for value in sigma])
    length = math.ceil((size[1] - 1) * scale[0] * 2 / 3) + 6
    breadth = math.ceil((size[0] - 1) * scale[1]) + 8
    pixels = size[0] * size[1]
    corners, weights = np.empty(3 * pixels, np.int32), np.empty(3 * pixels, np.float32)
    sx, sy = np.float32(scale[0]), np.float32(scale[1])
    planar.embed_positions(pixels, size[1], sx, sy, breadth, corners, weights)
    count, chains = planar.number_grid_vertices(corners, length, breadth)
    values, splatted = np.zeros((2, count), np.float32)
    norms.splat_ones(corners, weights, values)
    update.blur(_WIDE, (0.0,), 0, values, chains)
    norms.normalise_planar(corners, weights, values, splatted)
    update.blur(_WIDE, (0.0,), 0, splatted, chains)
    total = np.empty(pixels, np.float32)
    norms.slice_planar(corners, weights, splatted, total)
    return GaussianLattice(corners, weights, total, chains, count)


_cached = lru_cache(maxsize=4)(_build)


def scale_of(deviations: Sequence[float]) -> NDArray[np.float64]:
    """Factors (D,) of the D features in the embedding, for which the lattice's blur has these deviations.

    Adams et al. 2010: feature i is scaled by sqrt(2/3) (D + 1) / sqrt((i + 1)(i + 2)) / sigma_i.
    """
    size = len(deviations)
    i = np.arange(size)
    factors = math.sqrt(2 / 3) * (size + 1) / np.sqrt((i + 1.0) * (i + 2.0))
    return np.asarray(factors / np.array(deviations))
