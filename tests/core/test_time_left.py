"""The time that is left of a job of several stages."""

from __future__ import annotations

from tag2mask.core.time_left import Part, TimeLeft


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(left: TimeLeft, clock: Clock, what: str, count: int, seconds: float) -> None:
    """A round of steps."""
    left.step(what, 0, count)
    for done in range(1, count + 1):
        clock.now += seconds
        left.step(what, done, count)


def test_rounds_of_two_parts_take_turns() -> None:
    clock = Clock()
    left = TimeLeft([Part("steps", 20), Part("pseudo masks", 4)], clock=clock)
    assert left.seconds() is None
    run(left, clock, "steps", 10, 1.0)
    assert left.seconds() == 10
    run(left, clock, "pseudo masks", 2, 3.0)
    assert left.seconds() == 10 + 2 * 3
    run(left, clock, "steps", 10, 1.0)
    assert left.seconds() == 6
    run(left, clock, "pseudo masks", 2, 3.0)
    assert left.seconds() == 0


def test_what_runs_slower_than_planned_makes_the_rest_slower_too() -> None:
    clock = Clock()
    left = TimeLeft([Part("steps", 100, 100.0), Part("masks", 10, 50.0)], clock=clock)
    assert left.seconds() == 150
    run(left, clock, "steps", 50, 2.0)
    assert left.seconds() == 100 + 100


def test_a_job_that_stands_still_does_not_end() -> None:
    clock = Clock()
    left = TimeLeft([Part("steps", 10, 10.0)], clock=clock)
    run(left, clock, "steps", 5, 1.0)
    clock.now += 1000
    assert left.seconds() == 4


def test_what_was_not_planned_counts_for_nothing() -> None:
    clock = Clock()
    left = TimeLeft([Part("masks", 2, 4.0)], clock=clock)
    run(left, clock, "images recognised", 7, 9.0)
    assert left.seconds() == 4
