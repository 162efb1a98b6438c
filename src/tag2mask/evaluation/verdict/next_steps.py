"""Three commands to run next, made for one run."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path

from tag2mask.config.schema import Config
from tag2mask.core.command import command_line
from tag2mask.core.constants import Tag
from tag2mask.core.files import write_text
from tag2mask.data import Dataset
from tag2mask.evaluation.verdict.verdict import NextStep, Verdict
from tag2mask.models.checkpoint import RunFolder

TAGS = "tags.csv"
"""The tags of a run as a table, in its folder, so that the commands need no other file."""

_REVIEWED = 50

_DATASET = {
    "few-different-images": "after adding different images",
    "tiny-images": "after replacing the tiny images",
    "empty-images": "after replacing the empty images",
    "duplicates-tagged-differently": "after correcting the tags of the copies",
    "duplicate-files": "after removing the copies",
    "duplicate-pixels": "after removing the copies",
    "near-duplicates": "after removing near duplicates",
    "classes-in-every-image": "after adding images without the class, tagged none",
    "few-counterexamples": "after adding images without the class, tagged none",
    "classes-one-or-other": "after adding images with neither class, tagged none",
    "classes-always-together": "after adding images with one of the classes alone",
    "classes-nearly-always-together": "after adding images with one of the classes alone",
    "rare-classes": "after adding images of the rare classes",
    "not-recognised": "after correcting the tags",
    "tags-contradicted": "after correcting the tags",
}
"""Findings whose remedy is other images or tags, and when to train again."""


def write_tags(run: RunFolder, dataset: Dataset) -> Path:
    """Write the tags of a run as a table with a column for each class: 1, 0, or nothing where it is not known."""
    words = {Tag.PRESENT: "1", Tag.ABSENT: "0", Tag.UNKNOWN: ""}
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["image", *dataset.classes])
    for record, row in zip(dataset.records, dataset.tags().tolist(), strict=True):
        table.writerow([record.name, *(words[Tag(value)] for value in row)])
    path = run.root / TAGS
    write_text(path, stream.getvalue())
    return path


def next_steps(verdict: Verdict, run: RunFolder, dataset: Dataset, config: Config, tags: Path) -> tuple[NextStep, ...]:
    """What to do next with a run: three commands with its own paths, quoted for a shell.

    Args:
        verdict: of the run.
        run: its folder.
        dataset: what it was trained on.
        config: its settings as resolved.
        tags: file of its tags.
    """
    numbers = verdict.numbers
    report = NextStep(command_line("report", run.root, examples=6), "look at more of the masks, step by step")
    look = NextStep(command_line("studio", run.root), "look at the masks and their steps, and correct them by hand")
    if find_spec("uvicorn") is None:  # the studio's extra is not installed
        look = report
    review = NextStep(
        command_line(
            "export",
            run.masks,
            least_certain=min(_REVIEWED, len(dataset)),
            to="cvat",
            images=dataset.root,
            out=run.root / "review.xml",
        ),
        "correct the least certain masks in CVAT",
    )
    predict = NextStep(
        command_line("predict", run.root, dataset.root, out=_free(run.root / "predictions")),
        "see what the network finds without tags; give it a folder of new images instead",
    )
    masks = numbers is not None and numbers.tagged_masks > 0
    if numbers is None or not numbers.from_tags:
        return (predict, look, report if look != report else _score(run, dataset, tags))
    if verdict.overall == "green":
        return (look, review if masks else _score(run, dataset, tags), predict)
    check = NextStep(command_line("check", dataset.root, tags=tags), "see which images and tags each finding is about")
    return (check, _again(verdict, run, dataset, config, tags), review if masks else look)


def _score(run: RunFolder, dataset: Dataset, tags: Path) -> NextStep:
    """Score the network by the tags."""
    command = command_line("score", run.root, dataset.root, tags=tags)
    return NextStep(command, "compare what the network finds with the tags; held-out images say more")


def _again(verdict: Verdict, run: RunFolder, dataset: Dataset, config: Config, tags: Path) -> NextStep:
    """Train again in the way that fits the worst finding."""
    codes = [finding.code for finding in verdict.findings]
    out = _free(run.root.with_name(f"{run.root.name}-2"))

    def train(why: str, **settings: object) -> NextStep:
        return NextStep(command_line("train", dataset.root, tags=tags, **settings, out=out), why)

    if "unusual-threshold" in codes:
        rule = "area" if config.model.frozen else "auto"
        return train("train again with the threshold measured", config=run.config, set=f"masks.soft_threshold={rule}")
    if "random-weights" in codes:
        return train("train again from pretrained weights", config=run.config, weights="hub")
    for code in codes:
        if code in _DATASET:
            return train(f"train again, {_DATASET[code]}", config=run.config)
    contrast = verdict.numbers is not None and verdict.numbers.contrast
    return train(
        "try the preset for objects before a background"
        if contrast
        else "try the preset for textures, defects and other things without an outline",
        config="objects" if contrast else "frozen-surfaces",
        backbone=config.model.backbone,
        weights=config.model.weights,
    )


def _free(path: Path) -> Path:
    """The path, or one with a number at its end that is not taken."""
    found, number = path, 2
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name.removesuffix('-2')}-{number}")
    return found
