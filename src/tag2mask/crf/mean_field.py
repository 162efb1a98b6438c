"""The loop of mean-field updates over the kernels of `update`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import layout, update
from tag2mask.crf.lattice import Lattice
from tag2mask.crf.workspace import Workspace, padded

Floats = NDArray[np.float32]

_WIDE = (0.0,) * 16
_SCRATCH = Workspace()
"""Memory of `_Buffers`, kept from call to call."""


def mean_field(
    lattice: Lattice,
    scores: Floats,
    kept: NDArray[np.int64],
    floor: float,
    iterations: int,
    gaussian_weight: float,
    bilateral_weight: float,
) -> Floats:
    """Run the mean-field updates. The arguments are not checked.

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
    full, tail = chunks(len(kept) - 1)
    weights = np.float32(gaussian_weight), np.float32(bilateral_weight)
    bias = weights[1] * lattice.bilateral_sum + weights[0] * lattice.gaussian_sum
    buffers = _Buffers.take(lattice, flat.shape[1], 16 * full + len(tail))
    extreme = layout.pack(
        _WIDE,
        tail,
        full,
        flat,
        kept,
        np.float32(floor),
        bias,
        lattice.pixels,
        lattice.tiles,
        buffers.unary,
    )
    stabilise = bool(extreme + bias.max() + np.log(len(kept)) > update.LIMIT)
    buffers.clear()
    _iterate(lattice, buffers, bias, (full, tail), iterations, weights, stabilise)
    # np.zeros leaves the zeroing to the system, np.zeros_like writes every zero
    out = np.empty(flat.shape, np.float32) if len(kept) == len(flat) else np.zeros(flat.shape, np.float32)
    layout.unpack(_WIDE, tail, full, buffers.unary, bias, kept, lattice.pixels, lattice.tiles, out)
    _SCRATCH.give_back(buffers.memory)
    return out.reshape(scores.shape)


@dataclass(slots=True)
class _Buffers:
    """Arrays of one call, float32, all in one piece of memory.

    Attributes:
        memory: the whole piece.
        unary: (N * lanes,), log-odds in the order of the kernels.
        gaussian, bilateral: (V * lanes,), values at the lattice vertices that an update reads.
        gaussian_out, bilateral_out: the same for the values that an update writes.
        block, factors: scratch memory of `update.sweep`.
    """

    memory: Floats
    unary: Floats
    gaussian: Floats
    bilateral: Floats
    gaussian_out: Floats
    bilateral_out: Floats
    block: Floats
    factors: Floats

    @classmethod
    def take(cls, lattice: Lattice, pixels: int, lanes: int) -> _Buffers:
        sizes = [
            pixels * lanes,
            *2 * (lattice.gaussian_count * lanes, lattice.bilateral_count * lanes),
            update.BLOCK * lanes,
            update.BLOCK * 2,
        ]
        ends = np.cumsum([padded(size) for size in sizes])
        memory = _SCRATCH.take(int(ends[-1]))
        starts = [end - padded(size) for end, size in zip(ends, sizes, strict=True)]
        return cls(memory, *(memory[start : start + size] for start, size in zip(starts, sizes, strict=True)))

    def clear(self) -> None:
        """Set everything but the unary to 0."""
        self.memory[padded(len(self.unary)) :] = 0

    def swap(self) -> None:
        """Let the next update read what this one has written, and write to zeros."""
        self.gaussian, self.gaussian_out = self.gaussian_out, self.gaussian
        self.bilateral, self.bilateral_out = self.bilateral_out, self.bilateral
        self.gaussian_out.fill(0)
        self.bilateral_out.fill(0)


def _iterate(
    lattice: Lattice,
    buffers: _Buffers,
    bias: Floats,
    chunks: tuple[int, tuple[float, ...]],
    iterations: int,
    weights: tuple[np.float32, np.float32],
    stabilise: bool,
) -> None:
    """Replace the unary by the marginals of all classes but the last, and `bias` by those of the last."""
    full, tail = chunks
    lattices = (
        lattice.starts,
        lattice.bilateral_corners,
        lattice.bilateral_barycentric,
        lattice.gaussian_corners,
        lattice.gaussian_barycentric,
    )
    for i in range(iterations + 1):
        first, last = i == 0, i == iterations
        update.sweep(
            _WIDE,
            tail,
            full,
            buffers.unary,
            bias,
            lattices,
            buffers.gaussian,
            buffers.bilateral,
            buffers.gaussian_out,
            buffers.bilateral_out,
            *weights,
            stabilise,
            first,
            last,
            buffers.block,
            buffers.factors,
        )
        if not last:
            update.blur(_WIDE, tail, full, buffers.gaussian_out, lattice.gaussian_chains)
            update.blur(_WIDE, tail, full, buffers.bilateral_out, lattice.bilateral_chains)
            buffers.swap()


def chunks(channels: int) -> tuple[int, tuple[float, ...]]:
    """Number of chunks of 16 lanes, and a tuple of as many zeros as the tail has lanes."""
    full = (channels - 1) // 16
    tail = channels - 16 * full
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16) if lanes >= tail)
    return full, (0.0,) * lanes
