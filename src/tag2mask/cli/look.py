"""`tag2mask report`, `app`: what people look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Device, Run, app, say

Palette = Annotated[str, typer.Option(help="safe (told apart by the colour-blind) or voc.")]


@app.command()
def report(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="File to write. [default: report.html in the run's folder]")] = None,
    palette: Palette = "safe",
    examples: Annotated[int, typer.Option(min=1, help="Images of each kind: best, median, worst.")] = 2,
    device: Device = "auto",
) -> None:
    """Write a page about a run: collection, curves, scores, pictures of every step."""
    from typing import cast

    from tag2mask.report import write_report
    from tag2mask.visualize import Palette as Known

    path = write_report(run, out=out, palette=cast(Known, palette), examples=examples, device=device)
    say(f"the report is {path}")
