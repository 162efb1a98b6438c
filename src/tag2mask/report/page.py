"""The report as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tag2mask import __version__
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.core.files import write_text
from tag2mask.drawing import Palette, palette_colours
from tag2mask.evaluation.folders import Evaluation
from tag2mask.inference.predictor import Predictor
from tag2mask.models.checkpoint import RunFolder
from tag2mask.report.facts import Facts, gather
from tag2mask.report.pictures import Picture, curves, small_overlay, steps_of

NAME = "report.html"


def write_report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    palette: Palette = "safe",
    examples: int = 2,
    device: str = "auto",
) -> Path:
    """Write the report of a trained run: a file that needs no network and no other file.

    Args:
        run: folder of the run.
        out: file to write; None: `report.html` in the run's folder.
        palette: colours of the classes, see `tag2mask.drawing.palette_colours`.
        examples: images of each kind (best, median, worst) to show.
        device: where the network runs.

    Returns:
        The file.

    Raises:
        DataError: no trained network there.
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    require("train", "a report", "jinja2", "matplotlib")
    if palette not in ("safe", "voc"):
        raise ConfigError(f"--palette {palette}: expected 'safe' or 'voc'")
    folder = RunFolder(Path(run))
    predictor = Predictor.load(folder.root, device=device)
    facts = gather(folder, examples=examples)
    target = Path(out) if out is not None else folder.root / NAME
    write_text(target, _render(_content(folder, predictor, facts, palette)))
    return target


def _render(content: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("template.html").render(**content)


def _content(run: RunFolder, predictor: Predictor, facts: Facts, palette: Palette) -> dict[str, Any]:
    """What the template shows."""
    missing: list[str] = []
    groups = []
    for group in facts.groups:
        rows: list[tuple[str, str, str, list[Picture]]] = []
        for item, said in group.items:
            try:
                rows.append((item.name, ", ".join(sorted(item.present)), said, steps_of(predictor, run, item, palette)))
            except DataError:
                missing.append(item.name)
        groups.append((group.title, rows))
    by_name = {item.name: item for item in facts.collection.records}
    queue = [
        (name, doubt, small_overlay(run, by_name[name], predictor.classes, palette))
        for name, doubt in facts.review
        if name in by_name
    ]
    colours = palette_colours(palette)
    return {
        "version": __version__,
        "name": run.root.resolve().name,
        "facts": _summary(predictor, facts),
        "counts": facts.counts,
        "classes": [facts.collection.classes[index] for index in facts.shown],
        "hidden_classes": len(facts.collection.classes) - len(facts.shown),
        "together": _shaded(facts.together[np.ix_(facts.shown, facts.shown)]),
        "problems": sorted(facts.collection.problem_counts().items()),
        "curves": curves(facts.epochs),
        "epochs": facts.epochs,
        "score": _score(facts.score),
        "confusion": _confusion(facts.score, facts.shown),
        "groups": [group for group in groups if group[1]],
        "missing": missing,
        "legend": [(name, _hex(colours[index + 1])) for index, name in enumerate(predictor.classes)],
        "queue": queue,
        "timings": _timings(facts.epochs),
        "config": run.config.read_text(encoding="utf-8") if run.config.is_file() else "",
        "commands": _commands(run, facts),
    }


def _summary(predictor: Predictor, facts: Facts) -> list[tuple[str, str]]:
    config = predictor.config
    found = [
        ("photographs", f"{len(facts.collection):,}"),
        ("classes", f"{len(predictor.classes)}"),
        ("learned from", "tags alone" if config.training.supervision == "tags" else "human masks (the ceiling)"),
        ("backbone", config.model.backbone),
        ("seed", str(config.training.seed)),
        ("epochs", str(len(facts.epochs))),
    ]
    corrected = sum(item.corrected is not None for item in facts.collection.records)
    if corrected:
        found.append(("corrected masks", str(corrected)))
    if facts.score is not None:
        found.append(("mIoU of the masks of the training images", f"{100 * facts.score.miou:.1f}"))
    return found


def _score(score: Evaluation | None) -> list[tuple[str, str]]:
    return [] if score is None else [*score.table(), ("mean", f"{100 * score.miou:.1f}")]


def _shaded(counts: np.ndarray[Any, Any]) -> list[list[tuple[int, int]]]:
    """Rows of (count, percentage of the row's class), for a table whose cells are tinted."""
    shares = counts / np.maximum(1, counts.diagonal()[:, None])
    return [
        [(int(count), round(100 * float(share))) for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]


def _confusion(score: Evaluation | None, shown: list[int]) -> list[tuple[str, list[int]]]:
    """Rows of percentages: of a class's human pixels, how many the masks give to each class."""
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
        ("of which making training masks", f"{masks / 60:.1f} min ({100 * masks / max(1e-9, seconds):.0f} %)"),
        ("an epoch", f"{seconds / len(epochs):.1f} s"),
    ]


def _commands(run: RunFolder, facts: Facts) -> list[str]:
    photographs = facts.collection.root
    return [
        f"tag2mask train {photographs} --tags TAGS --config {run.root / 'config.yaml'} --out NEW_RUN",
        f"tag2mask export {run.root / 'masks'} --least-certain 50 --to cvat --images {photographs} --out queue.xml",
        f"tag2mask predict {run.root} NEW_PHOTOGRAPHS --out MASKS",
    ]


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)
