"""One mean-field update as fused kernels over blocks of pixels that fit the first-level cache.

P. Kraehenbuehl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
NIPS 2011, https://arxiv.org/abs/1210.5644, algorithm 1. With Potts compatibility

    Q_k(i)  proportional to  exp(-u_k(i) + sum_m w_m [K_m Q_k](i)).

where K_m is the normalised filter. The marginals sum to 1, so the message of the last class K follows from those of
the other classes and from S = sum_m w_m [K_m 1]. Therefore only K - 1 channels are filtered. In terms of log-odds
against the last class the update is

    log Q_k(i) / Q_K(i) = u_K(i) - u_k(i) - S(i) + sum_m w_m [K_m (Q_k + Q_1 + ... + Q_{K-1})](i).

Memory layout: the channels are split into chunks of 16 lanes and one narrower chunk, the tail. All arrays are
flat: chunk after chunk, within a chunk pixel after pixel (or vertex after vertex), the lanes of a pixel contiguous.

Shapes: N pixels, G groups of pixels that share a simplex of the bilateral lattice, `lanes` channels of all chunks.
`gaussian` and `bilateral` are float32 values at the vertices of the two lattices. `lattices` is the tuple (starts
int32 (G + 1,), corners int32 (6 G,), barycentric weights float32 (6 N,), corners int32 (3 N,) and barycentric weights
float32 (3 N,) of the Gaussian lattice); the first three belong to the bilateral lattice. Corners are 4 times the
number of a vertex, as `simd.load_vertex` takes them. Up to two float32 beyond the end of the weights must be
readable; their values do not matter. An index `*_at` or `to` is the first entry of a chunk.
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
    put,
    scaled,
    scaled0,
    scaled1,
    scaled2,
    scaled3,
    splat,
    store,
    store_vertex,
    vector,
    width,
)
from tag2mask.crf.softmax import (
    BLOCK,
    normalise_block,
    normalise_tail,
    peak_block,
    rest_block,
    start_block,
    write_block,
)

_ONE = np.float32(1)


@part
def slice_block(
    zero: Any,
    buffer: Any,
    to: int,
    unary: Any,
    unary_at: int,
    gaussian: Any,
    gaussian_at: int,
    bilateral: Any,
    bilateral_at: int,
    g: int,
    p0: int,
    p1: int,
    lattices: Any,
    gaussian_weight: Any,
    bilateral_weight: Any,
) -> None:
    """Slice: log-odds of one chunk at the pixels p0..p1, unary plus both messages, written to `buffer[to:]`.

    `g` is the group that contains pixel p0.
    """
    starts, corners, weights, gaussian_corners, gaussian_barycentric = lattices
    four = vector((0.0, 0.0, 0.0, 0.0))
    lanes = width(zero)
    p = p0
    while p < p1:
        end = min(get(starts, g + 1), p1)
        v0 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g))
        v1 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g + 1))
        v2 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g + 2))
        v3 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g + 3))
        v4 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g + 4))
        v5 = load_vertex(zero, bilateral, bilateral_at, get(corners, 6 * g + 5))
        while p < end:
            w = load(four, weights, 6 * p)
            x = load(four, weights, 6 * p + 4)
            y = load(four, gaussian_barycentric, 3 * p)
            a = scaled0(v0, w, zero)
            b = scaled1(v1, w, zero)
            a = scaled2(v2, w, a)
            b = scaled3(v3, w, b)
            a = scaled0(v4, x, a)
            b = scaled1(v5, x, b)
            n0 = load_vertex(zero, gaussian, gaussian_at, get(gaussian_corners, 3 * p))
            n1 = load_vertex(zero, gaussian, gaussian_at, get(gaussian_corners, 3 * p + 1))
            n2 = load_vertex(zero, gaussian, gaussian_at, get(gaussian_corners, 3 * p + 2))
            c = scaled0(n0, y, zero)
            c = scaled1(n1, y, c)
            c = scaled2(n2, y, c)
            out = load(zero, unary, unary_at + p * lanes)
            out = scaled(c, gaussian_weight, out)
            out = scaled(add(a, b), bilateral_weight, out)
            store(buffer, to + (p - p0) * lanes, out)
            p += 1
        g += 1


@part
def splat_block(
    zero: Any,
    buffer: Any,
    to: int,
    factors: Any,
    gaussian: Any,
    gaussian_at: int,
    bilateral: Any,
    bilateral_at: int,
    g: int,
    p0: int,
    p1: int,
    lattices: Any,
) -> None:
    """Splat: add Q_k + sum(Q) of one chunk at the pixels p0..p1 to the vertices of both lattices.

    With `factors` (see `normalise_block`) `buffer` holds odds; with None it holds Q_k + sum(Q) itself.
    """
    starts, corners, weights, gaussian_corners, gaussian_barycentric = lattices
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
            if factors is not None:
                q = scaled(q, get(factors, p - p0), splat(zero, _ONE - get(factors, BLOCK + p - p0)))
            w = load(four, weights, 6 * p)
            x = load(four, weights, 6 * p + 4)
            y = load(four, gaussian_barycentric, 3 * p)
            v0 = scaled0(q, w, v0)
            v1 = scaled1(q, w, v1)
            v2 = scaled2(q, w, v2)
            v3 = scaled3(q, w, v3)
            v4 = scaled0(q, x, v4)
            v5 = scaled1(q, x, v5)
            n0 = get(gaussian_corners, 3 * p)
            n1 = get(gaussian_corners, 3 * p + 1)
            n2 = get(gaussian_corners, 3 * p + 2)
            store_vertex(gaussian, gaussian_at, n0, scaled0(q, y, load_vertex(zero, gaussian, gaussian_at, n0)))
            store_vertex(gaussian, gaussian_at, n1, scaled1(q, y, load_vertex(zero, gaussian, gaussian_at, n1)))
            store_vertex(gaussian, gaussian_at, n2, scaled2(q, y, load_vertex(zero, gaussian, gaussian_at, n2)))
            p += 1
        at0 = get(corners, 6 * g)
        at1 = get(corners, 6 * g + 1)
        at2 = get(corners, 6 * g + 2)
        at3 = get(corners, 6 * g + 3)
        at4 = get(corners, 6 * g + 4)
        at5 = get(corners, 6 * g + 5)
        store_vertex(bilateral, bilateral_at, at0, add(v0, load_vertex(zero, bilateral, bilateral_at, at0)))
        store_vertex(bilateral, bilateral_at, at1, add(v1, load_vertex(zero, bilateral, bilateral_at, at1)))
        store_vertex(bilateral, bilateral_at, at2, add(v2, load_vertex(zero, bilateral, bilateral_at, at2)))
        store_vertex(bilateral, bilateral_at, at3, add(v3, load_vertex(zero, bilateral, bilateral_at, at3)))
        store_vertex(bilateral, bilateral_at, at4, add(v4, load_vertex(zero, bilateral, bilateral_at, at4)))
        store_vertex(bilateral, bilateral_at, at5, add(v5, load_vertex(zero, bilateral, bilateral_at, at5)))
        g += 1


@kernel
def sweep(
    wide_lanes: Any,
    tail_lanes: Any,
    full: int,
    unary: Any,
    bias: Any,
    lattices: Any,
    gaussian: Any,
    bilateral: Any,
    gaussian_out: Any,
    bilateral_out: Any,
    gaussian_weight: Any,
    bilateral_weight: Any,
    stabilise: bool,
    first: bool,
    last: bool,
    buffer: Any,
    factors: Any,
    peaks: Any,
    watch: bool,
    shares: Any,
    rest: int,
) -> None:
    """One pass over all pixels: slice from both lattices, softmax, splat into the lattices of the next update.

    Args:
        wide_lanes: a tuple of 16 zeros.
        tail_lanes: a tuple of as many zeros as the tail has lanes.
        full: number of chunks of 16 lanes before the tail.
        unary: float32 (N * lanes,), log-odds against the last class minus `bias`.
        bias: float32 (N,), S of the module docstring.
        lattices: see the module docstring.
        gaussian, bilateral: blurred values at the vertices, read.
        gaussian_out, bilateral_out: the same for the next update; zeros, added to unless `last`.
        gaussian_weight, bilateral_weight: float32, weights of the two terms.
        stabilise: whether the exponential could overflow.
        first: whether this is the first pass, which has no messages.
        last: whether this is the last pass. Instead of the splat, the marginals replace `unary`, and those of the
            last class replace `bias`.
        buffer: float32 (BLOCK * lanes,), scratch memory, finite.
        factors: float32 (2 * BLOCK,), scratch memory, finite.
        peaks: float32 (lanes,), raised to the greatest marginal of each channel if `watch`.
        watch: whether that is wanted.
        shares, rest: as `rest_block` takes them; -1 where no channel is the rest of several classes.
    """
    wide = vector(wide_lanes)
    tail = vector(tail_lanes)
    lanes = width(tail)
    starts = lattices[0]
    w1, w2 = gaussian_weight, bilateral_weight
    count = bias.shape[0]
    gaussian_count = gaussian.shape[0] // (16 * full + lanes)
    bilateral_count = bilateral.shape[0] // (16 * full + lanes)
    g = 0
    for p0 in range(0, count, BLOCK):
        p1 = min(p0 + BLOCK, count)
        while get(starts, g + 1) <= p0:
            g += 1
        for c in range(full):
            to, at = c * BLOCK * 16, c * count * 16
            n, f = c * gaussian_count * 16, c * bilateral_count * 16
            if first:
                start_block(wide, buffer, to, unary, at, bias, p0, p1)
            else:
                slice_block(wide, buffer, to, unary, at, gaussian, n, bilateral, f, g, p0, p1, lattices, w1, w2)
        to, at = full * BLOCK * 16, full * count * 16
        n, f = full * gaussian_count * 16, full * bilateral_count * 16
        if first:
            start_block(tail, buffer, to, unary, at, bias, p0, p1)
        else:
            slice_block(tail, buffer, to, unary, at, gaussian, n, bilateral, f, g, p0, p1, lattices, w1, w2)
        if rest >= 0:
            rest_block(tail, p1 - p0, buffer, unary, p0 * lanes, shares, rest)
        whole = full > 0 or last or watch
        if not whole:
            normalise_tail(wide, tail, p1 - p0, buffer, stabilise)
        else:
            normalise_block(wide, tail, full, p1 - p0, buffer, factors, stabilise)
        if last:
            for c in range(full):
                write_block(wide, buffer, c * BLOCK * 16, factors, p0, p1, c * count * 16, unary)
            write_block(tail, buffer, to, factors, p0, p1, at, unary)
            for p in range(p0, p1):
                put(bias, p, get(factors, BLOCK + p - p0))
        else:
            for c in range(full):
                m, e = c * gaussian_count * 16, c * bilateral_count * 16
                begin = c * BLOCK * 16
                splat_block(wide, buffer, begin, factors, gaussian_out, m, bilateral_out, e, g, p0, p1, lattices)
            if watch:
                peak_block(wide, tail, full, p1 - p0, buffer, factors, peaks)
            if whole:
                splat_block(tail, buffer, to, factors, gaussian_out, n, bilateral_out, f, g, p0, p1, lattices)
            else:
                splat_block(tail, buffer, to, None, gaussian_out, n, bilateral_out, f, g, p0, p1, lattices)


@part
def blur_chunk(zero: Any, values: Any, at: int, chains: Any) -> None:
    """Blur one chunk in place with (1/2, 1, 1/2) along all chains, direction by direction."""
    lanes = width(zero)
    half = np.float32(0.5)
    i = 0
    while i < chains.shape[0]:
        v = get(chains, i)
        before = zero
        here = load(zero, values, at + v * lanes)
        while v >= 0:
            i += 1
            u = get(chains, i)
            after = load(zero, values, at + (u if u >= 0 else -1 - u) * lanes)
            store(values, at + v * lanes, scaled(add(before, after), half, here))
            before = here
            here = after
            v = u
        store(values, at + (-1 - v) * lanes, scaled(before, half, here))
        i += 1


@kernel
def blur(wide_lanes: Any, tail_lanes: Any, full: int, values: Any, chains: Any) -> None:
    """Blur all chunks of the values at the vertices of a lattice in place; `chains` as in `vertices.find_chains`."""
    wide = vector(wide_lanes)
    tail = vector(tail_lanes)
    count = values.shape[0] // (16 * full + width(tail))
    for c in range(full):
        blur_chunk(wide, values, c * count * 16, chains)
    blur_chunk(tail, values, full * count * 16, chains)
