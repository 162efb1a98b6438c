"""The loop of mean-field updates over the kernels of `update`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import layout, reduction, update
from tag2mask.crf.lattice import Lattice
from tag2mask.crf.softmax import BLOCK, LIMIT
from tag2mask.crf.workspace import Workspace, padded

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_WIDE = (0.0,) * 16
_NO_SHARES = np.zeros(16, np.float32)
_SCRATCH, _SMALL = Workspace(), Workspace()
"""Memory of `_Buffers` of all and of fewer channels, kept from call to call."""

_ERROR = 2e-3
"""Bound of the change of marginals that is neglected in an update; what was measured in the end is a tenth of it."""
_MOST = 0.02
"""Classes with a greater marginal anywhere are never treated together."""
_WATCHED = 5
"""Number of updates after which that is looked at."""
_ASKED = 1000
"""Number of pixels that tell which class is the commonest."""
_WIDE_ENOUGH = 8
"""With fewer lanes nothing is gained."""


def mean_field(
    lattice: Lattice,
    scores: Floats,
    kept: Ints,
    floor: float,
    iterations: int,
    gaussian_weight: float,
    bilateral_weight: float,
) -> Floats:
    """Run the mean-field updates. The arguments are not checked.

    Classes that have become improbable everywhere are treated together (see `reduction`), where that is exact to 1e-3.

    Args:
        lattice: the lattices of the image, with `size` (H, W).
        scores: float32 (K, H, W): probabilities where `floor` > 0, else log-probabilities.
        kept: int64, indices of the classes that take part, at least two.
        floor: probabilities are clipped to at least this; 0 if `scores` are log-probabilities.
        iterations: number of updates.
        gaussian_weight, bilateral_weight: weights of the two pairwise terms.

    Returns:
        float32 (K, H, W), the marginals; 0 for classes that do not take part.
    """
    flat = scores.reshape(len(scores), -1)
    weights = np.float32(gaussian_weight), np.float32(bilateral_weight)
    model = _Model(lattice, flat, _commonest_last(flat, kept), np.float32(floor), weights)
    out = model.infer(iterations, reduce=True)
    if out is None:
        out = model.infer(iterations, reduce=False)
        assert out is not None
    return out.reshape(scores.shape)


@dataclass
class _Model:
    """The arguments of `mean_field`."""

    lattice: Lattice
    scores: Floats
    kept: Ints
    floor: np.float32
    weights: tuple[np.float32, np.float32]

    def infer(self, iterations: int, *, reduce: bool) -> Floats | None:
        """The marginals, float32 (K, N); None if classes were treated together that are not improbable in the end."""
        lattice, kept = self.lattice, self.kept
        channels = chunks(len(kept) - 1)
        bias = self.weights[1] * lattice.bilateral_sum + self.weights[0] * lattice.gaussian_sum
        buffers = _Buffers.take(_SCRATCH, lattice, len(bias), channels)
        order = lattice.pixels, lattice.tiles
        extreme = layout.pack(
            _WIDE, channels[1], channels[0], self.scores, kept, self.floor, bias, *order, buffers.unary
        )
        reach = float(bias.max())
        stabilise = bool(extreme + reach + np.log(len(kept)) > LIMIT)
        buffers.clear()
        reduced: Reduced | None = None
        current = buffers
        for i in range(iterations + 1):
            watch = reduce and not stabilise and i <= min(_WATCHED, iterations - 2) and current is buffers
            watch = watch and current.lanes >= _WIDE_ENOUGH
            current.sweep(lattice, bias, self.weights, stabilise, i == 0, i == iterations, watch, reduced)
            if i == iterations:
                break
            current.blur(lattice)
            if watch and (reduced := Reduced.of(kept, current.peaks, reach, current.lanes)) is not None:
                current = self._reduced(buffers, reduced, bias)
        if reduced is not None:
            kept = reduced.kept
        # np.zeros leaves the zeroing to the system, np.zeros_like writes every zero
        whole = len(self.kept) == len(self.scores)
        out = (np.empty if whole else np.zeros)(self.scores.shape, np.float32)
        full, tail = current.channels
        layout.unpack(_WIDE, tail, full, current.unary, bias, kept, *order, out)
        _SCRATCH.give_back(buffers.memory)
        if reduced is not None:
            _SMALL.give_back(current.memory)
            rest = reduction.share_out(_WIDE, self.scores, reduced.rest, self.floor, reduced.sums, out)
            if rest > 2 * _MOST:
                return None
        return out

    def _reduced(self, buffers: _Buffers, reduced: Reduced, bias: Floats) -> _Buffers:
        """The buffers of fewer channels."""
        small = _Buffers.take(_SMALL, self.lattice, len(bias), chunks(len(reduced.lanes) + 1))
        small.clear()
        full, tail = buffers.channels
        lanes, share = small.channels[1], np.float32(1 / (len(reduced.lanes) + 2))
        odds = np.empty_like(bias)
        reduced.sums = np.empty_like(bias)
        reduction.rest_of(_WIDE, self.scores, reduced.rest, int(self.kept[-1]), self.floor, reduced.sums, odds)
        reduction.keep_unary(
            lanes, buffers.unary, full, len(tail), reduced.lanes, share, odds, bias, self.lattice.pixels, small.unary
        )
        for values, to in ((buffers.gaussian, small.gaussian), (buffers.bilateral, small.bilateral)):
            reduction.keep_values(_WIDE, tail, full, values, lanes, reduced.lanes, reduced.factors, to)
        return small


@dataclass
class Reduced:
    """Which classes go on by themselves, and which together as the rest.

    Attributes:
        lanes: int64, the channels of the former.
        kept: int64, the classes of the new channels, and the last class; that of the rest is `rest[0]`.
        rest: int64, the classes of the rest.
        factors: float32, for each old channel its factor in the values of the rest.
        shares: float32 (16,), as `softmax.rest_block` takes it.
        sums: float32 (N,), as `reduction.rest_of` writes it.
    """

    lanes: Ints
    kept: Ints
    rest: Ints
    factors: Floats
    shares: Floats
    sums: Floats

    @classmethod
    def of(cls, kept: Ints, peaks: Floats, reach: float, lanes: int) -> Reduced | None:
        """The reduction to the classes that are not improbable; None where it does not pay.

        Args:
            kept: int64 (K,), the classes.
            peaks: the greatest marginals of the first K - 1.
            reach: the greatest message.
            lanes: number of lanes of all channels.
        """
        channels = len(kept) - 1
        order = np.argsort(peaks[:channels])
        neglected = reach * np.cumsum(peaks[:channels][order].astype(np.float64) ** 2)
        improbable = np.zeros(channels, np.bool_)
        improbable[order] = (neglected <= _ERROR) & (peaks[:channels][order] <= _MOST)
        stay, go = np.flatnonzero(~improbable), np.flatnonzero(improbable)
        if len(go) < 2 or len(stay) > 15 or 2 * len(chunks(len(stay) + 1)[1]) > lanes:
            return None
        factors = np.zeros(lanes, np.float32)
        factors[:channels] = improbable - (len(go) - 1) / (channels + 1)
        shares = np.zeros(16, np.float32)
        shares[: len(stay) + 1] = 1 / (len(stay) + 2)
        return cls(
            stay,
            np.concatenate([kept[stay], kept[go[:1]], kept[-1:]]),
            kept[go],
            factors,
            shares,
            np.empty(0, np.float32),
        )


@dataclass(slots=True)
class _Buffers:
    """Arrays of one call, float32, all in one piece of memory.

    Attributes:
        memory: the whole piece.
        channels: number of chunks of 16 lanes, and as many zeros as the last chunk has lanes.
        unary: (N * lanes,), log-odds in the order of the kernels.
        gaussian, bilateral: (V * lanes,), values at the lattice vertices that an update reads.
        gaussian_out, bilateral_out: the same for the values that an update writes.
        block, factors, peaks: scratch memory of `update.sweep`.
    """

    memory: Floats
    channels: tuple[int, tuple[float, ...]]
    unary: Floats
    gaussian: Floats
    bilateral: Floats
    gaussian_out: Floats
    bilateral_out: Floats
    block: Floats
    factors: Floats
    peaks: Floats

    @classmethod
    def take(
        cls, workspace: Workspace, lattice: Lattice, pixels: int, channels: tuple[int, tuple[float, ...]]
    ) -> _Buffers:
        """Arrays in the memory of a workspace."""
        lanes = 16 * channels[0] + len(channels[1])
        sizes = [
            pixels * lanes,
            *2 * (lattice.gaussian_count * lanes, lattice.bilateral_count * lanes),
            BLOCK * lanes,
            BLOCK * 2,
            lanes,
        ]
        ends = np.cumsum([padded(size) for size in sizes])
        memory = workspace.take(int(ends[-1]))
        starts = [end - padded(size) for end, size in zip(ends, sizes, strict=True)]
        return cls(memory, channels, *(memory[start : start + size] for start, size in zip(starts, sizes, strict=True)))

    @property
    def lanes(self) -> int:
        """Number of lanes of all chunks."""
        return 16 * self.channels[0] + len(self.channels[1])

    def clear(self) -> None:
        """Set everything but the unary to 0."""
        self.memory[padded(len(self.unary)) :] = 0

    def sweep(
        self,
        lattice: Lattice,
        bias: Floats,
        weights: tuple[np.float32, np.float32],
        stabilise: bool,
        first: bool,
        last: bool,
        watch: bool,
        reduced: Reduced | None,
    ) -> None:
        """One pass of `update.sweep`."""
        full, tail = self.channels
        self.peaks.fill(0)
        lattices = (
            lattice.starts,
            lattice.bilateral_corners,
            lattice.bilateral_barycentric,
            lattice.gaussian_corners,
            lattice.gaussian_barycentric,
        )
        update.sweep(
            _WIDE,
            tail,
            full,
            self.unary,
            bias,
            lattices,
            self.gaussian,
            self.bilateral,
            self.gaussian_out,
            self.bilateral_out,
            *weights,
            stabilise,
            first,
            last,
            self.block,
            self.factors,
            self.peaks,
            watch,
            _NO_SHARES if reduced is None else reduced.shares,
            -1 if reduced is None else len(reduced.lanes),
        )

    def blur(self, lattice: Lattice) -> None:
        """Blur what the pass has splatted; the next update reads that, and writes to zeros."""
        full, tail = self.channels
        update.blur(_WIDE, tail, full, self.gaussian_out, lattice.gaussian_chains)
        update.blur(_WIDE, tail, full, self.bilateral_out, lattice.bilateral_chains)
        self.gaussian, self.gaussian_out = self.gaussian_out, self.gaussian
        self.bilateral, self.bilateral_out = self.bilateral_out, self.bilateral
        self.gaussian_out.fill(0)
        self.bilateral_out.fill(0)


def _commonest_last(scores: Floats, kept: Ints) -> Ints:
    """The classes with the commonest at the end, against which log-odds are taken: it is never one of the rest."""
    best = scores[:, :: max(1, scores.shape[1] // _ASKED)][kept].argmax(axis=0)
    commonest = int(np.bincount(best, minlength=len(kept)).argmax())
    return np.concatenate([np.delete(kept, commonest), kept[commonest : commonest + 1]])


def chunks(channels: int) -> tuple[int, tuple[float, ...]]:
    """Number of chunks of 16 lanes, and a tuple of as many zeros as the tail has lanes."""
    full = (channels - 1) // 16
    tail = channels - 16 * full
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16) if lanes >= tail)
    return full, (0.0,) * lanes
