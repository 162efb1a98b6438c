"""Drop-in replacement for `pydensecrf.eigen`: what it returns are NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.errors import ArrayError

Floats = NDArray[np.float32]

__all__ = ["matrixXf", "vectorXf"]


def vectorXf(data: Any) -> Floats:  # noqa: N802 (pydensecrf's name)
    """Copy a vector.

    Args:
        data: float32 (N,).

    Raises:
        TypeError: `data` is no array.
        ArrayError: another type or number of dimensions.
    """
    return _copied("vectorXf", data, 1)


def matrixXf(data: Any) -> Floats:  # noqa: N802
    """Copy a matrix.

    Args:
        data: float32 (M, N).

    Raises:
        TypeError: `data` is no array.
        ArrayError: another type or number of dimensions.
    """
    return _copied("matrixXf", data, 2)


def _copied(name: str, data: Any, dimensions: int) -> Floats:
    if not isinstance(data, np.ndarray):
        raise TypeError(f"{name} takes a NumPy array, not {type(data).__name__}")
    if data.dtype != np.float32 or data.ndim != dimensions:
        raise ArrayError(
            f"{name} takes a float32 array of {dimensions} dimension{'s' if dimensions > 1 else ''}, "
            f"not {data.dtype} of shape {data.shape}; convert it with astype(np.float32)"
        )
    return data.copy()
