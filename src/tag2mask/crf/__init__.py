"""The fully connected (dense) CRF: NumPy arrays in and out, kernels compiled by Numba.

`tag2mask.crf.pydensecrf` holds a drop-in replacement for the package pydensecrf. Numba is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tag2mask.crf.inference import dense_crf, dense_crf_batch
    from tag2mask.crf.lattice import Lattice

_HOMES = {
    "Lattice": "tag2mask.crf.lattice",
    "dense_crf": "tag2mask.crf.inference",
    "dense_crf_batch": "tag2mask.crf.inference",
}

__all__ = ["Lattice", "dense_crf", "dense_crf_batch"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import tag2mask.crf` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tag2mask.crf' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
