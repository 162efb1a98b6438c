"""The fully connected (dense) CRF: NumPy arrays in and out, kernels compiled by Numba.

`tag2mask.crf.pydensecrf` holds a drop-in replacement for the package pydensecrf.
"""

from __future__ import annotations

from tag2mask.crf.inference import dense_crf, dense_crf_batch
from tag2mask.crf.lattice import Lattice

__all__ = ["Lattice", "dense_crf", "dense_crf_batch"]
