"""Errors of the CRF: those of the package, and `ValueError`s too, as pydensecrf raises them."""

from __future__ import annotations

from tag2mask.core.errors import ConfigError, DataError


class ArrayError(DataError, ValueError):
    """An array has the wrong type, shape or values."""


class ParameterError(ConfigError, ValueError):
    """A parameter is out of range, or contradicts another one."""


class TooFineError(ParameterError):
    """Standard deviations are too small for the keys of the optimised lattice; `GeneralLattice` has wider ones."""
