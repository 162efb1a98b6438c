"""`tag2mask cvat-function`: a serverless function for CVAT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Out, app, say


@app.command(name="cvat-function")
def cvat_function(
    model: Annotated[Path, typer.Argument(help="ONNX file that `tag2mask export-model` wrote.")],
    out: Out,
    name: Annotated[
        str, typer.Option(help="Of the function in nuclio: lower case letters, digits, hyphens.")
    ] = "tag2mask",
    wheel: Annotated[
        Path | None,
        typer.Option(help="Wheel of tag2mask to install there.", show_default="this version from the package index"),
    ] = None,
) -> None:
    """Write a serverless function for CVAT, ready for `nuctl deploy`."""
    from tag2mask.deploy.cvat_function import write_function

    folder = write_function(model, out, name=name, wheel=wheel)
    say(f"{folder}: deploy it with: nuctl deploy --project-name cvat --path {folder} --platform local", result=True)
