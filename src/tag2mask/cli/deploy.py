"""`tag2mask export-model`, `push-to-hub`: the trained network for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Run, app, say


@app.command(name="export-model")
def export_model(
    run: Run,
    onnx: Annotated[Path, typer.Option("--onnx", help="File to write, ending in .onnx.")],
    int8: Annotated[
        Path | None,
        typer.Option("--int8", help="Also quantise it to 8-bit integers, calibrated on the images of this folder."),
    ] = None,
) -> None:
    """Write the network as an ONNX file; `tag2mask predict FILE.onnx` then needs no torch."""
    from tag2mask.inference.segmenter import Segmenter
    from tag2mask.portable.quantise import quantise

    metadata = Segmenter.from_pretrained(run).export_onnx(onnx)
    if int8 is not None:
        metadata = quantise(onnx, onnx, int8)
    size = onnx.stat().st_size / 1e6
    say(
        f"{onnx}: {len(metadata.classes)} classes, {metadata.precision}, opset {metadata.opset}, {size:.1f} MB",
        result=True,
    )


@app.command(name="push-to-hub")
def push_to_hub(
    run: Run,
    name: Annotated[str, typer.Argument(help="user/name on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Create a public repository, not a private one.")] = False,
    scores: Annotated[Path | None, typer.Option(help="What `tag2mask evaluate --json` printed, for the card.")] = None,
    description: Annotated[str, typer.Option(help="What the images are, for the card.")] = "",
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the weights, e.g. apache-2.0.")] = None,
) -> None:
    """Put the network on the Hugging Face Hub, with a model card; `tag2mask predict user/name` fetches it."""
    from tag2mask.portable.hub import push_to_hub as push

    say(push(run, name, private=not public, scores=scores, description=description, licence=licence), result=True)
