"""The permutohedral lattice for features of any number of dimensions, for pairwise terms of the drop-in interface.

A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x. `lattice` is the one for the two usual terms on
images, which groups pixels by simplex.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import norms, points, term_update, update
from tag2mask.crf.errors import ArrayError
from tag2mask.crf.gaussian import scale_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_WIDE = (0.0,) * 16
_FARTHEST = 2.0**44
"""Coordinates up to this can be told apart by a hundredth in double precision."""
_TINY = np.float32(1e-20)


class NormalizationType(IntEnum):
    """Normalisation of a filter matrix K with D = diag(K 1).

    NO_NORMALIZATION: K. NORMALIZE_BEFORE: K D^-1. NORMALIZE_AFTER: D^-1 K.
    NORMALIZE_SYMMETRIC: D^-1/2 K D^-1/2.
    """

    NO_NORMALIZATION = 0
    NORMALIZE_BEFORE = 1
    NORMALIZE_AFTER = 2
    NORMALIZE_SYMMETRIC = 3


class GeneralLattice:
    """Normalised Gaussian filter, K(i, j) = exp(-|f_i - f_j|^2 / 2), over the points of a feature space.

    Attributes:
        size: number of vertices of a simplex, D + 1.
        count: number of vertices.
        corners: int32 (N size,), the numbers of the vertices of each point's simplex.
        slicing, splatting: float32 (N size,), barycentric weights of the slice and of the splat, with the
            normalisation; the same array where that is symmetric.
        chains: int32, chains of neighbouring vertices as `vertices.find_chains` writes them.
        sums: float32 (N,), the filter applied to a constant 1.
    """

    def __init__(self, features: Floats, normalization: NormalizationType) -> None:
        """Build the lattice.

        Args:
            features: float32 (D, N), divided by their standard deviations.
            normalization: of the filter.

        Raises:
            ArrayError: the features are not finite, or too large for the lattice's coordinates.
        """
        self.size = len(features) + 1
        scale = scale_of([1.0] * len(features))
        most = np.maximum(features.max(axis=1, initial=0), -features.min(axis=1, initial=0))
        reach = self.size * float(scale @ most.astype(np.float64))
        if not reach <= _FARTHEST:
            raise ArrayError("`features` must be finite and below about 10**11 standard deviations; check their scale")
        near = np.zeros((self.size, points.BLOCK), np.float32) if reach <= points.NEAR else None
        far = np.zeros((self.size, points.BLOCK), np.float64) if near is None else None
        entries = self.size * features.shape[1]
        self.corners: Ints = np.empty(entries, np.int32)
        self.splatting: Floats = np.empty(entries, np.float32)
        multipliers = _multipliers(self.size)
        keys, table = points.embed_points(
            np.ascontiguousarray(features), scale, multipliers, near, far, self.corners, self.splatting
        )
        self.count = len(keys)
        self.chains: Ints = points.find_links(keys, table, multipliers)
        self.slicing: Floats = self.splatting
        self.sums = np.empty(features.shape[1], np.float32)
        self._normalise(normalization)

    def _normalise(self, kind: NormalizationType) -> None:
        """Multiply the normalisation into the weights, and filter a constant 1 into `sums`."""
        gain = np.float32(1 / (1 + 2.0 ** (1 - self.size)))
        self._filter_ones()
        norm = self.sums * gain + _TINY
        if kind == NormalizationType.NORMALIZE_SYMMETRIC:
            norms.scale_weights(self.splatting, np.sqrt(gain / norm), self.splatting)
        else:
            self.slicing = np.empty_like(self.splatting)
            after = gain / norm if kind == NormalizationType.NORMALIZE_AFTER else np.full_like(norm, gain)
            norms.scale_weights(self.splatting, after, self.slicing)
            if kind == NormalizationType.NORMALIZE_BEFORE:
                norms.scale_weights(self.splatting, 1 / norm, self.splatting)
        self._filter_ones()

    def _filter_ones(self) -> None:
        values = np.zeros(self.count, np.float32)
        norms.splat_ones(self.corners, self.splatting, values)
        update.blur(_WIDE, (0.0,), 0, values, self.chains)
        norms.slice_ones(self.corners, self.slicing, values, self.sums)

    def filter(self, values: Floats) -> Floats:
        """Filter `values`, float32 (C, N), to an array of the same shape."""
        out = np.empty_like(values)
        corners = 4 * self.corners  # the form that `simd.load_vertex` takes
        for first in range(0, len(values), 16):
            used = len(values[first : first + 16])
            lanes = np.zeros((values.shape[1], 16), np.float32)
            lanes[:, :used] = values[first : first + 16].T
            vertices = np.zeros(self.count * 16, np.float32)
            term_update.splat_all(_WIDE, lanes.reshape(-1), vertices, corners, self.splatting)
            update.blur(_WIDE, _WIDE, 0, vertices, self.chains)
            term_update.slice_all(_WIDE, lanes.reshape(-1), vertices, corners, self.slicing)
            out[first : first + used] = lanes[:, :used].T
        return out


def _multipliers(size: int) -> NDArray[np.int64]:
    """The same odd random numbers in each run, int64 (2, size); the first is 0."""
    drawn = np.random.default_rng(0).integers(-(2**62), 2**62, (2, size)) * 2 + 1
    drawn[0, 0] = 0
    return drawn
