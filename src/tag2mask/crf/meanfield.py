"""The mean-field iteration as fused kernels over blocks of pixels that fit the first-level cache.

P. Kraehenbuehl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
NIPS 2011, https://arxiv.org/abs/1210.5644, algorithm 1. With Potts compatibility

    Q_k(i)  proportional to  exp(-u_k(i) + sum_m w_m [K_m Q_k](i)).

The marginals sum to one, so the message of the last class follows from those of the others and from
S = sum_m w_m [K_m 1]. Only K - 1 channels are filtered, and relative to the last class

    log Q_k(i) / Q_K(i) = u_K(i) - u_k(i) - S(i) + sum_m w_m [K_m (Q_k + Q_1 + ... + Q_{K-1})](i).

The channels lie in chunks of 16 lanes and one narrower chunk, the tail. All arrays are flat: chunk after
chunk, in a chunk pixel after pixel (or node after node), the lanes of one pixel side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tag2mask.crf.compiling import kernel
from tag2mask.crf.simd import (
    add,
    divide,
    get,
    greatest,
    load,
    load_node,
    multiply,
    put,
    scaled,
    scaled0,
    scaled1,
    scaled2,
    scaled3,
    splat,
    store,
    store_node,
    subtract,
    vector,
    width,
)
from tag2mask.crf.simd_math import exp, group_largest, group_total, largest, total

BLOCK = 128
"""Pixels in a block; a multiple of 16."""
LIMIT = 80.0
"""Greatest exponent; e**80 times 254 classes still fits a float32."""

_LIMIT = np.float32(LIMIT)
_ONE = np.float32(1)


@kernel
def slice_block(
    zero: Any,
    buffer: Any,
    to: int,
    unary: Any,
    unary_at: int,
    near: Any,
    near_at: int,
    far: Any,
    far_at: int,
    g: int,
    p0: int,
    p1: int,
    lattices: Any,
    near_weight: Any,
    far_weight: Any,
) -> None:
    """Log-odds of one chunk for the pixels p0..p1: unary plus both messages, into `buffer[to:]`."""
    starts, corners, weights, near_corners, near_weights = lattices
    four = vector((0.0, 0.0, 0.0, 0.0))
    lanes = width(zero)
    p = p0
    while p < p1:
        end = min(get(starts, g + 1), p1)
        v0 = load_node(zero, far, far_at, get(corners, 6 * g))
        v1 = load_node(zero, far, far_at, get(corners, 6 * g + 1))
        v2 = load_node(zero, far, far_at, get(corners, 6 * g + 2))
        v3 = load_node(zero, far, far_at, get(corners, 6 * g + 3))
        v4 = load_node(zero, far, far_at, get(corners, 6 * g + 4))
        v5 = load_node(zero, far, far_at, get(corners, 6 * g + 5))
        while p < end:
            w = load(four, weights, 6 * p)
            x = load(four, weights, 6 * p + 4)
            y = load(four, near_weights, 3 * p)
            a = scaled0(v0, w, zero)
            b = scaled1(v1, w, zero)
            a = scaled2(v2, w, a)
            b = scaled3(v3, w, b)
            a = scaled0(v4, x, a)
            b = scaled1(v5, x, b)
            n0 = load_node(zero, near, near_at, get(near_corners, 3 * p))
            n1 = load_node(zero, near, near_at, get(near_corners, 3 * p + 1))
            n2 = load_node(zero, near, near_at, get(near_corners, 3 * p + 2))
            c = scaled0(n0, y, zero)
            c = scaled1(n1, y, c)
            c = scaled2(n2, y, c)
            out = load(zero, unary, unary_at + p * lanes)
            out = scaled(c, near_weight, out)
            out = scaled(add(a, b), far_weight, out)
            store(buffer, to + (p - p0) * lanes, out)
            p += 1
        g += 1


@kernel
def splat_block(
    zero: Any,
    buffer: Any,
    to: int,
    shares: Any,
    near: Any,
    near_at: int,
    far: Any,
    far_at: int,
    g: int,
    p0: int,
    p1: int,
    lattices: Any,
) -> None:
    """Add Q_k + sum(Q) of one chunk to the nodes of both lattices.

    Q_k is buffer * shares; without `shares` the buffer holds what is to be added.
    """
    starts, corners, weights, near_corners, near_weights = lattices
    four = vector((0.0, 0.0, 0.0, 0.0))
    lanes = width(zero)
    p = p0
    while p < p1:
        end = min(get(starts, g + 1), p1)
        v0 = zero
        v1 = zero
        v2 = zero
        v3 = zero
        v4 = zero
        v5 = zero
        while p < end:
            q = load(zero, buffer, to + (p - p0) * lanes)
            if shares is not None:
                q = scaled(q, get(shares, p - p0), splat(zero, _ONE - get(shares, BLOCK + p - p0)))
            w = load(four, weights, 6 * p)
            x = load(four, weights, 6 * p + 4)
            y = load(four, near_weights, 3 * p)
            v0 = scaled0(q, w, v0)
            v1 = scaled1(q, w, v1)
            v2 = scaled2(q, w, v2)
            v3 = scaled3(q, w, v3)
            v4 = scaled0(q, x, v4)
            v5 = scaled1(q, x, v5)
            n0 = get(near_corners, 3 * p)
            n1 = get(near_corners, 3 * p + 1)
            n2 = get(near_corners, 3 * p + 2)
            store_node(near, near_at, n0, scaled0(q, y, load_node(zero, near, near_at, n0)))
            store_node(near, near_at, n1, scaled1(q, y, load_node(zero, near, near_at, n1)))
            store_node(near, near_at, n2, scaled2(q, y, load_node(zero, near, near_at, n2)))
            p += 1
        at0 = get(corners, 6 * g)
        at1 = get(corners, 6 * g + 1)
        at2 = get(corners, 6 * g + 2)
        at3 = get(corners, 6 * g + 3)
        at4 = get(corners, 6 * g + 4)
        at5 = get(corners, 6 * g + 5)
        store_node(far, far_at, at0, add(v0, load_node(zero, far, far_at, at0)))
        store_node(far, far_at, at1, add(v1, load_node(zero, far, far_at, at1)))
        store_node(far, far_at, at2, add(v2, load_node(zero, far, far_at, at2)))
        store_node(far, far_at, at3, add(v3, load_node(zero, far, far_at, at3)))
        store_node(far, far_at, at4, add(v4, load_node(zero, far, far_at, at4)))
        store_node(far, far_at, at5, add(v5, load_node(zero, far, far_at, at5)))
        g += 1


@kernel
def normalise_block(wide: Any, tail: Any, full: int, count: int, buffer: Any, shares: Any, steep: bool) -> None:
    """Turn log-odds into odds, and find what divides them.

    Writes `shares[p]`, the factor that makes marginals of the odds, and `shares[BLOCK + p]`, the marginal
    of the last class. With `steep` the greatest log-odds of a pixel are subtracted first, so that the
    exponential cannot overflow; the weights and unaries of practice do not need that.
    """
    lanes = width(tail)
    tail_at = full * BLOCK * 16
    if steep:
        for p in range(count):
            peak = max(np.float32(0), largest(load(tail, buffer, tail_at + p * lanes)))
            for c in range(full):
                peak = max(peak, largest(load(wide, buffer, (c * BLOCK + p) * 16)))
            for c in range(full):
                at = (c * BLOCK + p) * 16
                store(buffer, at, add(load(wide, buffer, at), splat(wide, -peak)))
            at = tail_at + p * lanes
            store(buffer, at, add(load(tail, buffer, at), splat(tail, -peak)))
            put(shares, BLOCK + p, -peak)
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
        put(shares, p, z)
    one = splat(wide, _ONE)
    for p in range(0, count, 16):
        last = exp(load(wide, shares, BLOCK + p), _LIMIT) if steep else one
        factor = divide(one, add(load(wide, shares, p), last))
        store(shares, p, factor)
        store(shares, BLOCK + p, multiply(factor, last))


@kernel
def normalise_tail(wide: Any, tail: Any, count: int, buffer: Any, steep: bool) -> None:
    """Turn log-odds into Q_k + sum(Q) where the tail is all there is, 16 lanes at a time."""
    one = splat(wide, _ONE)
    zero = splat(wide, np.float32(0))
    for i in range(0, count * width(tail), 16):
        odds = load(wide, buffer, i)
        last = one
        if steep:
            peak = greatest(zero, group_largest(tail, odds))
            odds = subtract(odds, peak)
            last = exp(subtract(zero, peak), _LIMIT)
        odds = exp(odds, _LIMIT)
        others = group_total(tail, odds)
        store(buffer, i, divide(add(odds, others), add(others, last)))


@kernel
def write_block(zero: Any, buffer: Any, at: int, shares: Any, p0: int, p1: int, to: int, out: Any) -> None:
    """Write the marginals of one chunk to `out[to:]`."""
    lanes = width(zero)
    for p in range(p0, p1):
        odds = load(zero, buffer, at + (p - p0) * lanes)
        store(out, to + p * lanes, scaled(odds, get(shares, p - p0), zero))


@kernel
def start_block(zero: Any, buffer: Any, to: int, unary: Any, at: int, bias: Any, p0: int, p1: int) -> None:
    """Log-odds of one chunk from the unary alone, into `buffer[to:]`; `bias` undoes what `unary` holds."""
    lanes = width(zero)
    for p in range(p0, p1):
        value = add(load(zero, unary, at + p * lanes), splat(zero, get(bias, p)))
        store(buffer, to + (p - p0) * lanes, value)


@kernel
def sweep(
    wide_lanes: Any,
    tail_lanes: Any,
    full: int,
    unary: Any,
    bias: Any,
    lattices: Any,
    near: Any,
    far: Any,
    near_out: Any,
    far_out: Any,
    near_weight: Any,
    far_weight: Any,
    steep: bool,
    first: bool,
    last: bool,
    buffer: Any,
    shares: Any,
) -> None:
    """One pass over all pixels: slice both lattices, softmax, splat into the next ones.

    Args:
        wide_lanes: a tuple of 16 zeros; tail_lanes: a tuple of as many zeros as the tail has lanes.
        full: chunks of 16 lanes before the tail.
        unary: float32 (N * lanes,), log-odds against the last class minus `bias`.
        bias: float32 (N,), the message S of a constant.
        lattices: (starts, corners (6 G,), weights (6 N,), near corners (3 N,), near weights (3 N,)); corners are
            those of `simd.load_node`, 4 times the number of a node. Up to two float32 beyond the end of the
            weights must be readable; what they hold does not matter.
        near, far: nodes of the position and of the bilateral lattice, blurred; read.
        near_out, far_out: the same, zero; added to unless `last`.
        near_weight, far_weight: float32 weights of the two terms.
        steep: whether the exponential needs guarding.
        first: whether there are no messages yet.
        last: whether to end: instead of splatting, marginals replace `unary` and those of the last class
            replace `bias`.
        buffer: float32 (BLOCK * lanes,), finite; shares: float32 (2 * BLOCK,), finite. Work space.
    """
    wide = vector(wide_lanes)
    tail = vector(tail_lanes)
    lanes = width(tail)
    starts = lattices[0]
    count = bias.shape[0]
    near_nodes = near.shape[0] // (16 * full + lanes)
    far_nodes = far.shape[0] // (16 * full + lanes)
    g = 0
    for p0 in range(0, count, BLOCK):
        p1 = min(p0 + BLOCK, count)
        while get(starts, g + 1) <= p0:
            g += 1
        for c in range(full):
            to, at = c * BLOCK * 16, c * count * 16
            n, f = c * near_nodes * 16, c * far_nodes * 16
            if first:
                start_block(wide, buffer, to, unary, at, bias, p0, p1)
            else:
                slice_block(wide, buffer, to, unary, at, near, n, far, f, g, p0, p1, lattices, near_weight, far_weight)
        to, at = full * BLOCK * 16, full * count * 16
        n, f = full * near_nodes * 16, full * far_nodes * 16
        if first:
            start_block(tail, buffer, to, unary, at, bias, p0, p1)
        else:
            slice_block(tail, buffer, to, unary, at, near, n, far, f, g, p0, p1, lattices, near_weight, far_weight)
        if full == 0 and not last:
            normalise_tail(wide, tail, p1 - p0, buffer, steep)
        else:
            normalise_block(wide, tail, full, p1 - p0, buffer, shares, steep)
        if last:
            for c in range(full):
                write_block(wide, buffer, c * BLOCK * 16, shares, p0, p1, c * count * 16, unary)
            write_block(tail, buffer, to, shares, p0, p1, at, unary)
            for p in range(p0, p1):
                put(bias, p, get(shares, BLOCK + p - p0))
        else:
            for c in range(full):
                m, e = c * near_nodes * 16, c * far_nodes * 16
                splat_block(wide, buffer, c * BLOCK * 16, shares, near_out, m, far_out, e, g, p0, p1, lattices)
            if full > 0:
                splat_block(tail, buffer, to, shares, near_out, n, far_out, f, g, p0, p1, lattices)
            else:
                splat_block(tail, buffer, to, None, near_out, n, far_out, f, g, p0, p1, lattices)


@kernel
def blur_chunk(zero: Any, nodes: Any, at: int, links: Any) -> None:
    """Blur one chunk in place by (1/2, 1, 1/2) along all chains, direction by direction."""
    lanes = width(zero)
    half = np.float32(0.5)
    i = 0
    while i < links.shape[0]:
        v = get(links, i)
        before = zero
        here = load(zero, nodes, at + v * lanes)
        while v >= 0:
            i += 1
            u = get(links, i)
            after = load(zero, nodes, at + (u if u >= 0 else -1 - u) * lanes)
            store(nodes, at + v * lanes, scaled(add(before, after), half, here))
            before = here
            here = after
            v = u
        store(nodes, at + (-1 - v) * lanes, scaled(before, half, here))
        i += 1


@kernel
def blur(wide_lanes: Any, tail_lanes: Any, full: int, nodes: Any, links: Any) -> None:
    """Blur all chunks of a lattice in place."""
    wide = vector(wide_lanes)
    tail = vector(tail_lanes)
    count = nodes.shape[0] // (16 * full + width(tail))
    for c in range(full):
        blur_chunk(wide, nodes, c * count * 16, links)
    blur_chunk(tail, nodes, full * count * 16, links)
