"""`tag2mask report`: a run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import AsJson, Device, Run, app, only_json, say

Palette = Annotated[str, typer.Option(help="safe (for the colour-blind too) or voc.")]


@app.command()
def report(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="report.html in the run's folder")
    ] = None,
    palette: Palette = "safe",
    examples: Annotated[int, typer.Option(min=1, help="Images of each kind: best, median, worst.")] = 2,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write a page about a run: what it is worth, dataset, curves, scores, images of every step."""
    from typing import cast

    from tag2mask.cli.verdict import show_run
    from tag2mask.drawing import Palette as Known
    from tag2mask.report import write_report

    only_json(as_json)
    path = write_report(run, out=out, palette=cast(Known, palette), examples=examples, device=device)
    show_run(run, as_json=as_json, report=path)
    say(f"the report is {path}", result=True)
