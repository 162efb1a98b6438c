"""The softmax of an update: kernels over blocks of pixels, between the slice and the splat of `update`.

Log-odds, odds and marginals of a block lie in `buffer` as in `update`: chunk after chunk, in a chunk pixel after pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import part
from tag2mask.crf.simd import (
    add,
    divide,
    get,
    greatest,
    load,
    multiply,
    put,
    scaled,
    splat,
    store,
    subtract,
    width,
)
from tag2mask.crf.simd_math import exp, group_largest, group_total, largest, total

BLOCK = 128
"""Number of pixels in a block; a multiple of 16."""
LIMIT = 80.0
"""Greatest argument of the exponential; e**80 times 254 classes is still a finite float32."""

_LIMIT = np.float32(LIMIT)
_ONE = np.float32(1)


@part
def normalise_block(wide: Any, tail: Any, full: int, count: int, buffer: Any, factors: Any, stabilise: bool) -> None:
    """Softmax of a block: replace log-odds by odds, and compute their normalisation.

    Writes `factors[p]`, the factor from odds to marginals, and `factors[BLOCK + p]`, the marginal of the last
    class. With `stabilise` the greatest log-odds of a pixel are subtracted first, so that the exponential does
    not overflow; typical weights and unaries do not need it.
    """
    lanes = width(tail)
    tail_at = full * BLOCK * 16
    if stabilise:
        for p in range(count):
            peak = max(np.float32(0), largest(load(tail, buffer, tail_at + p * lanes)))
            for c in range(full):
                peak = max(peak, largest(load(wide, buffer, (c * BLOCK + p) * 16)))
            for c in range(full):
                at = (c * BLOCK + p) * 16
                store(buffer, at, add(load(wide, buffer, at), splat(wide, -peak)))
            at = tail_at + p * lanes
            store(buffer, at, add(load(tail, buffer, at), splat(tail, -peak)))
            put(factors, BLOCK + p, -peak)
    for i in range(0, full * BLOCK * 16, BLOCK * 16):
        for j in range(i, i + count * 16, 16):
            store(buffer, j, exp(load(wide, buffer, j), _LIMIT))
    for i in range(tail_at, tail_at + count * lanes, 16):
        store(buffer, i, exp(load(wide, buffer, i), _LIMIT))
    for p in range(count):
        z = total(load(tail, buffer, tail_at + p * lanes))
        if full > 0:
            s = load(wide, buffer, p * 16)
            for c in range(1, full):
                s = add(s, load(wide, buffer, (c * BLOCK + p) * 16))
            z += total(s)
        put(factors, p, z)
    one = splat(wide, _ONE)
    for p in range(0, count, 16):
        last = exp(load(wide, factors, BLOCK + p), _LIMIT) if stabilise else one
        factor = divide(one, add(load(wide, factors, p), last))
        store(factors, p, factor)
        store(factors, BLOCK + p, multiply(factor, last))


@part
def normalise_tail(wide: Any, tail: Any, count: int, buffer: Any, stabilise: bool) -> None:
    """Softmax of a block with the tail as the only chunk: replace log-odds by Q_k + sum(Q), 16 lanes at a time."""
    one = splat(wide, _ONE)
    zero = splat(wide, np.float32(0))
    for i in range(0, count * width(tail), 16):
        odds = load(wide, buffer, i)
        last = one
        if stabilise:
            peak = greatest(zero, group_largest(tail, odds))
            odds = subtract(odds, peak)
            last = exp(subtract(zero, peak), _LIMIT)
        odds = exp(odds, _LIMIT)
        others = group_total(tail, odds)
        store(buffer, i, divide(add(odds, others), add(others, last)))


@part
def write_block(zero: Any, buffer: Any, at: int, factors: Any, p0: int, p1: int, to: int, out: Any) -> None:
    """Write the marginals of one chunk to `out[to:]`."""
    lanes = width(zero)
    for p in range(p0, p1):
        odds = load(zero, buffer, at + (p - p0) * lanes)
        store(out, to + p * lanes, scaled(odds, get(factors, p - p0), zero))


@part
def start_block(zero: Any, buffer: Any, to: int, unary: Any, at: int, bias: Any, p0: int, p1: int) -> None:
    """Log-odds of one chunk from the unary alone, written to `buffer[to:]`; `unary` contains -`bias`."""
    lanes = width(zero)
    for p in range(p0, p1):
        value = add(load(zero, unary, at + p * lanes), splat(zero, get(bias, p)))
        store(buffer, to + (p - p0) * lanes, value)


@part
def peak_block(wide: Any, tail: Any, full: int, count: int, buffer: Any, factors: Any, peaks: Any) -> None:
    """Raise `peaks`, float32 (lanes,), to the greatest marginals of a block; `buffer` holds odds."""
    for c in range(full):
        peak = load(wide, peaks, 16 * c)
        for p in range(count):
            odds = load(wide, buffer, (c * BLOCK + p) * 16)
            peak = greatest(peak, scaled(odds, get(factors, p), splat(wide, np.float32(0))))
        store(peaks, 16 * c, peak)
    last = load(tail, peaks, 16 * full)
    for p in range(count):
        odds = load(tail, buffer, full * BLOCK * 16 + p * width(tail))
        last = greatest(last, scaled(odds, get(factors, p), splat(tail, np.float32(0))))
    store(peaks, 16 * full, last)


@part
def rest_block(tail: Any, count: int, buffer: Any, unary: Any, at: int, shares: Any, rest: int) -> None:
    """Replace the log-odds of the lane `rest` by those of all classes of the rest, see `reduction`.

    Args:
        unary: float32; from entry `at` on that of the block.
        shares: float32 (lanes,), 1 / (c + 1) for the c channels, 0 for lanes without one.
        rest: the lane.
    """
    lanes = width(tail)
    share = load(tail, shares, 0)
    keep = _ONE - get(shares, 0)
    for p in range(0, count):
        value = total(multiply(load(tail, buffer, p * lanes), share))
        put(buffer, p * lanes + rest, value + keep * get(unary, at + p * lanes + rest))
