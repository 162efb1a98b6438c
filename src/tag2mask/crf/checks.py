"""Checks of the arguments. Each error says what was given and what was expected."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.errors import ArrayError, ParameterError

_MOST_PIXELS = 2**31 // 6 - 1
_SUM_TOLERANCE = 0.02


def checked_image(image: Any) -> NDArray[np.uint8]:
    """Check an image, and return it as a contiguous array uint8 (H, W, 3).

    Raises:
        ArrayError: not a uint8 array of shape (H, W, 3), empty, or too large.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        raise ArrayError(f"`image` must be an array of shape (H, W, 3), RGB, not {_describe(image)}")
    if image.dtype != np.uint8:
        raise ArrayError(f"`image` must be uint8 with values 0..255, not {_describe(image)}; convert it")
    if image.size == 0:
        raise ArrayError(f"`image` is empty: {_describe(image)}")
    if image.shape[0] * image.shape[1] > _MOST_PIXELS:
        raise ArrayError(f"`image` has more than {_MOST_PIXELS} pixels: {_describe(image)}; resize it")
    return np.ascontiguousarray(image)


def checked_probs(probs: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Check type and shape of probabilities, and return them as contiguous float32 (K, H, W).

    `check_values` checks the values.

    Raises:
        ArrayError: not a float array of shape (K, H, W) for an image of `shape` (H, W).
    """
    if not isinstance(probs, np.ndarray) or probs.ndim != 3:
        raise ArrayError(f"`probs` must be an array of shape (K, H, W), not {_describe(probs)}")
    if probs.dtype.kind != "f":
        raise ArrayError(f"`probs` must be float32 between 0 and 1, not {_describe(probs)}; convert it")
    if probs.shape[0] == 0:
        raise ArrayError(f"`probs` has no classes: {_describe(probs)}")
    if probs.shape[1:] != shape:
        raise ArrayError(
            f"`probs` has shape {probs.shape} but the image is {shape[0]} high and {shape[1]} wide; "
            "expected (K, H, W) with the image's height and width"
        )
    return np.ascontiguousarray(probs, dtype=np.float32)


def check_values(finite: bool, low: float, high: float, worst_sum: float) -> None:
    """Check the values of probabilities from the statistics that `layout.inspect` returns.

    Raises:
        ArrayError: a value is NaN, infinite, negative or above 1, or the sum over the classes is not 1.
    """
    if not finite:
        raise ArrayError("`probs` holds NaN or infinite values; find where they arise, the CRF cannot repair them")
    if low < 0 or high > 1 + _SUM_TOLERANCE:
        raise ArrayError(f"`probs` must lie between 0 and 1, but runs from {low:.4g} to {high:.4g}; apply softmax")
    if worst_sum > _SUM_TOLERANCE:
        raise ArrayError(
            f"`probs` must sum to 1 over the classes, but the sum at one pixel is off by {worst_sum:.3g}; "
            "divide by the sum over axis 0"
        )


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0.

    Raises:
        ParameterError: any other value.
    """
    number = _number(name, value)
    if number <= 0:
        raise ParameterError(f"`{name}` must be above 0, not {value!r}")
    return number


def non_negative(name: str, value: Any) -> float:
    """Return a finite number of at least 0.

    Raises:
        ParameterError: any other value.
    """
    number = _number(name, value)
    if number < 0:
        raise ParameterError(f"`{name}` must not be negative, but is {value!r}")
    return number


def fraction(name: str, value: Any) -> float:
    """Return a number of at least 0 and below 1.

    Raises:
        ParameterError: any other value.
    """
    number = non_negative(name, value)
    if number >= 1:
        raise ParameterError(f"`{name}` is a fraction of the pixels, at least 0 and below 1, not {value!r}")
    return number


def scale_factor(name: str, value: Any) -> float:
    """Return a number above 0 and at most 1.

    Raises:
        ParameterError: any other value.
    """
    number = positive(name, value)
    if number > 1:
        raise ParameterError(f"`{name}` must be at most 1, not {value!r}; the CRF does not enlarge images")
    return number


def count(name: str, value: Any, least: int) -> int:
    """Return an integer of at least `least`; 5.0, an array or a tensor without dimensions count as one.

    Raises:
        ParameterError: any other value.
    """
    number = _real(value)
    if number is None or not math.isfinite(number) or number != int(number) or number < least:
        raise ParameterError(f"`{name}` must be a whole number of at least {least}, not {value!r}")
    return int(number)


def _number(name: str, value: Any) -> float:
    number = _real(value)
    if number is None:
        raise ParameterError(f"`{name}` must be a number, not {value!r}")
    if not math.isfinite(number):
        raise ParameterError(f"`{name}` must be finite, not {value!r}")
    return float(number)


def _real(value: Any) -> int | float | None:
    """A number of Python, or the one of an array or tensor without dimensions; None for anything else."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return float(value) if isinstance(value, Real) else None


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
