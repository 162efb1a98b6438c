"""Kernels that bring class planes into the order of the mean-field kernels, and back.

Both go tile by tile, so that what they read and write at random lies in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import get, greatest, largest, load, log, put, store, subtract, vector

STRIP = 64
"""Pixels transposed at a time."""
NEVER = -1e30
"""Log-odds of a lane that holds no class."""

_ZERO = np.float32(0)


@kernel
def gather_logs(wide: Any, scores: Any, pixels: Any, p0: int, p1: int, floor: Any, out: Any, at: int) -> None:
    """Logarithms of one class plane `scores` (H * W,) at `pixels[p0:p1]`, into `out[at:]`."""
    for p in range(p0, p1):
        put(out, at + p - p0, get(scores, get(pixels, p)))
    if floor > _ZERO:
        for i in range(at, at + p1 - p0, 16):
            store(out, i, log(load(wide, out, i), floor))


@kernel
def inspect(scores: Any, wins: Any) -> Any:
    """Look once at all probabilities.

    Args:
        scores: float32 (K, N).
        wins: int64 (K,), added to: at how many pixels each class has the greatest probability.

    Returns:
        (sum of 0 * value, which is 0 unless a value is NaN or infinite; lowest; highest; how far the sum
        over the classes is from 1 where it is worst).
    """
    classes, count = scores.shape
    sums = np.zeros(STRIP, np.float32)
    best = np.zeros(STRIP, np.float32)
    which = np.zeros(STRIP, np.int32)
    poison = np.float32(0)
    low, high, worst = scores[0, 0], scores[0, 0], np.float32(0)
    for p0 in range(0, count, STRIP):
        size = min(STRIP, count - p0)
        sums[:] = 0
        best[:] = -1
        which[:] = 0
        for k in range(classes):
            plane = scores[k]
            for i in range(size):
                value = get(plane, p0 + i)
                sums[i] += value
                if value > best[i]:
                    best[i] = value
                    which[i] = k
                low = value if value < low else low
                high = value if value > high else high
        for i in range(size):
            wins[which[i]] += 1
            poison += sums[i] * np.float32(0)
            off = abs(sums[i] - np.float32(1))
            worst = off if off > worst else worst
    return poison, low, high, worst


@kernel
def pack(
    wide_lanes: Any,
    tail_lanes: int,
    full: int,
    scores: Any,
    labels: Any,
    floor: Any,
    bias: Any,
    pixels: Any,
    tiles: Any,
    unary: Any,
) -> Any:
    """Unary in the order of the mean-field kernels.

    Args:
        wide_lanes: a tuple of 16 zeros.
        tail_lanes: lanes of the last chunk; full: chunks of 16 lanes before it.
        scores: float32 (any, H * W): probabilities where `floor` > 0, else log-probabilities.
        labels: int64 (K,), the rows of `scores` that take part.
        floor: least probability; 0 for log-probabilities.
        bias: float32 (N,), subtracted; in the order of `pixels`.
        pixels: int32 (N,), the pixel at each position.
        tiles: int64 (T + 1,), first positions of the tiles.
        unary: float32 (N * lanes,), written: log-odds against the last class minus `bias`.

    Returns:
        The greatest absolute log-odds, before `bias`.
    """
    wide = vector(wide_lanes)
    classes, count = labels.shape[0], scores.shape[1]
    longest = 0
    for t in range(tiles.shape[0] - 1):
        longest = max(longest, get(tiles, t + 1) - get(tiles, t))
    room = (longest + 15) // 16 * 16
    last = np.zeros(room, np.float32)
    planes = np.zeros(room * 16, np.float32)
    extreme = wide
    for t in range(tiles.shape[0] - 1):
        p0, p1 = get(tiles, t), get(tiles, t + 1)
        size = p1 - p0
        gather_logs(wide, scores[labels[classes - 1]], pixels, p0, p1, floor, last, 0)
        for c in range(full + 1):
            lanes = 16 if c < full else tail_lanes
            used = min(lanes, classes - 1 - 16 * c)
            for k in range(used):
                at = k * room
                gather_logs(wide, scores[labels[16 * c + k]], pixels, p0, p1, floor, planes, at)
                for i in range(0, size, 16):
                    odds = subtract(load(wide, planes, at + i), load(wide, last, i))
                    extreme = greatest(extreme, greatest(odds, subtract(wide, odds)))
                    store(planes, at + i, odds)
            to = (c * count * 16) + p0 * lanes
            for i0 in range(0, size, STRIP):
                i1 = min(i0 + STRIP, size)
                for k in range(used):
                    for i in range(i0, i1):
                        put(unary, to + i * lanes + k, get(planes, k * room + i) - get(bias, p0 + i))
                for k in range(used, lanes):
                    for i in range(i0, i1):
                        put(unary, to + i * lanes + k, NEVER)
    return largest(extreme)


@kernel
def unpack(
    tail_lanes: int, full: int, unary: Any, last: Any, labels: Any, pixels: Any, tiles: Any, out: Any
) -> None:
    """Marginals from the order of the kernels: the inverse of `pack`.

    Args:
        unary: float32 (N * lanes,), marginals of all classes but the last.
        last: float32 (N,), marginals of the last class.
        out: float32 (any, H * W); the rows `labels` are written. The other arguments as in `pack`.
    """
    classes, count = labels.shape[0], out.shape[1]
    longest = 0
    for t in range(tiles.shape[0] - 1):
        longest = max(longest, get(tiles, t + 1) - get(tiles, t))
    planes = np.empty(longest * 16, np.float32)
    for t in range(tiles.shape[0] - 1):
        p0, p1 = get(tiles, t), get(tiles, t + 1)
        size = p1 - p0
        for c in range(full + 1):
            lanes = 16 if c < full else tail_lanes
            used = min(lanes, classes - 1 - 16 * c)
            at = (c * count * 16) + p0 * lanes
            for i0 in range(0, size, STRIP):
                i1 = min(i0 + STRIP, size)
                for k in range(used):
                    for i in range(i0, i1):
                        put(planes, k * longest + i, get(unary, at + i * lanes + k))
            for k in range(used):
                plane = out[labels[16 * c + k]]
                for i in range(size):
                    put(plane, get(pixels, p0 + i), get(planes, k * longest + i))
        plane = out[labels[classes - 1]]
        for i in range(size):
            put(plane, get(pixels, p0 + i), get(last, p0 + i))
