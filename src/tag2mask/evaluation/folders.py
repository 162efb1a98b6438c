"""Score a folder of predicted masks against a folder of ground truth."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.dataset import Dataset
from tag2mask.evaluation.by_size import SizeScores, scores_by_size
from tag2mask.evaluation.metrics import iou_per_class, mean_iou, pixel_accuracy, resampled_mean_iou
from tag2mask.evaluation.pairs import CountedPairs, MaskPairs, count_pairs, paired_masks
from tag2mask.evaluation.worth import nothing_but_background, warnings_of
from tag2mask.masks import mask_path
from tag2mask.masks.class_names import read_classes

Classes = str | PathLike[str] | Sequence[str]
"""Names without background in the order of their class indices, or a file of them."""

_THREADS = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a split.

    Attributes:
        images: number of images scored.
        miou: mean IoU in [0, 1].
        iou: IoU in [0, 1] by class, background first; NaN for a class absent from both sides.
        pixel_accuracy: share of scored pixels that are right, in [0, 1].
        confusion: int64 (C + 1, C + 1), rows target, columns preds, background first.
        extra: number of predicted masks without ground truth, which are not scored.
        warnings: what makes the scores worth less than they look, such as classes that never occur.
        notes: what was guessed or left out.
        by_size: scores of the ground truth's components by their size; None where that was not asked for.
    """

    images: int
    miou: float
    iou: dict[str, float]
    pixel_accuracy: float
    confusion: NDArray[np.int64]
    extra: int = 0
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    by_size: SizeScores | None = None

    def summary(self) -> str:
        """The result in one line: `mIoU 61.23 over 223 images`; it says if that is the score of background alone."""
        return f"mIoU {100 * self.miou:.2f} over {self.images} images{nothing_but_background(self.confusion)}"

    def table(self) -> list[tuple[str, str]]:
        """Rows (class, IoU times 100 with one decimal); `-` for a class absent from both sides."""
        return [(name, "-" if math.isnan(iou) else f"{100 * iou:.1f}") for name, iou in self.iou.items()]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; None for a class without IoU."""
        return {
            "images": self.images,
            "extra": self.extra,
            "mIoU": self.miou,
            "IoU": {name: None if math.isnan(iou) else iou for name, iou in self.iou.items()},
            "pixel_accuracy": self.pixel_accuracy,
            "confusion": self.confusion.tolist(),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            **({"by_size": self.by_size.to_dict()} if self.by_size else {}),
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """mIoU of a whole dataset, estimated from ground truth for a sample of its images.

    Attributes:
        evaluation: scores of the sample.
        low, high: ends of the confidence interval of the mIoU, in [0, 1].
        confidence: of the interval, in [0, 1].
    """

    evaluation: Evaluation
    low: float
    high: float
    confidence: float

    def summary(self) -> str:
        """The result in one line: `mIoU 61.2, 95 % interval 54.0 to 67.5, from 40 images`."""
        one = self.evaluation
        return (
            f"mIoU {100 * one.miou:.1f}, {100 * self.confidence:.0f} % interval "
            f"{100 * self.low:.1f} to {100 * self.high:.1f}, from {one.images} images"
            f"{nothing_but_background(one.confusion)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        interval = {"low": self.low, "high": self.high, "confidence": self.confidence}
        return {**self.evaluation.to_dict(), "mIoU_interval": interval}


def evaluate(
    predicted: str | PathLike[str],
    ground_truth: str | PathLike[str],
    classes: Classes,
    *,
    by_size: bool = False,
    threads: int = _THREADS,
) -> Evaluation:
    """Score a folder of masks against a folder of ground truth.

    Masks are paired by name, in subfolders too, and scored at their size in one confusion matrix; see
    `tag2mask.evaluation.metrics`. Masks of other tools are read by their label map and paired by similar names; the
    result's `notes` say so.

    Args:
        predicted: folder of predicted masks: PNGs of class indices, or of colours with `labelmap.txt` beside them
            (`tag2mask.masks.interpret`).
        ground_truth: folder of ground truth; each mask needs a prediction of its size. 255 is not scored.
        classes: names without background in the order of their class indices, or a file of them.
        by_size: score the ground truth's connected components by their size too (`tag2mask.evaluation.by_size`).
        threads: masks read at the same time.

    Raises:
        DataError: a prediction is missing, of another size or damaged, a class index is out of
            range, a colour has no meaning, all ground truth is of 0 and 255 alone, or there is nothing to score; the
            message names the file.

    >>> from tempfile import mkdtemp
    >>> from tag2mask.masks import write_mask
    >>> folder = Path(mkdtemp())
    >>> write_mask(folder / "truth" / "a.png", np.array([[0, 0, 1, 1]], dtype=np.uint8))
    >>> write_mask(folder / "masks" / "a.png", np.array([[0, 1, 1, 1]], dtype=np.uint8))
    >>> result = evaluate(folder / "masks", folder / "truth", ["cat"])
    >>> print(result.summary())
    mIoU 58.33 over 1 images
    >>> result.iou["cat"] == 2 / 3
    True
    """
    names = _names(classes)
    found = paired_masks(Path(predicted), Path(ground_truth), names)
    evaluation = _score(count_pairs(found.pairs, names, threads=threads, by_size=by_size), found, names)
    _warn(evaluation)
    return evaluation


def estimate(
    predicted: str | PathLike[str],
    ground_truth: str | PathLike[str],
    classes: Classes,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    by_size: bool = False,
    threads: int = _THREADS,
) -> Estimate:
    """Estimate the mIoU of a dataset from ground truth for a random sample of its images.

    The interval is the percentile bootstrap over images (Efron, Ann. Statist. 1979,
    doi 10.1214/aos/1176344552): images are drawn again with replacement, and their confusion matrices
    summed. It holds for images drawn at random; with fewer than about 20 it is too narrow.

    Args:
        predicted: folder of predicted masks.
        ground_truth: folder of ground truth for the sample; each mask needs a prediction of its size.
        classes: names without background in the order of their class indices, or a file of them.
        confidence: of the interval, between 0 and 1.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        by_size: as `evaluate`; without an interval.
        threads: masks read at the same time.

    Raises:
        DataError: as `evaluate`; or there are fewer than two images.
    """
    names = _names(classes)
    found = paired_masks(Path(predicted), Path(ground_truth), names)
    count = len(found.pairs)
    if count < 2:
        raise DataError(f"{ground_truth}: one mask says nothing of the spread; draw at least 2 images, better 30")
    counted = count_pairs(found.pairs, names, threads=threads, each=True, by_size=by_size)
    evaluation = _score(counted, found, names)
    _warn(evaluation)
    scores = resampled_mean_iou(counted.confusions, resamples=resamples, seed=seed)
    low, high = np.nanquantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(evaluation, float(low), float(high), confidence)


def evaluate_pairs(
    pairs: Sequence[tuple[Path, Path]],
    classes: Classes,
    *,
    threads: int = _THREADS,
    extra: int = 0,
    by_size: bool = False,
) -> Evaluation:
    """Score pairs of a predicted mask and its ground truth, as `evaluate` does.

    Args:
        pairs: (predicted mask, ground truth), at least one.
        classes: names without background in the order of their class indices, or a file of them.
        threads: masks read at the same time.
        extra: number of predicted masks left out of the pairs, for the record.
        by_size: as `evaluate`.

    Raises:
        DataError: a mask is damaged or of another size, or there is nothing to score.

    Example, in a folder with ground truth:
        >>> pairs = [(Path("gt/shape_000.png"), Path("gt/shape_000.png"))]
        >>> evaluate_pairs(pairs, ("disc", "square")).iou["disc"]
        1.0
    """
    if not pairs:
        raise DataError("no pair of a predicted mask and its ground truth, so there is nothing to score")
    names = _names(classes)
    counted = count_pairs(pairs, names, threads=threads, by_size=by_size)
    return _score(counted, MaskPairs(tuple(pairs), extra), names)


def scored_records(predicted: Path, dataset: Dataset) -> list[tuple[ImageRecord, Path, Path]]:
    """The images of a dataset whose masks can be scored, each with its predicted mask and its ground truth.

    Masks that a person has corrected are no predictions and are left out.

    Args:
        predicted: folder of masks of the dataset's images.
        dataset: with ground truth for some of them.
    """
    found = []
    for record in dataset.records:
        mask = mask_path(predicted, record.name)
        if record.corrected is None and record.gt_mask is not None and record.gt_mask.is_file() and mask.is_file():
            found.append((record, mask, record.gt_mask))
    return found


def evaluate_dataset(predicted: str | PathLike[str], dataset: Dataset, *, by_size: bool = False) -> Evaluation | None:
    """Score masks of a dataset's images, where there is ground truth; corrected masks are left out.

    Args:
        predicted: folder of masks of the dataset's images.
        dataset: with ground truth for some of them.
        by_size: as `evaluate`.

    Returns:
        The scores; None where nothing can be scored.

    Raises:
        DataError: as `evaluate_pairs`.

    Example, with ground truth in place of predictions:
        >>> from tag2mask import Dataset
        >>> dataset = Dataset.load("photos", "tags.csv", masks="gt")
        >>> score = evaluate_dataset("gt", dataset)
        >>> score.images, score.miou
        (48, 1.0)
    """
    pairs = [(mask, gt_mask) for _, mask, gt_mask in scored_records(Path(predicted), dataset)]
    return evaluate_pairs(pairs, dataset.classes, by_size=by_size) if pairs else None


def _warn(evaluation: Evaluation) -> None:
    for line in evaluation.warnings:
        _log.warning("%s", line)


def _names(classes: Classes) -> tuple[str, ...]:
    """Names of the classes, without background."""
    source = Path(classes) if isinstance(classes, str | PathLike) else classes
    return read_classes(source)


def _score(counted: CountedPairs, found: MaskPairs, classes: Sequence[str]) -> Evaluation:
    confusion: NDArray[np.int64] = counted.confusions.sum(axis=0)
    predicted, ground_truth = found.folders
    if not confusion.any():
        raise DataError(f"{ground_truth}: every pixel of every mask is 255 (ignore), so there is nothing to score")
    counted.target.check(ground_truth, classes)
    counted.preds.check(predicted, classes)
    values = zip(("background", *classes), iou_per_class(confusion).tolist(), strict=True)
    notes = (
        *found.notes,
        *counted.target.notes(ground_truth, what="ground truth mask"),
        *counted.preds.notes(predicted, what="predicted mask"),
    )
    return Evaluation(
        images=len(found.pairs),
        miou=mean_iou(confusion),
        iou=dict(values),
        pixel_accuracy=pixel_accuracy(confusion),
        confusion=confusion,
        extra=found.extra,
        warnings=tuple(warnings_of(confusion, classes)),
        notes=notes,
        by_size=None if counted.components is None else scores_by_size(counted.components, classes),
    )
