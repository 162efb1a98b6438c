"""The verdict on a run in the terminal: a table of lights, findings with remedies, the next commands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tag2mask.cli.common import out_console, plain, say

if TYPE_CHECKING:
    from tag2mask.evaluation.verdict import Verdict

_STYLES = {"green": "bold green", "amber": "bold yellow", "red": "bold red"}


@contextmanager
def verdict_as_table() -> Iterator[None]:
    """Hide the lines of the verdict that training logs, while the context lasts: `show_verdict` has them."""
    from tag2mask.training.verdict import LINES

    logger = logging.getLogger(LINES)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def show_verdict(folder: Path) -> None:
    """Print the verdict on a run, if there is one in its folder."""
    from tag2mask.evaluation.verdict import read_verdict
    from tag2mask.models.checkpoint import RunFolder

    verdict = read_verdict(RunFolder(folder))
    if verdict is None:
        return
    _table(verdict)
    for finding in verdict.findings:
        say(f"{finding.light}: {finding.what}")
        say(f"  remedy: {finding.remedy}")
    for missing in verdict.missing:
        say(f"not known: {missing}")
    out_console.print(f"[{_STYLES[verdict.overall]}]verdict: {verdict.overall}[/]; {plain(verdict.headline())}")
    out_console.print("next:")
    for step in verdict.next:
        out_console.print(f"  {plain(step.command)}\n    [dim]{plain(step.why)}[/]")


def _table(verdict: Verdict) -> None:
    from rich.table import Table

    table = Table(show_edge=False)
    table.add_column("class", no_wrap=True)
    table.add_column("light", no_wrap=True)
    table.add_column("reason", ratio=1)
    for name, one in verdict.classes.items():
        reason = "; ".join((one.reason, *one.others))
        table.add_row(plain(name), f"[{_STYLES[one.light]}]{one.light}[/]", plain(reason))
    out_console.print(table, soft_wrap=False)
