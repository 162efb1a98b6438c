"""The report as one HTML file."""

from __future__ import annotations

import shlex
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask import __version__
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.core.files import write_text
from tag2mask.drawing import Palette
from tag2mask.evaluation import Evaluation
from tag2mask.evaluation.verdict import Verdict, read_verdict, write_verdict
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder, load_model
from tag2mask.report.curves import curves
from tag2mask.report.facts import Facts, Group, gather
from tag2mask.report.thumbnails import HATCHED, Thumbnail, small_overlay, steps_of

NAME = "report.html"
"""File of the report in the folder of its run."""


def write_report(
    run: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    palette: Palette = "safe",
    examples: int = 2,
    device: str = "auto",
) -> Path:
    """Write the report of a trained run: one HTML file that loads nothing else.

    It shows what the masks are worth (`verdict.json`, written where it is not there yet), the dataset, the curves of
    training, the masks of the training images with their scores where there is ground truth, each step of the method
    for some images, and the least certain masks.

    Args:
        run: folder of the run.
        out: file to write; None: `report.html` in the run's folder.
        palette: colours of the classes, see `tag2mask.drawing.palette_colours`.
        examples: images of each kind (best, median, worst) to show.
        device: where the network runs.

    Returns:
        The file.

    Raises:
        ConfigError: an unknown palette or device.
        DataError: there is no trained network, or the file cannot be written.
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    require("train", "a report", "jinja2", "matplotlib")
    if palette not in ("safe", "voc"):
        raise ConfigError(f"`palette` {palette}: expected 'safe' or 'voc'")
    folder = RunFolder(Path(run))
    network, classes, config = load_model(folder)
    segmenter = Segmenter(TorchBackend(network, classes, config, device=device))
    facts = gather(folder, examples=examples)
    verdict = read_verdict(folder) or write_verdict(folder, segmenter, facts.dataset)
    target = Path(out) if out is not None else folder.root / NAME
    write_text(target, _render({**_content(folder, segmenter, facts, palette), "verdict": _verdict(verdict)}))
    return target


def _render(content: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["shell"] = lambda word: shlex.quote(str(word))
    environment.globals["file"] = lambda name: (Path(__file__).parent / name).read_text(encoding="utf-8")
    return environment.get_template("template.html").render(**content)


def _content(run: RunFolder, segmenter: Segmenter, facts: Facts, palette: Palette) -> dict[str, Any]:
    """The template's variables."""
    groups, missing = _strips(run, segmenter, facts.groups, palette)
    by_name = {record.name: record for record in facts.dataset.records}
    pictures = [small_overlay(run, by_name[name], segmenter.classes, palette) for name, _ in facts.review]
    queue = [(*one, picture) for one, picture in zip(facts.review, pictures, strict=True)]
    return {
        "version": __version__,
        "name": run.root.resolve().name,
        "facts": _summary(segmenter, facts),
        "counts": facts.counts,
        "classes": [facts.dataset.classes[index] for index in facts.shown],
        "hidden_classes": len(facts.dataset.classes) - len(facts.shown),
        "together": _shaded(facts.together[np.ix_(facts.shown, facts.shown)]),
        "problems": sorted(facts.dataset.problem_counts().items()),
        "curves": curves(facts.epochs),
        "epochs": facts.epochs,
        "score": _score(facts.score),
        "undecided": _undecided([*(one for _, rows in groups for row in rows for one in row.steps), *pictures]),
        "unscored": facts.unscored,
        "confusion": _confusion(facts.score, facts.shown),
        "groups": groups,
        "missing": missing,
        "columns": max([6, *(len(row.steps) for _, rows in groups for row in rows)]),
        "queue": queue,
        "timings": _timings(facts.epochs),
        "config": run.config.read_text(encoding="utf-8") if run.config.is_file() else "",
        "run": run,
        "images": facts.dataset.root,
    }


class Row(NamedTuple):
    """An image in the report.

    Attributes:
        name: of the image.
        tags: of the image, for a text.
        remark: why it is shown.
        steps: of the method.
        notes: what is not shown of it.
    """

    name: str
    tags: str
    remark: str
    steps: list[Thumbnail]
    notes: list[str]


def _strips(
    run: RunFolder, segmenter: Segmenter, groups: list[Group], palette: Palette
) -> tuple[list[tuple[str, list[Row]]], list[str]]:
    """Titles of the groups with their images, and the names of the images that cannot be read any more."""
    missing: list[str] = []
    found = []
    for group in groups:
        rows: list[Row] = []
        for record, remark in group.records:
            try:
                steps = steps_of(segmenter, run, record, palette)
            except DataError:
                missing.append(record.name)
                continue
            tags = ", ".join(sorted(record.present))
            rows.append(Row(record.name, tags, remark, steps.thumbnails, steps.notes))
        if rows:
            found.append((group.title, rows))
    return found, missing


def _undecided(thumbnails: list[Thumbnail | None]) -> bool:
    """Whether a mask that is shown has undecided pixels."""
    return any(colour == HATCHED for one in thumbnails if one is not None for _, colour in one.legend)


def _summary(segmenter: Segmenter, facts: Facts) -> list[tuple[str, str]]:
    config = segmenter.config
    from_tags = config.training.supervision == "tags"
    found = [
        ("images", f"{len(facts.dataset):,}"),
        ("classes", f"{len(segmenter.classes)}"),
        ("learned from", "tags alone" if from_tags else "ground truth (fully supervised upper bound)"),
        ("backbone", config.model.backbone),
        ("seed", str(config.training.seed)),
        ("epochs", str(len(facts.epochs))),
    ]
    if from_tags:
        found.insert(3, ("class maps of", "surfaces" if config.model.contrast_stages else "objects"))
    corrected = sum(record.corrected is not None for record in facts.dataset.records)
    if corrected:
        found.append(("corrected masks", str(corrected)))
    if facts.score is not None:
        found.append(("mIoU of the masks of the training images", f"{100 * facts.score.miou:.1f}"))
    return found


def _verdict(verdict: Verdict) -> dict[str, Any]:
    """The verdict for the template: light and sentence, classes, findings, commands."""
    return {
        "light": verdict.overall,
        "headline": verdict.headline(),
        "classes": [(name, one.light, (one.reason, *one.others)) for name, one in verdict.classes.items()],
        "findings": verdict.findings,
        "missing": verdict.missing,
        "next": verdict.next,
    }


def _score(score: Evaluation | None) -> list[tuple[str, str]]:
    return [] if score is None else [*score.table(), ("mean", f"{100 * score.miou:.1f}")]


def _shaded(counts: NDArray[np.int64]) -> list[list[tuple[int, int]]]:
    """Rows of (count, percentage of the row's class), for a table whose cells are tinted."""
    shares = counts / np.maximum(1, counts.diagonal()[:, None])
    return [
        [(int(count), round(100 * float(share))) for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]


def _confusion(score: Evaluation | None, shown: list[int]) -> list[tuple[str, list[int]]]:
    """Rows of percentages: of a class's pixels in the ground truth, the share that the masks give to each class."""
    if score is None:
        return []
    kept = [0, *(index + 1 for index in shown)]
    counts = score.confusion[np.ix_(kept, kept)].astype(float)
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    names = list(score.iou)
    return [(names[k], [round(value) for value in row]) for k, row in zip(kept, shares, strict=True)]


def _timings(epochs: list[dict[str, float]]) -> list[tuple[str, str]]:
    if not epochs:
        return []
    seconds = sum(one.get("seconds", 0.0) for one in epochs)
    masks = sum(one.get("mask_seconds", 0.0) for one in epochs)
    return [
        ("training", f"{seconds / 60:.1f} min"),
        ("of which pseudo masks", f"{masks / 60:.1f} min ({100 * masks / max(1e-9, seconds):.0f} %)"),
        ("an epoch", f"{seconds / len(epochs):.1f} s"),
    ]
