"""Kernels that bring class planes into the order of the mean-field kernels, and back.

Both go tile by tile, so that what they read and write at random lies in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import add, get, greatest, least, load, multiply, put, select, splat, store, subtract, vector
from tag2mask.crf.simd_math import largest, log

STRIP = 64
"""Pixels transposed at a time."""
PIECE = 1024
"""Pixels looked at at a time; a multiple of 16."""
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
def inspect(wide_lanes: Any, scores: Any, counting: bool, wins: Any) -> Any:
    """Look once at all probabilities.

    Args:
        wide_lanes: a tuple of 16 zeros.
        scores: float32 (K * N,), class plane after class plane.
        counting: whether to count the wins.
        wins: int64 (K,), added to: at how many pixels each class has the greatest probability.

    Returns:
        (whether all values are finite; lowest; highest; greatest distance of a pixel's sum from 1).
    """
    zero = vector(wide_lanes)
    one = splat(zero, np.float32(1))
    below_all = splat(zero, np.float32(-1))
    classes = wins.shape[0]
    count = scores.shape[0] // classes
    low, high, worst, poison = one, zero, zero, zero
    edge = np.empty(16 * classes, np.float32)
    tally = np.zeros(4 * classes, np.int64)
    # class by class over a piece of all pixels, so that what is read lies in long runs
    totals, bests, winners = np.empty((3, PIECE), np.float32)
    for p0 in range(0, count, PIECE):
        used = min(PIECE, count - p0)
        whole = used // 16 * 16
        if whole < used:
            # the last pixel stands in for those beyond the end
            for k in range(classes):
                for i in range(16):
                    edge[16 * k + i] = scores[k * count + p0 + min(whole + i, used - 1)]
        for i in range(0, used, 16):
            store(totals, i, zero)
            store(bests, i, below_all)
            store(winners, i, zero)
        for k in range(0, classes, 2):
            # two classes at a time; the last one of an odd number stands in for its neighbour
            j = min(k + 1, classes - 1)
            name, other = splat(zero, np.float32(k)), splat(zero, np.float32(j))
            counted = splat(zero, np.float32(j - k))
            for i in range(0, used, 16):
                a = load(zero, scores, k * count + p0 + i) if i < whole else load(zero, edge, 16 * k)
                b = load(zero, scores, j * count + p0 + i) if i < whole else load(zero, edge, 16 * j)
                low, high = least(low, least(a, b)), greatest(high, greatest(a, b))
                store(totals, i, add(load(zero, totals, i), add(a, multiply(b, counted))))
                if counting:
                    best, winner = load(zero, bests, i), load(zero, winners, i)
                    winner = select(best, a, name, winner)
                    best = greatest(best, a)
                    store(winners, i, select(best, b, other, winner))
                    store(bests, i, greatest(best, b))
        for i in range(0, used, 16):
            total = load(zero, totals, i)
            poison = add(poison, multiply(total, zero))
            off = subtract(total, one)
            worst = greatest(worst, greatest(off, subtract(zero, off)))
        if counting:
            # neighbours mostly agree, and four counters do not wait for each other
            for i in range(used):
                at = 4 * np.int64(get(winners, i)) + i % 4
                put(tally, at, get(tally, at) + 1)
    for k in range(classes):
        for i in range(4):
            wins[k] += tally[4 * k + i]
    which = np.empty(16, np.float32)
    store(which, 0, poison)
    finite = True
    for i in range(16):
        finite = finite and which[i] == 0
    return finite, -largest(subtract(zero, low)), largest(high), largest(worst)


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
def unpack(tail_lanes: int, full: int, unary: Any, last: Any, labels: Any, pixels: Any, tiles: Any, out: Any) -> None:
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
