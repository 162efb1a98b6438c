"""The fully connected CRF: NumPy arrays in and out, compiled by Numba."""

from __future__ import annotations

from tag2mask.crf.inference import dense_crf, dense_crf_batch
from tag2mask.crf.lattice import Lattice

__all__ = ["Lattice", "dense_crf", "dense_crf_batch"]
