"""Which classes an image's tags say are present, and which are left to the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError

Tags = str | Iterable[str] | None
"""Names of the classes that are present in an image; a text is one name; None: the network decides."""


def tag_states(
    classes: Sequence[str], tags: Tags, unknown: Tags = None
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Which classes are present, (C,) bool or None for all left to the network, and which the network decides on.

    Raises:
        DataError: a name that the network does not know.
    """
    if tags is None:
        return None, np.ones(len(classes), dtype=bool)
    return _named(classes, tags), _named(classes, () if unknown is None else unknown)


def _named(classes: Sequence[str], names: str | Iterable[str]) -> NDArray[np.bool_]:
    """Which classes are named, (C,) bool."""
    named = np.zeros(len(classes), dtype=bool)
    for name in [names] if isinstance(names, str) else names:
        if name not in classes:
            raise DataError(f"unknown class '{name}'; this network knows: {', '.join(classes)}")
        named[classes.index(name)] = True
    return named
