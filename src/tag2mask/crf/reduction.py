"""Going on with the few classes that matter, once the first updates have made most classes improbable.

A class k whose greatest marginal is e gets a message of at most e S from its own marginals. Without these the log-odds
of all such classes change alike,

    log Q_k(i) / Q_K(i)  =  unary_k(i) + sum_{l < K} M_l(i)

in the symbols of `update`, so that they keep their shares exp(unary_k) / sum exp(unary) of R, the sum of their
marginals. R is filtered as one channel, the rest. With c channels, the rest included, the log-odds out_l of
`update.slice_block` satisfy sum_l (out_l - unary_l) = (c + 1) sum M, so those of the rest are

    log sum exp(unary_k) + sum M  =  unary_R c / (c + 1) + sum_l out_l / (c + 1)

where the lane of the rest holds unary_R = log sum exp(unary_k) - sum_{l kept} unary_l / (c + 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.layout import NEVER
from tag2mask.crf.simd import add, get, greatest, load, multiply, put, splat, store, subtract, vector, width
from tag2mask.crf.simd_math import exp, largest, log, total
from tag2mask.crf.softmax import LIMIT

PIECE = 1024
"""Number of pixels that `rest_of` and `share_out` treat at a time; a multiple of 16."""

_LIMIT = np.float32(LIMIT)
_ZERO = np.float32(0)
_TINY = np.float32(1e-37)


@kernel
def rest_of(wide_lanes: Any, scores: Any, rest: Any, reference: int, floor: Any, sums: Any, odds: Any) -> None:
    """Sum of the rest's classes at each pixel.

    Args:
        wide_lanes: a tuple of 16 zeros.
        scores: float32 (K_all, N): probabilities where `floor` > 0, else log-probabilities.
        rest: int64 (R,), the classes of the rest.
        reference: the class against which log-odds are taken.
        floor: probabilities are clipped to at least this.
        sums: float32 (N,), written: the sum of the probabilities, or the logarithm of that sum where `floor` is 0.
        odds: float32 (N,), written: the log-odds of the sum against the reference.
    """
    zero = vector(wide_lanes)
    low = splat(zero, floor)
    count = scores.shape[1]
    piece, peak, out = np.zeros((3, PIECE), np.float32)
    for p0 in range(0, count, PIECE):
        used = min(PIECE, count - p0)
        out[:] = 0
        peak[:] = NEVER
        if floor == _ZERO:
            for k in rest:
                piece[:used] = scores[k, p0 : p0 + used]
                for i in range(0, used, 16):
                    store(peak, i, greatest(load(zero, peak, i), load(zero, piece, i)))
        for k in rest:
            piece[:used] = scores[k, p0 : p0 + used]
            for i in range(0, used, 16):
                value = load(zero, piece, i)
                if floor == _ZERO:
                    value = exp(subtract(value, load(zero, peak, i)), _LIMIT)
                store(out, i, add(load(zero, out, i), greatest(value, low)))
        piece[:used] = scores[reference, p0 : p0 + used]
        for i in range(0, used, 16):
            logs = log(load(zero, out, i), _TINY)
            other = load(zero, piece, i)
            if floor == _ZERO:
                logs = add(logs, load(zero, peak, i))
                store(out, i, logs)
            else:
                other = log(other, floor)
            store(piece, i, subtract(logs, other))
        sums[p0 : p0 + used] = out[:used]
        odds[p0 : p0 + used] = piece[:used]


@kernel
def share_out(wide_lanes: Any, scores: Any, rest: Any, floor: Any, sums: Any, out: Any) -> Any:
    """Replace the marginals of the rest by those of its classes.

    Args:
        wide_lanes, scores, rest, floor, sums: as in `rest_of`.
        out: float32 (K_all, N); row `rest[0]` holds the marginals of the rest, and the rows `rest` are written.

    Returns:
        The greatest marginal of one of these classes.
    """
    zero = vector(wide_lanes)
    low = splat(zero, floor)
    count = scores.shape[1]
    piece, whole, factor = np.zeros((3, PIECE), np.float32)
    most = zero
    for p0 in range(0, count, PIECE):
        used = min(PIECE, count - p0)
        factor[:used] = out[rest[0], p0 : p0 + used]
        whole[:used] = sums[p0 : p0 + used]
        if floor > _ZERO:
            for i in range(used):
                put(factor, i, get(factor, i) / get(whole, i))
        for k in rest:
            piece[:used] = scores[k, p0 : p0 + used]
            for i in range(0, used, 16):
                value = load(zero, piece, i)
                if floor == _ZERO:
                    value = exp(subtract(value, load(zero, whole, i)), _LIMIT)
                value = multiply(greatest(value, low), load(zero, factor, i))
                store(piece, i, value)
            for i in range(used, (used + 15) // 16 * 16):
                put(piece, i, 0)
            for i in range(0, used, 16):
                most = greatest(most, load(zero, piece, i))
            out[k, p0 : p0 + used] = piece[:used]
    return largest(most)


@kernel
def keep_unary(
    lanes: Any,
    unary: Any,
    full: int,
    tail_lanes: int,
    lanes_kept: Any,
    share: Any,
    odds: Any,
    bias: Any,
    pixels: Any,
    out: Any,
) -> None:
    """Unary of the kept channels, and of the rest.

    Args:
        lanes: a tuple of as many zeros as `out` has lanes.
        unary, full, tail_lanes: float32 (N * (16 full + tail_lanes),), of all channels.
        lanes_kept: int64, the channels that are kept.
        share: float32, 1 / (c + 1).
        odds: float32 (N,), as `rest_of` writes it.
        bias, pixels: float32 (N,) and int32 (N,), as `layout.pack` takes them.
        out: float32 (N * lanes,), written.
    """
    row = width(vector(lanes))
    count = pixels.shape[0]
    kept = lanes_kept.shape[0]
    starts, steps = np.empty((2, kept), np.int64)
    for j in range(kept):
        chunk = lanes_kept[j] // 16
        inside = chunk < full
        steps[j] = 16 if inside else tail_lanes
        starts[j] = chunk * 16 * count + lanes_kept[j] - 16 * chunk
    for p in range(count):
        at = p * row
        known = _ZERO
        for j in range(kept):
            value = get(unary, get(starts, j) + p * get(steps, j))
            known += value
            put(out, at + j, value)
        put(out, at + kept, get(odds, get(pixels, p)) - get(bias, p) - share * known)
        for j in range(kept + 1, row):
            put(out, at + j, NEVER)


@kernel
def keep_values(
    wide_lanes: Any, tail: Any, full: int, values: Any, lanes: Any, lanes_kept: Any, factors: Any, out: Any
) -> None:
    """Values Q_k + sum(Q) at the vertices of a lattice, of the kept channels and of the rest.

    Args:
        wide_lanes: a tuple of 16 zeros.
        tail: a tuple of as many zeros as the last chunk of `values` has lanes.
        full: number of chunks of 16 lanes before it.
        values: float32 (V * (16 full + lanes of the tail),).
        lanes: a tuple of as many zeros as `out` has lanes.
        lanes_kept: int64, the channels that are kept.
        factors: float32, for each channel its factor in the value of the rest.
        out: float32 (V * lanes,), written.
    """
    wide, last = vector(wide_lanes), vector(tail)
    row = width(vector(lanes))
    count = out.shape[0] // row
    kept = lanes_kept.shape[0]
    for v in range(count):
        sums = multiply(load(last, values, full * 16 * count + v * width(last)), load(last, factors, 16 * full))
        value = total(sums)
        for c in range(full):
            value += total(multiply(load(wide, values, (c * count + v) * 16), load(wide, factors, 16 * c)))
        for j in range(kept):
            chunk = lanes_kept[j] // 16
            step = 16 if chunk < full else width(last)
            put(out, v * row + j, get(values, chunk * 16 * count + v * step + lanes_kept[j] - 16 * chunk))
        put(out, v * row + kept, value)
        for j in range(kept + 1, row):
            put(out, v * row + j, _ZERO)
