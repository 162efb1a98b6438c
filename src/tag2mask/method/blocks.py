"""Maps of large images in pieces: where to cut, and values at any piece of a finer grid. NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

CRF_PIXELS = 4_000_000
"""Most pixels that the dense CRF works on at once; larger photographs are made smaller for it, or cut."""

_STRIP = 512


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a grid: `outer` with its surroundings, `core` the part that counts, both as (rows, columns)."""

    outer: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core within the outer piece."""
        pairs = zip(self.core, self.outer, strict=True)
        rows, columns = (slice(c.start - o.start, c.stop - o.start) for c, o in pairs)
        return rows, columns


def blocks(size: tuple[int, int], core: int, halo: int) -> Iterator[Block]:
    """Cut a grid (H, W) into blocks of about `core` a side whose cores tile it, each with `halo` around it."""
    for rows, outer_rows in _pieces(size[0], core, halo):
        for columns, outer_columns in _pieces(size[1], core, halo):
            yield Block((outer_rows, outer_columns), (rows, columns))


def _pieces(length: int, core: int, halo: int) -> list[tuple[slice, slice]]:
    count = max(1, round(length / core))
    edges = [round(index * length / count) for index in range(count + 1)]
    spans = pairwise(edges)
    return [(slice(a, b), slice(max(0, a - halo), min(length, b + halo))) for a, b in spans]


def crf_size(shape: tuple[int, int], seen: tuple[int, int]) -> tuple[int, int]:
    """Size (H, W) at which the dense CRF works on a photograph.

    Args:
        shape: (H, W) of the photograph.
        seen: (H, W) at which the network sees it.

    Returns:
        `shape`, unless it has more than `CRF_PIXELS`: then that many, but no side shorter than `seen`.
    """
    pixels = shape[0] * shape[1]
    if pixels <= CRF_PIXELS:
        return shape
    factor = min(1.0, max((CRF_PIXELS / pixels) ** 0.5, seen[0] / shape[0], seen[1] / shape[1]))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def values_at(maps: NDArray[np.float32], size: tuple[int, int], rows: slice, columns: slice) -> NDArray[np.float32]:
    """Values of maps at a piece of a grid, by bilinear interpolation with half-pixel centres.

    The same as resizing all of the maps to `size` and cutting the piece out, without the whole.

    Args:
        maps: (K, h, w).
        size: (H, W) of the grid.
        rows: of the piece, with start and stop.
        columns: of the piece, with start and stop.

    Returns:
        (K, rows, columns).
    """
    low, high, share = _neighbours(maps.shape[1], size[0], rows)
    along: NDArray[Any] = maps[:, low] * (1 - share)[:, None] + maps[:, high] * share[:, None]
    low, high, share = _neighbours(maps.shape[2], size[1], columns)
    return np.asarray(along[:, :, low] * (1 - share) + along[:, :, high] * share, dtype=np.float32)


def _neighbours(
    source: int, target: int, piece: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = (np.arange(piece.start, piece.stop) + 0.5) * (source / target) - 0.5
    position = np.clip(position, 0, source - 1)
    low = position.astype(np.intp)
    return low, np.minimum(low + 1, source - 1), (position - low).astype(np.float32)


def mask_at(probs: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Arg max over K of (K, h, w) probabilities at `size`, strip by strip."""
    if probs.shape[1:] == size:
        return np.asarray(probs.argmax(axis=0), dtype=np.uint8)
    mask = np.empty(size, dtype=np.uint8)
    kept = np.flatnonzero(probs.reshape(len(probs), -1).any(axis=1)).astype(np.uint8)
    for top in range(0, size[0], _STRIP):
        rows = slice(top, min(top + _STRIP, size[0]))
        mask[rows] = kept[values_at(probs[kept], size, rows, slice(0, size[1])).argmax(axis=0)]
    return mask
