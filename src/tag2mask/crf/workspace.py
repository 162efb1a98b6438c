"""Memory that each thread keeps from call to call.

Fresh memory comes from the system page by page and zeroed, which for one image costs as much as two or
three mean-field updates. What is kept holds no results: every entry is written before it is read.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LINE = 16
"""Floats in a cache line of 64 bytes."""
_MOST_KEPT = 2**23
"""Floats kept for each purpose and thread, 32 MB; larger pieces go back to the system."""


class Workspace(threading.local):
    """One piece of memory for each thread."""

    def __init__(self) -> None:
        self._kept: Floats | None = None

    def take(self, size: int) -> Floats:
        """Float32 (size,) with any content, starting at a cache line; the kept piece where it is enough."""
        kept, self._kept = self._kept, None
        if kept is not None and len(kept) >= size:
            return kept[:size]
        raw = np.empty(size + LINE, np.float32)
        start = -(raw.ctypes.data // 4) % LINE
        return raw[start : start + size]

    def give(self, piece: Floats) -> None:
        """Keep a piece that came from `take` and that nothing refers to any more."""
        whole = _whole(piece)
        if len(whole) <= _MOST_KEPT:
            self._kept = whole


def _whole(piece: Floats) -> Floats:
    """All of the memory behind a piece, from its first entry on."""
    raw = piece
    while isinstance(raw.base, np.ndarray):
        raw = raw.base
    start = (piece.ctypes.data - raw.ctypes.data) // 4
    return raw[start:]


def padded(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // LINE) * LINE
