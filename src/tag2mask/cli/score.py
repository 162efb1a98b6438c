"""`tag2mask evaluate`, `score`: how good masks and networks are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Device, Format, Images, Run, Split, Tags, app, say


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Folder of predicted masks.")],
    human: Annotated[Path, typer.Argument(help="Folder of human masks.")],
    classes: Annotated[Path, typer.Option(help="File of class names, in the order of their indices.")],
    sample: Annotated[
        bool, typer.Option("--sample", help="The human masks are a random sample: estimate, with an interval.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the interval of --sample.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score masks: IoU of each class and their mean."""
    from tag2mask.evaluation import estimate
    from tag2mask.evaluation import evaluate as score

    estimated = estimate(predicted, human, classes, confidence=confidence) if sample else None
    result = estimated.evaluation if estimated else score(predicted, human, classes)
    if as_json:
        typer.echo(json.dumps((estimated or result).to_dict(), ensure_ascii=False, indent=1))
        return
    width = max(len(name) for name, _ in result.table())
    for name, value in result.table():
        say(f"{name:<{width}}  {value:>5}")
    if result.extra:
        say(f"{result.extra} predicted masks have no human mask and were not scored")
    say((estimated or result).summary())


@app.command()
def score(
    run: Run,
    images: Images,
    tags: Tags = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many photographs.")] = 100,
    format: Format = "auto",
    split: Split = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs and settings without human masks, on tagged photographs that were not trained on."""
    from tempfile import TemporaryDirectory

    from tag2mask.collection import load_collection
    from tag2mask.label_free import label_free_score
    from tag2mask.predictor import Predictor

    predictor = Predictor.load(run, device=device)
    with TemporaryDirectory(prefix="tag2mask-") as folder:
        collection = load_collection(
            images, tags, classes=predictor.classes, format=format, split=split, unpack=Path(folder)
        )
        result = label_free_score(predictor, collection, limit=limit)
    typer.echo(json.dumps(result.to_dict(), indent=1)) if as_json else say(result.summary())
