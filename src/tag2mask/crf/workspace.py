"""Scratch memory that each thread keeps from call to call.

New memory comes from the operating system page by page and zeroed; for one image that costs as much as two
or three mean-field updates. No result stays in the kept memory: every entry is written before it is read.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LINE = 16
"""Number of floats in a cache line of 64 bytes."""
_MOST_KEPT = 2**23
"""Number of floats kept per workspace and thread, 32 MB; larger arrays are freed."""


class Workspace(threading.local):
    """One reusable array for each thread."""

    def __init__(self) -> None:
        self._kept: Floats | None = None

    def take(self, size: int) -> Floats:
        """Uninitialised float32 (size,), aligned to a cache line; the kept array if it is large enough."""
        kept, self._kept = self._kept, None
        if kept is not None and len(kept) >= size:
            return kept[:size]
        raw = np.empty(size + LINE, np.float32)
        start = -(raw.ctypes.data // 4) % LINE
        return raw[start : start + size]

    def give_back(self, array: Floats) -> None:
        """Keep an array that came from `take` and that nothing uses any more."""
        whole = _whole(array)
        if len(whole) <= _MOST_KEPT:
            self._kept = whole


def _whole(array: Floats) -> Floats:
    """The full memory that an array is a view of, from the array's first entry on."""
    raw = array
    while isinstance(raw.base, np.ndarray):
        raw = raw.base
    start = (array.ctypes.data - raw.ctypes.data) // 4
    return raw[start:]


def padded(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // LINE) * LINE
