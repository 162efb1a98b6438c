"""Mean-field updates with any number of pairwise terms, features, normalisations and label compatibilities.

`update` is the same for one Gaussian and one bilateral term with Potts compatibility, with points grouped by simplex.

With label compatibility mu_m of the term m, the update is

    Q_k(i)  proportional to  exp(-u_k(i) - sum_m sum_l mu_m(k, l) M_ml(i)),  M_ml = K_m Q_l.

The marginals sum to 1, so M_mK of the last class K is S_m minus the messages of the other classes, with S_m = K_m 1,
and only K - 1 channels are filtered. In log-odds against the last class a term adds

    - sum_{l < K} B(k, l) M_l - c_k S,  c_k = mu(k, K) - mu(K, K),  B(k, l) = mu(k, l) - mu(K, l) - c_k.

For a vector of compatibilities v (Potts: all equal) this is -v_k M_k - v_K (sum_{l < K} M_l - S).

Shapes: N points, T terms, K - 1 channels in chunks of lanes as in `update`. The vertices of all lattices have one
numbering; `values` holds their channels. `terms` is the tuple (counts int64 (T,) of vertices of a simplex, starts int64
(T,) of the first entry of each term in the following, corners int32, weights of the slice float32, weights of the splat
float32, factors of the messages float32 (T,)); corners are 4 times the number of a vertex. `mixing` is the tuple that
`terms.TermSet` describes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel, part
from tag2mask.crf.simd import (
    add,
    get,
    load,
    load_vertex,
    multiply,
    put,
    scaled,
    splat,
    store,
    store_vertex,
    vector,
    width,
)
from tag2mask.crf.simd_math import total
from tag2mask.crf.softmax import BLOCK, normalise_block, start_block, write_block


@part
def slice_points(
    zero: Any,
    buffer: Any,
    to: int,
    values: Any,
    at: int,
    p0: int,
    p1: int,
    corners: Any,
    weights: Any,
    size: int,
    factor: Any,
) -> None:
    """Add the messages of one term and chunk at the points p0..p1, times `factor`, to `buffer[to:]`.

    Args:
        size: number of vertices of a simplex.
        corners, weights: of this term, from its first point on.
    """
    lanes = width(zero)
    for p in range(p0, p1):
        first = p * size
        message = zero
        for k in range(first, first + size):
            message = scaled(load_vertex(zero, values, at, get(corners, k)), get(weights, k), message)
        store(buffer, to + (p - p0) * lanes, scaled(message, factor, load(zero, buffer, to + (p - p0) * lanes)))


@part
def splat_points(
    zero: Any,
    buffer: Any,
    to: int,
    factors: Any,
    values: Any,
    at: int,
    p0: int,
    p1: int,
    corners: Any,
    weights: Any,
    size: int,
) -> None:
    """Add one chunk of the marginals of the points p0..p1 to the vertices of one term; `buffer` holds odds."""
    lanes = width(zero)
    for p in range(p0, p1):
        first = p * size
        q = scaled(load(zero, buffer, to + (p - p0) * lanes), get(factors, p - p0), zero)
        for k in range(first, first + size):
            corner = get(corners, k)
            store_vertex(values, at, corner, scaled(q, get(weights, k), load_vertex(zero, values, at, corner)))


@part
def clear_block(wide: Any, tail: Any, full: int, count: int, buffer: Any) -> None:
    """Set the first `count` points of a block to 0."""
    for c in range(full):
        for p in range(count):
            store(buffer, (c * BLOCK + p) * 16, splat(wide, np.float32(0)))
    lanes = width(tail)
    for p in range(count):
        store(buffer, full * BLOCK * 16 + p * lanes, splat(tail, np.float32(0)))


@part
def add_scaled(
    wide: Any, tail: Any, full: int, count: int, messages: Any, vector_: Any, last: Any, buffer: Any
) -> None:
    """Add a_k M_k + b sum(M) to the log-odds, with a = `vector_`, float32 (lanes,), and b = `last`."""
    lanes = width(tail)
    tail_at = full * BLOCK * 16
    a = load(tail, vector_, 16 * full)
    for p in range(count):
        m = load(tail, messages, tail_at + p * lanes)
        shared = total(m)
        if full > 0:
            s = load(wide, messages, p * 16)
            for c in range(1, full):
                s = add(s, load(wide, messages, (c * BLOCK + p) * 16))
            shared += total(s)
        shared *= last
        out = add(load(tail, buffer, tail_at + p * lanes), splat(tail, shared))
        store(buffer, tail_at + p * lanes, _product(m, a, out))
        for c in range(full):
            at = (c * BLOCK + p) * 16
            out = add(load(wide, buffer, at), splat(wide, shared))
            store(buffer, at, _product(load(wide, messages, at), load(wide, vector_, 16 * c), out))


@part
def add_mixed(
    wide: Any,
    tail: Any,
    full: int,
    count: int,
    messages: Any,
    matrix: Any,
    at: int,
    channels: int,
    sums: Any,
    sums_at: int,
    buffer: Any,
) -> None:
    """Add a matrix times the messages to the log-odds.

    Args:
        matrix: float32, from entry `at` on one row of `lanes` entries for each channel, and one for `sums`.
        channels: number of channels, K - 1.
        sums: float32; from entry `sums_at` on the S of each point.
    """
    lanes = width(tail)
    row = 16 * full + lanes
    for c in range(full + 1):
        for p in range(count):
            if c < full:
                to = (c * BLOCK + p) * 16
                out = scaled(
                    load(wide, matrix, at + channels * row + 16 * c), get(sums, sums_at + p), load(wide, buffer, to)
                )
                for k in range(channels):
                    out = scaled(load(wide, matrix, at + k * row + 16 * c), _message(messages, full, lanes, p, k), out)
                store(buffer, to, out)
            else:
                to = full * BLOCK * 16 + p * lanes
                end = scaled(
                    load(tail, matrix, at + channels * row + 16 * c), get(sums, sums_at + p), load(tail, buffer, to)
                )
                for k in range(channels):
                    end = scaled(load(tail, matrix, at + k * row + 16 * c), _message(messages, full, lanes, p, k), end)
                store(buffer, to, end)


@part
def _message(messages: Any, full: int, lanes: int, p: int, k: int) -> Any:
    """Message of channel `k` at point `p` of a block."""
    chunk = k // 16
    return get(
        messages,
        (chunk * BLOCK + p) * 16 + k - 16 * chunk if chunk < full else full * BLOCK * 16 + p * lanes + k - 16 * full,
    )


@part
def _product(a: Any, b: Any, c: Any) -> Any:
    """a b + c."""
    return add(multiply(a, b), c)


@part
def add_messages(
    wide: Any,
    tail: Any,
    full: int,
    channels: int,
    terms: Any,
    mixing: Any,
    values: Any,
    count: int,
    p0: int,
    p1: int,
    buffer: Any,
    messages: Any,
) -> None:
    """Add what all terms say of the points p0..p1 to their log-odds, group of terms by group.

    Args:
        wide, tail: vectors as wide as a chunk of 16 lanes and as the tail.
        full, channels, terms, mixing, values, buffer, messages: as in `sweep_terms`.
        count: number of all points.
        p0, p1: first point of the block, and the one after its last.
    """
    counts, starts, corners, slicing, _, scales = terms
    groups, vectors, lasts, matrices, sums = mixing
    row = 16 * full + width(tail)
    vertices = values.shape[0] // row
    tail_to = full * BLOCK * 16
    for g in range(groups.shape[0]):
        clear_block(wide, tail, full, p1 - p0, messages)
        for t in range(groups[g, 0], groups[g, 1]):
            at, weights = corners[starts[t] :], slicing[starts[t] :]
            for c in range(full):
                n = c * vertices * 16
                slice_points(wide, messages, c * BLOCK * 16, values, n, p0, p1, at, weights, counts[t], scales[t])
            n = full * vertices * 16
            slice_points(tail, messages, tail_to, values, n, p0, p1, at, weights, counts[t], scales[t])
        k = groups[g, 2]
        if k >= 0:
            add_scaled(wide, tail, full, p1 - p0, messages, vectors[k * row : (k + 1) * row], lasts[k], buffer)
        else:
            k = -1 - k
            m = k * (channels + 1) * row
            add_mixed(wide, tail, full, p1 - p0, messages, matrices, m, channels, sums, k * count + p0, buffer)


@kernel
def sweep_terms(
    wide_lanes: Any,
    tail_lanes: Any,
    full: int,
    channels: int,
    unary: Any,
    bias: Any,
    terms: Any,
    mixing: Any,
    values: Any,
    values_out: Any,
    stabilise: bool,
    first: bool,
    out: Any,
    last_class: Any,
    buffer: Any,
    messages: Any,
    factors: Any,
) -> None:
    """One pass over all points: slice all terms, mix the classes, softmax, splat all terms for the next update.

    Args:
        wide_lanes: a tuple of 16 zeros.
        tail_lanes: a tuple of as many zeros as the tail has lanes.
        full: number of chunks of 16 lanes before the tail.
        channels: number of channels, K - 1.
        unary: float32 (N * lanes,), log-odds against the last class minus `bias`.
        bias: float32 (N,), what the terms add to all channels of a point.
        terms, mixing: see the module docstring.
        values: float32 (V * lanes,), blurred values at the vertices, read.
        values_out: the same for the next update; zeros, added to unless this is the last pass.
        stabilise: whether the exponential could overflow.
        first: whether this is the first pass, which has no messages.
        out, last_class: None, or in the last pass, which does not splat, float32 like `unary` (or `unary` itself) and
            float32 (N,), written: the marginals, and those of the last class.
        buffer, messages: float32 (BLOCK * lanes,), scratch memory, finite.
        factors: float32 (2 * BLOCK,), scratch memory, finite.
    """
    wide = vector(wide_lanes)
    tail = vector(tail_lanes)
    lanes = width(tail)
    counts, starts, corners, _, splatting, _ = terms
    count = bias.shape[0]
    row = 16 * full + lanes
    vertices = values.shape[0] // row
    tail_to = full * BLOCK * 16
    for p0 in range(0, count, BLOCK):
        p1 = min(p0 + BLOCK, count)
        for c in range(full):
            _start(wide, buffer, c * BLOCK * 16, unary, c * count * 16, bias, p0, p1, first)
        _start(tail, buffer, tail_to, unary, full * count * 16, bias, p0, p1, first)
        if not first:
            add_messages(wide, tail, full, channels, terms, mixing, values, count, p0, p1, buffer, messages)
        normalise_block(wide, tail, full, p1 - p0, buffer, factors, stabilise)
        if out is not None:
            for c in range(full):
                write_block(wide, buffer, c * BLOCK * 16, factors, p0, p1, c * count * 16, out)
            write_block(tail, buffer, tail_to, factors, p0, p1, full * count * 16, out)
            for p in range(p0, p1):
                put(last_class, p, get(factors, BLOCK + p - p0))
        else:
            for t in range(counts.shape[0]):
                at, weights = corners[starts[t] :], splatting[starts[t] :]
                for c in range(full):
                    n = c * vertices * 16
                    splat_points(wide, buffer, c * BLOCK * 16, factors, values_out, n, p0, p1, at, weights, counts[t])
                n = full * vertices * 16
                splat_points(tail, buffer, tail_to, factors, values_out, n, p0, p1, at, weights, counts[t])


@part
def _start(zero: Any, buffer: Any, to: int, unary: Any, at: int, bias: Any, p0: int, p1: int, first: bool) -> None:
    """Copy one chunk of the unary to `buffer[to:]`, without its `bias` if this is the `first` pass."""
    if first:
        start_block(zero, buffer, to, unary, at, bias, p0, p1)
        return
    lanes = width(zero)
    for p in range(p0, p1):
        store(buffer, to + (p - p0) * lanes, load(zero, unary, at + p * lanes))


@kernel
def splat_all(lanes: Any, points: Any, values: Any, corners: Any, weights: Any) -> None:
    """Splat values at points, float32 (N * width,), into zeros at the vertices of one lattice."""
    zero = vector(lanes)
    count = points.shape[0] // width(zero)
    ones = np.ones(BLOCK, np.float32)
    size = corners.shape[0] // count
    for p0 in range(0, count, BLOCK):
        p1 = min(p0 + BLOCK, count)
        splat_points(zero, points, p0 * width(zero), ones, values, 0, p0, p1, corners, weights, size)


@kernel
def slice_all(lanes: Any, points: Any, values: Any, corners: Any, weights: Any) -> None:
    """Slice the vertices of one lattice at all points, into `points` as `splat_all` reads it."""
    zero = vector(lanes)
    count = points.shape[0] // width(zero)
    points[:] = 0
    slice_points(zero, points, 0, values, 0, 0, count, corners, weights, corners.shape[0] // count, np.float32(1))
