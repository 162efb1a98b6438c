"""The time that is left of a job of several stages: from rates measured before it, and from what its steps take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_TRUSTED = 0.1
"""Share of a part after which its own steps alone tell its rate."""

_BOUNDS = (0.25, 4.0)
"""Of how far the parts that have run may change what is expected of those that have not."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a job.

    Attributes:
        what: what is counted, as progress names it.
        units: how many there are, in all rounds of the part.
        seconds: that all of them are expected to take; None: not known before they run.
    """

    what: str
    units: int
    seconds: float | None = None


class _Known:
    """What was seen of a part."""

    def __init__(self, part: Part):
        self.part = part
        self.before = 0  # of the rounds that have ended
        self.round = 0
        self.timed = 0  # steps whose time is known
        self.elapsed = 0.0

    @property
    def done(self) -> int:
        return min(self.part.units, self.before + self.round)

    @property
    def planned(self) -> float | None:
        """Seconds that were expected of a unit."""
        return None if self.part.seconds is None else self.part.seconds / max(1, self.part.units)

    @property
    def trust(self) -> float:
        """How far its own steps tell its rate, in [0, 1]."""
        return min(1.0, self.timed / max(1.0, _TRUSTED * self.part.units))

    def rate(self, factor: float) -> float | None:
        """Seconds of a unit that is still to come; `factor` is how far other parts took longer than expected."""
        planned = None if self.planned is None else self.planned * factor
        measured = self.elapsed / self.timed if self.timed else None
        if planned is None or measured is None:
            return planned if measured is None else measured
        return self.trust * measured + (1 - self.trust) * planned


class TimeLeft:
    """Seconds that are left of a job, while its parts run one after the other or in turns.

    >>> now = [0.0]
    >>> left = TimeLeft([Part("steps", 10, 20.0), Part("masks", 5, 10.0)], clock=lambda: now[0])
    >>> left.seconds()
    30.0
    >>> for done in range(6):
    ...     left.step("steps", done, 10)
    ...     now[0] += 2.0
    >>> left.seconds()  # 5 steps and 5 masks, less the 2 seconds since the last step
    18.0
    """

    def __init__(self, parts: Iterable[Part] = (), *, clock: Callable[[], float] = time.monotonic):
        """Prepare.

        Args:
            parts: of the job.
            clock: seconds that only grow.
        """
        self._clock = clock
        self._last: tuple[str, float] | None = None
        self._known: dict[str, _Known] = {}
        self.plan(parts)

    def plan(self, parts: Iterable[Part]) -> None:
        """Say what the job consists of; nothing of it is done yet."""
        self._known = {part.what: _Known(part) for part in parts}

    def knows(self, what: str) -> bool:
        """Whether a part was planned."""
        return what in self._known

    def step(self, what: str, done: int, total: int) -> None:
        """Note a step; the first of a round has `done` 0. What is not planned counts for nothing.

        Args:
            what: part.
            done: steps of this round that are done.
            total: of this round.
        """
        now = self._clock()
        known = self._known.get(what)
        if known is not None:
            if done < known.round:
                known.before += known.round
                known.round = 0
            new = done - known.round
            known.round = done
            if self._last is not None and self._last[0] == what and new > 0:
                known.timed += new
                known.elapsed += now - self._last[1]
        self._last = (what, now)

    def seconds(self) -> float | None:
        """Seconds left, at least 0; None as long as nothing tells."""
        factor = self._factor()
        total, tells = 0.0, False
        for known in self._known.values():
            rate = known.rate(factor)
            if rate is not None:
                tells = True
                total += (known.part.units - known.done) * rate
        if not tells:
            return None
        return max(0.0, total - self._since(factor))

    def _since(self, factor: float) -> float:
        """Seconds of the step that runs; at most those of a usual one, so that a job that stands still does not end."""
        if self._last is None:
            return 0.0
        known = self._known.get(self._last[0])
        if known is None or known.done >= known.part.units:
            return 0.0
        return min(self._clock() - self._last[1], known.rate(factor) or 0.0)

    def _factor(self) -> float:
        """How far the parts that have run took longer than expected."""
        seen = [(known, known.planned) for known in self._known.values() if known.trust == 1.0]
        expected = sum(known.timed * planned for known, planned in seen if planned is not None)
        if expected <= 0:
            return 1.0
        took = sum(known.elapsed for known, planned in seen if planned is not None)
        return min(max(took / expected, _BOUNDS[0]), _BOUNDS[1])
