"""Kernels that check class planes, reorder them for the mean-field kernels, and reorder the marginals back.

Reordering runs tile by tile, so that scattered reads and writes stay in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.interleaving import interleave, separate
from tag2mask.crf.simd import (
    add,
    get,
    greatest,
    least,
    load,
    multiply,
    put,
    select,
    splat,
    store,
    subtract,
    vector,
    width,
)
from tag2mask.crf.simd_math import largest, log

PIECE = 1024
"""Number of pixels that `inspect` reads at a time; a multiple of 16."""
NEVER = -1e30
"""Log-odds of a lane without a class; its exponential is practically 0."""

_ZERO = np.float32(0)


@part
def gather_logs(wide: Any, scores: Any, pixels: Any, p0: int, p1: int, floor: Any, out: Any, at: int) -> None:
    """Log-probabilities of one class plane `scores` (H * W,) at `pixels[p0:p1]`, written to `out[at:]`."""
    for p in range(p0, p1):
        put(out, at + p - p0, get(scores, get(pixels, p)))
    if floor > _ZERO:
        for i in range(at, at + p1 - p0, 16):
            store(out, i, log(load(wide, out, i), floor))


@kernel
def inspect(wide_lanes: Any, scores: Any, counting: bool, wins: Any) -> Any:
    """Statistics of all probabilities in one pass.

    Args:
        wide_lanes: a tuple of 16 zeros.
        scores: float32 (K * N,), class plane after class plane.
        counting: whether to fill `wins`.
        wins: int64 (K,), increased by the number of pixels at which each class has the greatest probability.

    Returns:
        (whether all values are finite, minimum, maximum, greatest absolute difference of a pixel's sum from 1).
    """
    zero = vector(wide_lanes)
    one = splat(zero, np.float32(1))
    below_all = splat(zero, np.float32(-1))
    classes = wins.shape[0]
    count = scores.shape[0] // classes
    low, high, worst, poison = one, zero, zero, zero
    edge = np.empty(16 * classes, np.float32)
    tally = np.zeros(4 * classes, np.int64)
    # class by class over PIECE pixels, so that reads are sequential
    totals, bests, winners = np.empty((3, PIECE), np.float32)
    for p0 in range(0, count, PIECE):
        used = min(PIECE, count - p0)
        whole = used // 16 * 16
        if whole < used:
            # beyond the end, repeat the last pixel
            for k in range(classes):
                for i in range(16):
                    edge[16 * k + i] = scores[k * count + p0 + min(whole + i, used - 1)]
        for i in range(0, used, 16):
            store(totals, i, zero)
            store(bests, i, below_all)
            store(winners, i, zero)
        for k in range(0, classes, 2):
            # two classes at a time; with an odd number the last class is paired with itself and counted once
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
            # neighbours mostly have the same class; four counters avoid waiting for the last increment
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
    tail_lanes: Any,
    full: int,
    scores: Any,
    kept: Any,
    floor: Any,
    bias: Any,
    pixels: Any,
    tiles: Any,
    unary: Any,
) -> Any:
    """Unary as log-odds, in the order of the mean-field kernels.

    Args:
        wide_lanes: a tuple of 16 zeros.
        tail_lanes: a tuple of as many zeros as the last chunk has lanes.
        full: number of chunks of 16 lanes before it.
        scores: float32 (K_all, H * W): probabilities where `floor` > 0, else log-probabilities.
        kept: int64 (K,), the rows of `scores` that take part.
        floor: probabilities are clipped to at least this; 0 if `scores` are log-probabilities.
        bias: float32 (N,), subtracted, in the order of `pixels`.
        pixels: int32 (N,), index y * W + x of the pixel at each position of the new order.
        tiles: int64 (T + 1,), index in `pixels` of the first pixel of each tile.
        unary: float32 (N * lanes,), written: log-odds log(p_k / p_K) against the last class, minus `bias`.

    Returns:
        The greatest absolute log-odds, without `bias`.
    """
    wide, tail = vector(wide_lanes), vector(tail_lanes)
    classes, count = kept.shape[0], scores.shape[1]
    longest = 0
    for t in range(tiles.shape[0] - 1):
        longest = max(longest, get(tiles, t + 1) - get(tiles, t))
    stride = (longest + 15) // 16 * 16 + 16  # planes a power of two apart would compete for the same lines of the cache
    last = np.zeros(stride, np.float32)
    planes = np.zeros(stride * 16, np.float32)
    extreme = wide
    for t in range(tiles.shape[0] - 1):
        p0, p1 = get(tiles, t), get(tiles, t + 1)
        size = p1 - p0
        gather_logs(wide, scores[kept[classes - 1]], pixels, p0, p1, floor, last, 0)
        for c in range(full + 1):
            lanes = 16 if c < full else width(tail)
            used = min(lanes, classes - 1 - 16 * c)
            for k in range(used):
                at = k * stride
                gather_logs(wide, scores[kept[16 * c + k]], pixels, p0, p1, floor, planes, at)
                for i in range(0, size, 16):
                    odds = subtract(load(wide, planes, at + i), load(wide, last, i))
                    extreme = greatest(extreme, greatest(odds, subtract(wide, odds)))
                    store(planes, at + i, odds)
                for i in range(size):
                    put(planes, at + i, get(planes, at + i) - get(bias, p0 + i))
            for k in range(used, lanes):
                for i in range(size):
                    put(planes, k * stride + i, NEVER)
            to = (c * count * 16) + p0 * lanes
            if c < full:
                to_lanes(wide, planes, stride, size, unary, to)
            else:
                to_lanes(tail, planes, stride, size, unary, to)
    return largest(extreme)


@part
def to_lanes(zero: Any, planes: Any, stride: int, size: int, out: Any, to: int) -> None:
    """Write the first `size` points of planes of `stride` entries to `out[to:]`, the lanes of a point side by side."""
    lanes = width(zero)
    whole = size // 16 * 16
    for i in range(0, whole, 16):
        interleave(zero, planes, i, stride, out, to + i * lanes)
    for k in range(lanes):
        for i in range(whole, size):
            put(out, to + i * lanes + k, get(planes, k * stride + i))


@part
def to_planes(zero: Any, values: Any, at: int, size: int, planes: Any, stride: int) -> None:
    """The inverse of `to_lanes`: read `size` points from `values[at:]`."""
    lanes = width(zero)
    whole = size // 16 * 16
    for i in range(0, whole, 16):
        separate(zero, values, at + i * lanes, planes, i, stride)
    for k in range(lanes):
        for i in range(whole, size):
            put(planes, k * stride + i, get(values, at + i * lanes + k))


@kernel
def unpack(
    wide_lanes: Any,
    tail_lanes: Any,
    full: int,
    unary: Any,
    last: Any,
    kept: Any,
    pixels: Any,
    tiles: Any,
    out: Any,
) -> None:
    """Write marginals from the order of the kernels to class planes: the inverse of `pack`.

    Args:
        unary: float32 (N * lanes,), marginals of all classes but the last.
        last: float32 (N,), marginals of the last class.
        out: float32 (K_all, H * W); the rows `kept` are written.
        wide_lanes, tail_lanes, full, kept, pixels, tiles: as in `pack`.
    """
    wide, tail = vector(wide_lanes), vector(tail_lanes)
    classes, count = kept.shape[0], out.shape[1]
    longest = 0
    for t in range(tiles.shape[0] - 1):
        longest = max(longest, get(tiles, t + 1) - get(tiles, t))
    stride = (longest + 15) // 16 * 16 + 16
    planes = np.empty(stride * 16, np.float32)
    for t in range(tiles.shape[0] - 1):
        p0, p1 = get(tiles, t), get(tiles, t + 1)
        size = p1 - p0
        for c in range(full + 1):
            lanes = 16 if c < full else width(tail)
            used = min(lanes, classes - 1 - 16 * c)
            at = (c * count * 16) + p0 * lanes
            if c < full:
                to_planes(wide, unary, at, size, planes, stride)
            else:
                to_planes(tail, unary, at, size, planes, stride)
            for k in range(used):
                plane = out[kept[16 * c + k]]
                for i in range(size):
                    put(plane, get(pixels, p0 + i), get(planes, k * stride + i))
        plane = out[kept[classes - 1]]
        for i in range(size):
            put(plane, get(pixels, p0 + i), get(last, p0 + i))
