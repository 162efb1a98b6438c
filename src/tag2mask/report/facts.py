"""What a report says of a run, as plain values: counts, curves, scores, and which images to show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.core.record import ImageRecord
from tag2mask.evaluation.folders import Evaluation, evaluate_pairs
from tag2mask.evaluation.metrics import confusion_matrix
from tag2mask.inference.review import TABLE, read_review
from tag2mask.masks import mask_path, read_mask
from tag2mask.models.checkpoint import RunFolder

MOST_CLASSES = 40
"""Classes in the matrices; of more, the most frequent are shown."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Images of one kind to show.

    Attributes:
        title: of the group.
        items: the images with what is said of each.
    """

    title: str
    items: list[tuple[ImageRecord, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything but the pictures.

    Attributes:
        collection: what the run was trained on.
        counts: images with each class present, absent and unknown.
        together: (C, C) images in which two classes are both present; the diagonal is the count of each.
        shown: indices of the classes in the matrices.
        epochs: lines of metrics.jsonl.
        score: of the masks of the training images, where there are human masks.
        groups: images to show.
        review: names of the least certain masks with their uncertainty, the least certain first.
    """

    collection: Dataset
    counts: list[tuple[str, int, int, int]]
    together: NDArray[np.int64]
    shown: list[int]
    epochs: list[dict[str, float]]
    score: Evaluation | None
    groups: list[Chosen]
    review: list[tuple[str, float]]


def gather(run: RunFolder, *, examples: int = 2, queue: int = 12) -> Facts:
    """Read what there is to know of a run.

    Args:
        run: its folder.
        examples: images of each kind.
        queue: length of the list of the least certain.

    Raises:
        DataError: its description is damaged or missing.
    """
    try:
        collection = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.collection}: cannot read it ({error}); is this the folder of a run?") from None
    table = (collection.tags() == 1).astype(np.int64)
    together = table.T @ table
    order = np.argsort(-together.diagonal(), kind="stable")[:MOST_CLASSES]
    review = read_review(run.masks) if (run.masks / TABLE).is_file() else {}
    ranked = sorted(((name, doubt.total) for name, doubt in review.items()), key=lambda pair: -pair[1])
    pairs = [
        (item, mask_path(run.masks, item.name), item.gt_mask)
        for item in collection.records
        if item.gt_mask is not None and mask_path(run.masks, item.name).is_file() and item.gt_mask.is_file()
    ]
    score = evaluate_pairs([(mask, human) for _, mask, human in pairs], collection.classes) if pairs else None
    if pairs:
        errors = {item.name: _error(mask, human, len(collection.classes)) for item, mask, human in pairs}
        groups = _groups(collection, errors, examples, ("Best", "Median", "Worst"), "mean IoU of its classes")
    elif not ranked:
        some = [collection.records[round(k)] for k in np.linspace(0, len(collection.records) - 1, 3 * examples)]
        groups = [Chosen("Examples", [(item, "no mask was made") for item in dict.fromkeys(some)])]
    else:
        certain = ("Most certain", "Median", "Least certain")
        groups = _groups(collection, dict(ranked), examples, certain, "certainty")
    return Facts(
        collection=collection,
        counts=[(name, one.present, one.absent, one.unknown) for name, one in collection.counts().items()],
        together=together,
        shown=sorted(int(index) for index in order),
        epochs=read_epochs(run.metrics),
        score=score,
        groups=groups,
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


def _error(mask: Path, human: Path | None, classes: int) -> float:
    """1 - mean IoU over the classes of an image."""
    assert human is not None
    counts = confusion_matrix(read_mask(mask), read_mask(human), classes + 1).astype(float)
    union = counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
    if not (union > 0).any():
        return 0.0
    return float(1 - (counts.diagonal()[union > 0] / union[union > 0]).mean())


def _groups(
    collection: Dataset, errors: dict[str, float], count: int, titles: Sequence[str], measure: str
) -> list[Chosen]:
    """The best, median and worst images by an error, each only once."""
    items = sorted((item for item in collection.records if item.name in errors), key=lambda item: errors[item.name])
    count = min(count, len(items) // 3) or min(1, len(items))
    middle = max(0, len(items) // 2 - count // 2)
    parts = (items[:count], items[middle : middle + count], items[::-1][:count])
    seen: set[str] = set()
    groups = []
    for title, part in zip(titles, parts, strict=True):
        fresh = [item for item in part if item.name not in seen]
        seen |= {item.name for item in fresh}
        if fresh:
            groups.append(Chosen(title, [(item, f"{measure} {1 - errors[item.name]:.2f}") for item in fresh]))
    return groups
