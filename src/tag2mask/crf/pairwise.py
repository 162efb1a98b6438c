"""Pairwise terms of the drop-in interface: kernel types, normalisations and label compatibilities."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tag2mask.crf.errors import ArrayError, ParameterError
from tag2mask.crf.general import GeneralLattice

Floats = NDArray[np.float32]

_TINY = np.float32(1e-20)


class KernelType(IntEnum):
    """Parameters of a kernel that pydensecrf could learn: none, one per feature, or a matrix.

    Their initial values scale no feature, and this package does not learn, so all three give the same results.
    """

    CONST_KERNEL = 0
    DIAG_KERNEL = 1
    FULL_KERNEL = 2


class NormalizationType(IntEnum):
    """Normalisation of a filter matrix K with D = diag(K 1).

    NO_NORMALIZATION: K. NORMALIZE_BEFORE: K D^-1. NORMALIZE_AFTER: D^-1 K.
    NORMALIZE_SYMMETRIC: D^-1/2 K D^-1/2.
    """

    NO_NORMALIZATION = 0
    NORMALIZE_BEFORE = 1
    NORMALIZE_AFTER = 2
    NORMALIZE_SYMMETRIC = 3


class Compatibility:
    """Label compatibility: a Potts weight, a weight per class, or a symmetric matrix."""

    def __init__(self, value: ArrayLike, labels: int) -> None:
        """Check and store `value`.

        Args:
            value: a number, float (K,) or float (K, K).
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
    """One pairwise term with explicit features; its lattice is built at first use."""

    def __init__(self, features: Floats, compat: ArrayLike, kernel: int, normalization: int, labels: int) -> None:
        """Check the arguments.

        Args:
            features: float32 (D, N), divided by their standard deviations.
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
        self._lattice: GeneralLattice | None = None
        self._norm: Floats = np.empty((1, 0), np.float32)

    def energies(self, marginals: Floats) -> Floats:
        """Energies, float32 (K, N), of this term given the marginals, float32 (K, N)."""
        if self._lattice is None:
            self._lattice = GeneralLattice(self.features)
            norm = self._lattice.filter(np.ones((1, self.features.shape[1]), np.float32))
            symmetric = self.normalization == NormalizationType.NORMALIZE_SYMMETRIC
            self._norm = np.asarray(1 / (np.sqrt(norm + _TINY) if symmetric else norm + _TINY), np.float32)
        kind = NormalizationType
        if self.normalization in (kind.NORMALIZE_BEFORE, kind.NORMALIZE_SYMMETRIC):
            marginals = marginals * self._norm
        messages = self._lattice.filter(marginals)
        if self.normalization in (kind.NORMALIZE_AFTER, kind.NORMALIZE_SYMMETRIC):
            messages = messages * self._norm
        return self.compatibility.apply(messages)


def softmax(logits: Floats) -> Floats:
    """Probabilities, float32 (K, N), of logits (K, N); -inf gives 0, and at least one of each column is finite."""
    odds = np.exp(logits - logits.max(axis=0))
    return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


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
