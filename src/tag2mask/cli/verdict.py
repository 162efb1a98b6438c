"""The verdict on a run in the terminal: a table of lights, findings with remedies, the next commands."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tag2mask.cli.common import is_quiet, out_console, plain, print_json, say

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


def run_document(folder: Path, *, report: Path | None = None) -> dict[str, Any]:
    """What a script wants to know of a run.

    Args:
        folder: of the run.
        report: its page; None: the one in the folder, if it is there.

    Returns:
        Plain JSON values: `run`, `masks` and `report` (paths or None), what `result.json` has or None (`images`,
        `skipped`, `failures`, `corrected`, `score`), and `verdict`, or None.
    """
    from tag2mask.evaluation.verdict import read_verdict
    from tag2mask.models.checkpoint import RunFolder

    run = RunFolder(folder)
    known = ("images", "skipped", "failures", "corrected", "score")
    result: dict[str, Any] = dict.fromkeys(known)
    if run.result.is_file():
        result |= json.loads(run.result.read_text(encoding="utf-8"))
    result["failures"] = [{"image": name, "reason": reason} for name, reason in result["failures"] or ()]
    verdict = read_verdict(run)
    if report is None and (run.root / "report.html").is_file():
        report = run.root / "report.html"
    return {
        "run": str(folder),
        "masks": str(run.masks) if run.masks.is_dir() else None,
        "report": None if report is None else str(report),
        **{name: result[name] for name in known},
        "verdict": None if verdict is None else verdict.to_dict(),
    }


def show_run(folder: Path, *, as_json: bool, report: Path | None = None) -> None:
    """Print the verdict on a run for people, or its document."""
    if as_json:
        print_json(run_document(folder, report=report))
    else:
        show_verdict(folder)


def show_verdict(folder: Path) -> None:
    """Print the verdict on a run, if there is one in its folder; where few words are wanted, in one line."""
    from tag2mask.evaluation.verdict import read_verdict
    from tag2mask.models.checkpoint import RunFolder

    verdict = read_verdict(RunFolder(folder))
    if verdict is None:
        return
    if is_quiet():
        _headline(verdict)
        return
    _table(verdict)
    for finding in verdict.findings:
        say(f"{finding.light}: {finding.what}")
        say(f"  remedy: {finding.remedy}")
    for missing in verdict.missing:
        say(f"not known: {missing}")
    _headline(verdict)
    out_console.print("next:")
    for step in verdict.next:
        out_console.print(f"  {plain(step.command)}\n    [dim]{plain(step.why)}[/]")


def _headline(verdict: Verdict) -> None:
    out_console.print(f"[{_STYLES[verdict.overall]}]verdict: {verdict.overall}[/]; {plain(verdict.headline())}")


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
