"""`tag2mask masks`, `predict`: everything that makes masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tag2mask.cli.common import (
    Confidence,
    ConfidenceBits,
    Device,
    Format,
    ImageSize,
    Overlays,
    Overwrite,
    PredictionSet,
    Run,
    Split,
    Strict,
    Tile,
    app,
    bar,
    finish,
    prediction_options,
    report_failures,
    say,
)
from tag2mask.core.errors import ConfigError

AnyOut = Annotated[str, typer.Option("--out", help="Folder to write to; with --engine also an address.")]
Engine = Annotated[
    str | None, typer.Option(help="local or ray: for huge collections on any storage; see docs/scale.md.")
]
To = Annotated[str, typer.Option("--to", help="With --engine: parquet (run lengths) or png.")]
Workers = Annotated[int | None, typer.Option(min=1, help="With --engine ray. [default: one a core]")]


@app.command()
def masks(
    run: Run,
    images: Annotated[
        str,
        typer.Argument(
            help="Folder of the images, or of the whole collection; with --engine also an address or shards."
        ),
    ],
    out: AnyOut,
    tags: Annotated[
        str | None,
        typer.Option(
            "--tags", help="File of tags: CSV, COCO, CVAT, Label Studio or JSON Lines; with --engine also an address."
        ),
    ] = None,
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
    engine: Engine = None,
    to: To = "parquet",
    workers: Workers = None,
) -> None:
    """Write masks of tagged photographs; the tags say which classes may get pixels."""
    if engine is not None:
        given: dict[str, object] = {
            "--format": format != "auto",
            "--split": split,
            "--overlays": overlays,
            "--confidence": confidence,
            "--image-size": image_size,
            "--tile": tile,
        }
        given |= {"--set": set_, "--overwrite": overwrite, "--strict": strict}
        _bulk(run, images, out, tags or True, engine, to, workers, [name for name, value in given.items() if value])
        return
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
    images: Annotated[
        str, typer.Argument(help="A photograph or a folder of them; with --engine also an address or tar shards.")
    ],
    out: AnyOut,
    overlays: Overlays = None,
    confidence: Confidence = None,
    confidence_bits: ConfidenceBits = 8,
    image_size: ImageSize = None,
    tile: Tile = None,
    set_: PredictionSet = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    device: Device = "auto",
    engine: Engine = None,
    to: To = "parquet",
    workers: Workers = None,
) -> None:
    """Write masks of photographs without tags."""
    if engine is not None:
        given: dict[str, object] = {
            "--overlays": overlays,
            "--confidence": confidence,
            "--image-size": image_size,
            "--tile": tile,
        }
        given |= {"--set": set_, "--overwrite": overwrite, "--strict": strict}
        _bulk(run, images, out, False, engine, to, workers, [name for name, value in given.items() if value])
        return
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


def _bulk(
    run: Path,
    images: str,
    out: str,
    tags: str | bool,
    engine: str,
    to: str,
    workers: int | None,
    unused: list[str],
) -> None:
    """Masks of a huge collection."""
    from tag2mask.deploy.bulk import bulk_predict

    if unused:
        raise ConfigError(f"{', '.join(unused)}: not with --engine; settings of prediction are those of the run")
    if engine not in ("local", "ray"):
        raise ConfigError(f"--engine {engine}: expected local or ray")
    if to not in ("parquet", "png"):
        raise ConfigError(f"--to {to}: expected parquet or png")
    outcome = bulk_predict(
        run, images, out, engine=cast(Any, engine), form=cast(Any, to), tags=tags, workers=workers, report=say
    )
    report_failures(outcome.failures)
    say(outcome.summary())
    finish(len(outcome.failures))
