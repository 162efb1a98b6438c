"""Pairwise terms of the drop-in interface: kernel types, normalisations and label compatibilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tag2mask.crf.errors import ArrayError, ParameterError
from tag2mask.crf.general import GeneralLattice, NormalizationType

Floats = NDArray[np.float32]


class KernelType(IntEnum):
    """Parameters of a kernel that pydensecrf could learn: none, one per feature, or a matrix.

    Their initial values scale no feature, and this package does not learn, so all three give the same results.
    """

    CONST_KERNEL = 0
    DIAG_KERNEL = 1
    FULL_KERNEL = 2


class Compatibility:
    """Label compatibility: a Potts weight, a weight per class, or a symmetric matrix."""

    def __init__(self, value: ArrayLike, labels: int) -> None:
        """Check and store `value`.

        Args:
            value: a number, float32 (K,) or float32 (K, K).
            labels: the number K of classes.

        Raises:
            ArrayError: another shape or type, or a value that is not finite.
        """
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or array.shape not in ((), (labels,), (labels, labels)):
            raise ArrayError(
                f"`compat` must be a number, an array ({labels},) or an array ({labels}, {labels}), "
                f"not {array.dtype} of shape {array.shape}"
            )
        if array.ndim and array.dtype != np.float32:
            raise ArrayError(
                f"`compat` must be float32, as in pydensecrf, not {array.dtype}; convert it with astype(np.float32)"
            )
        if not np.isfinite(array).all():
            raise ArrayError("`compat` must be finite")
        self.values: Floats = array.astype(np.float32)
        if self.values.ndim == 2:
            self.values = ((self.values + self.values.T) / 2).astype(np.float32)

    @property
    def potts(self) -> float | None:
        """The Potts weight, or None for a vector or matrix."""
        return float(self.values) if self.values.ndim == 0 else None

    def apply(self, messages: Floats) -> Floats:
        """Energies, float32 (K, N), from filtered marginals, float32 (K, N)."""
        if self.values.ndim == 0:
            return np.asarray(-self.values * messages)
        if self.values.ndim == 1:
            return np.asarray(self.values[:, None] * messages)
        return np.asarray(self.values @ messages)


class PairwiseTerm:
    """One pairwise term; its features are computed, and its lattice is built, at first use."""

    def __init__(
        self, features: Callable[[], Floats], compat: ArrayLike, kernel: int, normalization: int, labels: int
    ) -> None:
        """Check the arguments.

        Args:
            features: returns float32 (D, N), divided by their standard deviations.
            compat: label compatibility, as in `Compatibility`.
            kernel: a `KernelType`.
            normalization: a `NormalizationType`.
            labels: number of classes.

        Raises:
            ParameterError: `kernel` or `normalization` is unknown.
            ArrayError: `compat` has a wrong shape or type, or is not finite.
        """
        _member(KernelType, "kernel", kernel)
        self.normalization = NormalizationType(_member(NormalizationType, "normalization", normalization))
        self.compatibility = Compatibility(compat, labels)
        self.features = features

    @cached_property
    def lattice(self) -> GeneralLattice:
        """The filter of this term."""
        return GeneralLattice(self.features(), self.normalization)

    @property
    def reach(self) -> float:
        """The most by which this term can change the difference of two classes' energies at a point."""
        return float(2 * np.abs(self.compatibility.values).max() * np.abs(self.lattice.sums).max(initial=0))

    def energies(self, marginals: Floats) -> Floats:
        """Energies, float32 (K, N), of this term given the marginals, float32 (K, N)."""
        return self.compatibility.apply(self.lattice.filter(marginals))


def _member(kind: type[IntEnum], name: str, value: Any) -> int:
    try:
        return int(kind(value))
    except ValueError as error:
        raise ParameterError(f"`{name}` must be one of {', '.join(kind.__members__)}, not {value!r}") from error


def deviations(name: str, value: float | Sequence[float], length: int) -> tuple[float, ...]:
    """Return standard deviations as `length` numbers, from one number for all or a sequence.

    Raises:
        ParameterError: wrong length, or a number that is not positive and finite.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ParameterError(f"`{name}` must be a number or {length} numbers, not {value!r}") from None
    if numbers.ndim == 0:
        numbers = np.full(length, float(numbers))
    if numbers.shape != (length,):
        raise ParameterError(f"`{name}` must be a number or {length} numbers, not {value!r}")
    if not np.isfinite(numbers).all() or (numbers <= 0).any():
        raise ParameterError(f"`{name}` must be above 0 and finite, not {value!r}")
    return tuple(float(number) for number in numbers)
