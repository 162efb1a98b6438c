"""Mean field with any pairwise terms: what of them the kernels of `term_update` take, and the loop of updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import layout, term_update, update
from tag2mask.crf.mean_field import chunks
from tag2mask.crf.pairwise import PairwiseTerm
from tag2mask.crf.softmax import BLOCK, LIMIT
from tag2mask.crf.workspace import Workspace, padded

Floats = NDArray[np.float32]

_WIDE = (0.0,) * 16
_STRIP = 4096
"""Number of points that `layout` reorders at a time."""
_SCRATCH = Workspace()


class TermSet:
    """The pairwise terms of one model, for the kernels of `term_update`.

    `mixing`, which tells them how messages become log-odds (symbols as there), is the tuple of

    - groups int64 (G, 3): first term, the one after the last, and k >= 0 for row k of `vectors` or -1 - k for matrix k;
    - vectors float32 (lanes * R,), the factors -v_1 .. -v_(K-1) of the messages, and lasts float32 (R,), -v_K;
    - matrices float32 (K * lanes * M,): columns 1 .. K - 1 of -B, then -c; and sums float32 (N * M,), the S of their
      terms.

    All terms with one number as compatibility are one group.
    """

    def __init__(self, terms: Sequence[PairwiseTerm], labels: int, points: int) -> None:
        """Build the lattices that are not built yet.

        Args:
            terms: with features of `points` points; there may be none.
            labels: number of classes, at least 2.
            points: number of points.
        """
        terms = sorted(terms, key=lambda term: term.compatibility.values.ndim)
        lattices = [term.lattice for term in terms]
        self.channels = labels - 1
        self.full, self.tail = chunks(self.channels)
        self.lanes = 16 * self.full + len(self.tail)
        self.bias = np.zeros(points, np.float32)
        self.reach = sum(term.reach for term in terms)
        vertices = np.cumsum([0, *(lattice.count for lattice in lattices)])
        self.count = int(vertices[-1])
        shifts = list(zip(lattices, vertices.tolist(), strict=False))
        self.chains = _joined(
            [np.where(one.chains < 0, one.chains - by, one.chains + by) for one, by in shifts], np.int32
        )
        symmetric = all(lattice.slicing is lattice.splatting for lattice in lattices)
        splatting = _joined([lattice.splatting for lattice in lattices], np.float32)
        self._lattices = (
            np.array([lattice.size for lattice in lattices], np.int64),
            np.cumsum([0, *(len(lattice.corners) for lattice in lattices)])[:-1],
            _joined([4 * (lattice.corners + np.int32(by)) for lattice, by in shifts], np.int32),
            splatting if symmetric else _joined([lattice.slicing for lattice in lattices], np.float32),
            splatting,
        )
        self._mix(terms)

    def _mix(self, terms: Sequence[PairwiseTerm]) -> None:
        """Set `arrays` and `mixing`, and `bias` to what the terms add to all channels of a point."""
        ones = np.ones(self.channels, np.float32)
        scales, groups, lasts = [], [], []
        vectors: list[Floats] = []
        matrices: list[Floats] = []
        sums: list[Floats] = []
        numbers = sum(term.compatibility.potts is not None for term in terms)
        if numbers:
            groups.append((0, numbers, 0))
            vectors.append(ones)
            lasts.append(1.0)
        for t, term in enumerate(terms):
            values = term.compatibility.values
            scales.append(float(values) if values.ndim == 0 else 1.0)
            if values.ndim == 0:
                self.bias += values * term.lattice.sums
            elif values.ndim == 1:
                groups.append((t, t + 1, len(vectors)))
                vectors.append(-values[:-1])
                lasts.append(-float(values[-1]))
                self.bias -= values[-1] * term.lattice.sums
            else:
                groups.append((t, t + 1, -1 - len(matrices)))
                column = values[:-1, -1] - values[-1, -1]
                matrices.append(-np.vstack([(values[:-1, :-1] - values[-1, :-1] - column[:, None]).T, column]))
                sums.append(term.lattice.sums)
        self.arrays: tuple[Any, ...] = (*self._lattices, np.array(scales, np.float32))
        self.mixing: tuple[Any, ...] = (
            np.array(groups, np.int64).reshape(-1, 3),
            self._rows(vectors),
            np.array(lasts, np.float32),
            self._rows([row for matrix in matrices for row in matrix]),
            _joined(sums, np.float32),
        )

    def _rows(self, rows: Sequence[Floats]) -> Floats:
        """Rows of K - 1 numbers, each filled up with zeros to all lanes, one after the other."""
        out = np.zeros((len(rows), self.lanes), np.float32)
        for to, row in zip(out, rows, strict=True):
            to[: self.channels] = row
        return out.reshape(-1)

    def pack(self, scores: Floats, floor: float = 0.0) -> Packed:
        """Bring class scores into the order of the kernels.

        Args:
            scores: float32 (K, N), finite: log-probabilities, up to a number for each point; probabilities where
                `floor` > 0.
            floor: the least probability.
        """
        points = scores.shape[1]
        packed = np.empty(points * self.lanes, np.float32)
        extreme = layout.pack(
            _WIDE,
            self.tail,
            self.full,
            scores,
            np.arange(len(scores)),
            np.float32(floor),
            self.bias,
            *_order(points),
            packed,
        )
        return Packed(packed, float(extreme))

    def infer(
        self, unary: Packed, iterations: int, *, start: Packed | None = None, out: Floats | None = None
    ) -> Floats:
        """Run mean-field updates.

        Args:
            unary: packed log-probabilities.
            iterations: number of updates.
            start: the packed marginals before the first update, overwritten; None for those of the unary.
            out: float32 (K, N), contiguous, for the result; None for a new array.

        Returns:
            float32 (K, N), the marginals.
        """
        points = len(self.bias)
        sizes = [*2 * (self.count * self.lanes,), *2 * (BLOCK * self.lanes,), 2 * BLOCK, points]
        ends = np.cumsum([padded(size) for size in sizes])
        memory = _SCRATCH.take(int(ends[-1]))
        values, values_out, *scratch, last_class = (
            memory[end - padded(size) : end - padded(size) + size] for end, size in zip(ends, sizes, strict=True)
        )
        memory[: ends[-2]] = 0
        first = unary if start is None else start
        stabilise = bool(max(unary.extreme, first.extreme) + self.reach + np.log(self.channels + 1) > LIMIT)
        written = (np.empty_like(unary.values) if start is None else start.values, last_class)
        for i in range(iterations + 1):
            term_update.sweep_terms(
                _WIDE,
                self.tail,
                self.full,
                self.channels,
                (first if i == 0 else unary).values,
                self.bias,
                self.arrays,
                self.mixing,
                values,
                values_out,
                stabilise,
                i == 0,
                *(written if i == iterations else (None, None)),
                *scratch,
            )
            if i < iterations:
                update.blur(_WIDE, self.tail, self.full, values_out, self.chains)
                values, values_out = values_out, values
                values_out.fill(0)
        kept = np.arange(self.channels + 1)
        out = np.empty((len(kept), points), np.float32) if out is None else out
        layout.unpack(_WIDE, self.tail, self.full, written[0], last_class, kept, *_order(points), out)
        _SCRATCH.give_back(memory)
        return out


@dataclass(frozen=True)
class Packed:
    """Class scores in the order of the kernels.

    Attributes:
        values: float32 (N * lanes,), log-odds against the last class minus the bias of their `TermSet`.
        extreme: the greatest absolute log-odds.
    """

    values: Floats
    extreme: float


def _order(points: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Points in their own order, and the first point of each strip that `layout` reorders at a time."""
    return np.arange(points, dtype=np.int32), np.append(np.arange(0, points, _STRIP), points)


def _joined(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    """The parts one after the other; a single part as it is."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, kind)
