"""`tag2mask masks`, `predict`: everything that makes masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tag2mask.cli.common import (
    AsJson,
    Confidence,
    ConfidenceBits,
    Device,
    Format,
    ImageSize,
    Network,
    Overlays,
    Overwrite,
    PredictionSet,
    Split,
    Strict,
    Tile,
    app,
    only_json,
    prediction_options,
    refuse,
)
from tag2mask.cli.results import conclude
from tag2mask.core.errors import ConfigError

AnyOut = Annotated[str, typer.Option("--out", help="Folder to write to; with --engine also an address.")]
Engine = Annotated[str | None, typer.Option(help="local or ray: for huge datasets on any storage; see docs/scale.md.")]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="png; geotiff: TIFF that lie where their images do, of any size; tiff: of images without a CRS, too. With "
        "--engine: parquet (run lengths) or png. [default: png; with --engine parquet]",
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(help="Most memory of the process, e.g. 2GiB. [default: no bound on one image; see docs/scale.md]"),
]
Workers = Annotated[int | None, typer.Option(min=1, help="With --engine ray.", show_default="one a core")]
_NOT_BULK = "not with --engine, where settings of prediction are those of the run; leave it out"


@app.command()
def masks(
    run: Network,
    images: Annotated[
        str,
        typer.Argument(help="Folder of images, or of a whole dataset; with --engine also an address or tar shards."),
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
    confidence_bits: ConfidenceBits = None,
    image_size: ImageSize = None,
    tile: Tile = None,
    set_: PredictionSet = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    max_memory: MaxMemory = None,
    device: Device = "auto",
    engine: Engine = None,
    to: To = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Write masks of tagged images; the tags say which classes may get pixels."""
    only_json(as_json)
    if engine is not None:
        local = _local(overlays, confidence, confidence_bits, image_size, tile, set_, overwrite, strict, max_memory)
        refuse({"--format": None if format == "auto" else format, "--split": split, **local}, _NOT_BULK)
        _bulk(run, images, out, tags or True, engine, to, workers, device, as_json=as_json)
        return
    _refuse_idle(to, workers, confidence, confidence_bits)
    from tag2mask.data import UNPACKED, Dataset, log_problems
    from tag2mask.inference.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(run, device=device)
    dataset = Dataset.load(
        images,
        tags,
        classes=segmenter.classes,
        format=format,
        split=split,
        strict=strict,
        unpack=Path(out) / UNPACKED,
    )
    log_problems(dataset.problems)
    outcome = segmenter.predict_folder(
        dataset,
        out,
        to=to or "png",
        overlays=overlays,
        confidence=confidence,
        confidence_bits=8 if confidence_bits is None else confidence_bits,
        options=prediction_options(set_, image_size, tile),
        overwrite=overwrite,
        strict=strict,
        max_memory=max_memory,
    )
    conclude(outcome, also_skipped=dataset.skipped, as_json=as_json)


@app.command()
def predict(
    run: Network,
    images: Annotated[
        str, typer.Argument(help="An image or a folder of images; with --engine also an address or tar shards.")
    ],
    out: AnyOut,
    overlays: Overlays = None,
    confidence: Confidence = None,
    confidence_bits: ConfidenceBits = None,
    image_size: ImageSize = None,
    tile: Tile = None,
    set_: PredictionSet = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    max_memory: MaxMemory = None,
    device: Device = "auto",
    engine: Engine = None,
    to: To = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Write masks of images without tags."""
    only_json(as_json)
    if engine is not None:
        local = _local(overlays, confidence, confidence_bits, image_size, tile, set_, overwrite, strict, max_memory)
        refuse(local, _NOT_BULK)
        _bulk(run, images, out, False, engine, to, workers, device, as_json=as_json)
        return
    _refuse_idle(to, workers, confidence, confidence_bits)
    from tag2mask.inference.segmenter import Segmenter

    outcome = Segmenter.from_pretrained(run, device=device).predict_folder(
        images,
        out,
        to=to or "png",
        overlays=overlays,
        confidence=confidence,
        confidence_bits=8 if confidence_bits is None else confidence_bits,
        options=prediction_options(set_, image_size, tile),
        overwrite=overwrite,
        strict=strict,
        max_memory=max_memory,
    )
    conclude(outcome, as_json=as_json)


def _local(
    overlays: Path | None,
    confidence: Path | None,
    confidence_bits: int | None,
    image_size: int | None,
    tile: int | None,
    set_: list[str] | None,
    overwrite: bool,
    strict: bool,
    max_memory: str | None,
) -> Mapping[str, object]:
    """What was given of the options that masks on any storage do not have."""
    return {
        "--overlays": overlays,
        "--confidence": confidence,
        "--confidence-bits": confidence_bits,
        "--image-size": image_size,
        "--tile": tile,
        "--set": set_,
        "--overwrite": overwrite,
        "--strict": strict,
        "--max-memory": max_memory,
    }


def _refuse_idle(to: str | None, workers: int | None, confidence: Path | None, confidence_bits: int | None) -> None:
    if to == "parquet":
        raise ConfigError("--to parquet: only with --engine; leave it out, or add --engine local or ray")
    refuse({"--workers": workers}, "only with --engine; leave it out, or add --engine local or ray")
    if confidence is None:
        refuse({"--confidence-bits": confidence_bits}, "only with --confidence, the folder of the confidence maps")


def _bulk(
    run: Path,
    images: str,
    out: str,
    tags: str | bool,
    engine: str,
    to: str | None,
    workers: int | None,
    device: str,
    *,
    as_json: bool,
) -> None:
    """Masks of a huge dataset."""
    if engine not in ("local", "ray"):
        raise ConfigError(f"--engine {engine}: expected local or ray")
    if engine == "local":
        refuse({"--workers": workers}, "only with --engine ray; --engine local works in this process")
    target = to or "parquet"
    if target not in ("parquet", "png"):
        raise ConfigError(f"--to {target}: expected parquet or png")
    from tag2mask.deploy.bulk import bulk_predict

    outcome = bulk_predict(
        run, images, out, engine=cast(Any, engine), to=cast(Any, target), tags=tags, device=device, workers=workers
    )
    conclude(outcome, as_json=as_json)
