"""`tag2mask check`: what is wrong with a dataset."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tag2mask.cli.common import (
    Format,
    Images,
    Split,
    Tags,
    app,
    json_text,
    only_json,
    out_console,
    plain,
    print_json,
    say,
)
from tag2mask.core.text import printable

if TYPE_CHECKING:
    from tag2mask.data.checks import Finding, Report

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


class FailOn(StrEnum):
    """The level of findings from which on the exit status is 1."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


@app.command()
def check(
    images: Images,
    tags: Tags = None,
    format: Format = "auto",
    split: Split = None,
    classes: Annotated[Path | None, typer.Option(help="File of class names, in the order of their indices.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Folder of other images, such as those of validation: find copies.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks to compare with the tags.")] = None,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write everything as JSON to this file; without one, or with -, to standard output."
        ),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Findings at this level or worse make the exit status 1.")
    ] = FailOn.ERROR,
    shown: Annotated[int, typer.Option(min=0, help="Lines shown of each finding.")] = 5,
) -> None:
    """Say what is wrong with images and tags, before hours are spent on them."""
    from tag2mask.core.files import write_text
    from tag2mask.data.checks import check_dataset

    only_json(str(as_json) == "-")
    report = check_dataset(images, tags, classes=classes, format=format, split=split, against=against, masks=masks)
    if as_json is not None:
        if str(as_json) == "-":
            print_json(report.to_dict())
        else:
            write_text(as_json, json_text(report.to_dict()) + "\n")
    if str(as_json) != "-":
        _table(report, shown)
    if report.fails(fail_on):
        raise typer.Exit(1)


def _table(report: Report, shown: int) -> None:
    from rich.table import Table

    table = Table(show_lines=True, show_edge=False)
    table.add_column("finding", no_wrap=True)
    table.add_column("what, where, consequence and remedy", ratio=1)
    for finding in report.findings:
        colour = _COLOURS[finding.severity]
        table.add_row(f"[{colour}]{finding.severity}[/]\n{finding.code}", _described(finding, shown))
    if report.findings:
        out_console.print(table, soft_wrap=False)
    say(report.summary(), result=True)


def _described(finding: Finding, shown: int) -> str:
    lines = [f"[bold]{plain(finding.what)}[/]"]
    lines += [f"[dim]· {plain(printable(line))}[/]" for line in finding.where[:shown]]
    if len(finding.where) > shown:
        lines.append(f"[dim]· and {len(finding.where) - shown} more (all with --json)[/]")
    return "\n".join([*lines, f"→ {plain(finding.consequence)}", f"✓ {plain(finding.remedy)}"])
