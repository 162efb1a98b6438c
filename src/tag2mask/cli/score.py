"""`tag2mask evaluate`, `score`: how good masks and networks are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tag2mask.cli.common import (
    AsJson,
    Device,
    Format,
    Images,
    Network,
    Split,
    Tags,
    app,
    finish,
    only_json,
    print_json,
    say,
)

if TYPE_CHECKING:
    from tag2mask.evaluation.by_size import SizeScores


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Folder of predicted masks.")],
    human: Annotated[Path, typer.Argument(help="Folder of ground truth.")],
    classes: Annotated[Path, typer.Option(help="File of class names, in the order of their indices.")],
    sample: Annotated[
        bool, typer.Option("--sample", help="The ground truth is a random sample: estimate, with an interval.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the interval of --sample.")] = 0.95,
    by_size: Annotated[
        bool, typer.Option("--by-size", help="Recall and IoU by object size too: do small objects vanish or swell?")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score masks: IoU of each class and their mean."""
    from tag2mask.evaluation.folders import estimate
    from tag2mask.evaluation.folders import evaluate as score

    only_json(as_json)
    estimated = estimate(predicted, human, classes, confidence=confidence, by_size=by_size) if sample else None
    result = estimated.evaluation if estimated else score(predicted, human, classes, by_size=by_size)
    if as_json:
        print_json((estimated or result).to_dict())
        return
    for note in result.notes:
        say(note, result=True)
    width = max(len(name) for name, _ in result.table())
    for name, value in result.table():
        say(f"{name:<{width}}  {value:>5}", result=True)
    if result.by_size:
        _say_sizes(result.by_size)
    if result.extra:
        say(f"{result.extra} predicted masks have no ground truth and were not scored", result=True)
    say((estimated or result).summary(), result=True)


def _say_sizes(scores: SizeScores) -> None:
    """Print a line for each class and size of components in the ground truth."""
    heads = ("class", "share of the image", "objects", "missed", "recall", "IoU")
    rows = [heads, *scores.table()]
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    say("connected components of the ground truth by their size:", result=True)
    for row in rows:
        left = (f"{cell:<{width}}" for cell, width in zip(row[:2], widths[:2], strict=True))
        right = (f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True))
        say("  ".join((*left, *right)), result=True)


@app.command()
def score(
    run: Network,
    images: Images,
    tags: Tags = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another run, to be ranked with the first. Repeatable; two or more.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many images.")] = 100,
    format: Format = "auto",
    split: Split = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Compare runs and settings without ground truth, on tagged images that were not trained on."""
    from tempfile import TemporaryDirectory

    from tag2mask.data import Dataset, decodable, log_problems
    from tag2mask.evaluation.label_free import consensus_scores, label_free_score
    from tag2mask.inference.segmenter import Segmenter

    only_json(as_json)
    runs = [run, *(against or [])]
    segmenters = [Segmenter.from_pretrained(one, device=device) for one in runs]
    with TemporaryDirectory(prefix="tag2mask-") as folder:
        dataset = Dataset.load(
            images, tags, classes=segmenters[0].classes, format=format, split=split, unpack=Path(folder)
        )
        dataset = decodable(dataset.spread(limit))
        log_problems(dataset.problems)
        near = consensus_scores(segmenters, dataset, limit=limit) if against else []
        results = [label_free_score(segmenter, dataset, limit=limit) for segmenter in segmenters]
    if as_json:
        both = [
            {"run": str(one), **result.to_dict(), **({"consensus": near[k]} if near else {})}
            for k, (one, result) in enumerate(zip(runs, results, strict=True))
        ]
        print_json(both if against else results[0].to_dict())
    elif not near:
        say(results[0].summary(), result=True)
        if results[0].tags:
            say(f"tags: {results[0].tags.summary()}", result=True)
    else:
        for k in sorted(range(len(runs)), key=lambda k: -near[k]):
            say(
                f"{100 * near[k]:5.1f} agreement with the other runs' vote: {runs[k]}; {results[k].summary()}",
                result=True,
            )
    finish(dataset.skipped)
