"""The end of a command that writes a result for each of many images."""

from __future__ import annotations

from tag2mask.cli.common import as_said, finish, print_json, report_failures, say
from tag2mask.core.errors import DataError
from tag2mask.core.outcome import Outcome
from tag2mask.core.text import counted


def conclude(outcome: Outcome, *, also_skipped: int = 0, as_json: bool = False) -> None:
    """Print what was done and what failed, and set the exit status.

    Args:
        outcome: of the job.
        also_skipped: images that were left out before the job began.
        as_json: print the outcome as a JSON document.

    Raises:
        DataError: images failed and there is no result at all.
    """
    report_failures(outcome.failures)
    say(outcome.summary(), result=True)
    if as_json:
        skipped, notes = len(outcome.failures) + also_skipped, [as_said(note) for note in outcome.notes]
        print_json({**outcome.to_dict(), "skipped": skipped, "notes": notes})
    if outcome.is_empty:
        number = counted(len(outcome.failures), "images")
        raise DataError(f"nothing was done: {number} failed and there is no result; the reasons stand above")
    finish(len(outcome.failures) + also_skipped)
