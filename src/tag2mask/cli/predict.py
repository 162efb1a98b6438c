"""`tag2mask masks`, `predict`: everything that makes masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import (
    Confidence,
    ConfidenceBits,
    Device,
    Format,
    Images,
    ImageSize,
    Out,
    Overlays,
    Overwrite,
    PredictionSet,
    Run,
    Split,
    Strict,
    Tags,
    Tile,
    app,
    bar,
    finish,
    prediction_options,
    report_failures,
    say,
)


@app.command()
def masks(
    run: Run,
    images: Images,
    out: Out,
    tags: Tags = None,
    format: Format = "auto",
    split: Split = None,
    overlays: Overlays = None,
    confidence: Confidence = None,
    confidence_bits: ConfidenceBits = 8,
    image_size: ImageSize = None,
    tile: Tile = None,
    set_: PredictionSet = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    device: Device = "auto",
) -> None:
    """Write masks of tagged photographs; the tags say which classes may get pixels."""
    from tag2mask.api import make_masks

    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        say(line)

    with bar("masks") as progress_of:
        outcome = make_masks(
            run,
            images,
            tags,
            out=out,
            format=format,
            split=split,
            overlays=overlays,
            confidence=confidence,
            confidence_bits=confidence_bits,
            options=prediction_options(set_, image_size, tile),
            overwrite=overwrite,
            strict=strict,
            device=device,
            report=report,
            mask_progress=progress_of,
        )
    report_failures(outcome.failures)
    say(outcome.summary())
    finish(len(outcome.failures) + len(reported))


@app.command()
def predict(
    run: Run,
    images: Annotated[Path, typer.Argument(help="A photograph or a folder of them.")],
    out: Out,
    overlays: Overlays = None,
    confidence: Confidence = None,
    confidence_bits: ConfidenceBits = 8,
    image_size: ImageSize = None,
    tile: Tile = None,
    set_: PredictionSet = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    device: Device = "auto",
) -> None:
    """Write masks of photographs without tags."""
    from tag2mask.api import predict as run_prediction

    with bar("masks") as progress_of:
        outcome = run_prediction(
            run,
            images,
            out=out,
            overlays=overlays,
            confidence=confidence,
            confidence_bits=confidence_bits,
            options=prediction_options(set_, image_size, tile),
            overwrite=overwrite,
            strict=strict,
            device=device,
            mask_progress=progress_of,
        )
    report_failures(outcome.failures)
    say(outcome.summary())
    finish(len(outcome.failures))
