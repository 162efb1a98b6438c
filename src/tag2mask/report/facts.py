"""The contents of a report as plain values: counts, curves, scores, and which images to show."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation import Evaluation, evaluate_pairs
from tag2mask.evaluation.folders import scored_records
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.inference.review import TABLE, read_review
from tag2mask.masks import read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.models.checkpoint import RunFolder

MOST_CLASSES = 40
"""Classes in the matrices; of more, the most frequent are shown."""


@dataclass(frozen=True, slots=True)
class Group:
    """Images of one kind to show.

    Attributes:
        title: of the group.
        records: the images with a remark on each.
    """

    title: str
    records: list[tuple[ImageRecord, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything but the images.

    Attributes:
        dataset: what the run was trained on.
        counts: number of images with each class present, absent and unknown.
        together: (C, C) number of images in which two classes are both present; the diagonal is that of each.
        shown: positions of the classes in the matrices.
        epochs: lines of metrics.jsonl.
        score: of the predicted masks of the training images, where there is ground truth.
        unscored: corrected masks that have ground truth: they are no predictions and not in `score`.
        groups: images to show.
        review: names of the least certain masks with their uncertainty, the least certain first.
    """

    dataset: Dataset
    counts: list[tuple[str, int, int, int]]
    together: NDArray[np.int64]
    shown: list[int]
    epochs: list[dict[str, float]]
    score: Evaluation | None
    unscored: int
    groups: list[Group]
    review: list[tuple[str, float]]


def gather(run: RunFolder, *, examples: int = 2, queue: int = 12) -> Facts:
    """Read the contents of a report from a run.

    Args:
        run: its folder.
        examples: images of each kind.
        queue: length of the list of the least certain.

    Raises:
        DataError: the run's description of its dataset is damaged or missing.
    """
    dataset = _dataset(run)
    table = (dataset.tags() == Tag.PRESENT).astype(np.int64)
    together = table.T @ table
    order = np.argsort(-together.diagonal(), kind="stable")[:MOST_CLASSES]
    ranked = _ranked(run, dataset)
    scored = scored_records(run.masks, dataset)
    pairs = [(mask, gt_mask) for _, mask, gt_mask in scored]
    return Facts(
        dataset=dataset,
        counts=[(name, one.present, one.absent, one.unknown) for name, one in dataset.counts().items()],
        together=together,
        shown=sorted(order.tolist()),
        epochs=read_epochs(run.metrics),
        score=evaluate_pairs(pairs, dataset.classes) if pairs else None,
        unscored=sum(one.corrected is not None and one.gt_mask is not None for one in dataset.records),
        groups=_groups(dataset, scored, ranked, examples),
        review=ranked[:queue],
    )


def read_epochs(path: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; damaged ones are left out."""
    if not path.is_file():
        return []
    found: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append({str(key): float(value) for key, value in record.items() if isinstance(value, int | float)})
    return found


def _dataset(run: RunFolder) -> Dataset:
    try:
        return Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.collection}: cannot read it ({error}); is this the folder of a run?") from None


def _ranked(run: RunFolder, dataset: Dataset) -> list[tuple[str, float]]:
    """Names of the predicted masks with their uncertainty, the least certain first."""
    predicted = {record.name for record in dataset.records if record.corrected is None}
    review = read_review(run.masks) if (run.masks / TABLE).is_file() else {}
    found = [(name, uncertainty.total) for name, uncertainty in review.items() if name in predicted]
    return sorted(found, key=lambda pair: -pair[1])


def _groups(
    dataset: Dataset, scored: list[tuple[ImageRecord, Path, Path]], ranked: list[tuple[str, float]], examples: int
) -> list[Group]:
    """Images to show: by their scores, by their certainty, or without masks evenly spread ones."""
    if scored:
        qualities = {record.name: _image_miou(mask, gt_mask, dataset.classes) for record, mask, gt_mask in scored}
        return _by_quality(dataset, qualities, examples, ("Best", "Median", "Worst"), "mean IoU of its classes")
    if ranked:
        qualities = {name: 1 - uncertainty for name, uncertainty in ranked}
        titles = ("Most certain", "Median", "Least certain")
        return _by_quality(dataset, qualities, examples, titles, "certainty")
    some = dataset.spread(3 * examples).records
    return [Group("Examples", [(record, "no mask was written") for record in some])]


def _image_miou(mask: Path, gt_mask: Path, classes: Sequence[str]) -> float:
    """Mean IoU over the classes of one image; 1 where its ground truth is 255 everywhere."""
    target = interpret_mask(gt_mask, classes).mask
    value = mean_iou(confusion_matrix(read_mask(mask), target, len(classes) + 1))
    return 1.0 if math.isnan(value) else value


def _by_quality(
    dataset: Dataset, qualities: dict[str, float], count: int, titles: Sequence[str], measure: str
) -> list[Group]:
    """The best, median and worst images, each only once."""
    found = [record for record in dataset.records if record.name in qualities]
    found.sort(key=lambda record: -qualities[record.name])
    count = min(count, len(found) // 3) or min(1, len(found))
    middle = max(0, len(found) // 2 - count // 2)
    parts = (found[:count], found[middle : middle + count], found[::-1][:count])
    seen: set[str] = set()
    groups = []
    for title, part in zip(titles, parts, strict=True):
        fresh = [record for record in part if record.name not in seen]
        seen |= {record.name for record in fresh}
        if fresh:
            groups.append(Group(title, [(one, f"{measure} {qualities[one.name]:.2f}") for one in fresh]))
    return groups
