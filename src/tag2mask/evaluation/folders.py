"""Score a folder of predicted masks against a folder of ground truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.dataset import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou, pixel_accuracy
from tag2mask.images.folder import FolderIndex, check_mask_names, without_suffix
from tag2mask.masks import mask_path, read_mask
from tag2mask.masks.class_names import read_classes

Classes = str | PathLike[str] | Sequence[str]
"""Names without background in the order of their class indices, or a file of them."""

_THREADS = 2


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
    """

    images: int
    miou: float
    iou: dict[str, float]
    pixel_accuracy: float
    confusion: NDArray[np.int64]
    extra: int = 0

    def summary(self) -> str:
        """The result in one line: `mIoU 61.23 over 223 images`."""
        return f"mIoU {100 * self.miou:.2f} over {self.images} images"

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
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        interval = {"low": self.low, "high": self.high, "confidence": self.confidence}
        return {**self.evaluation.to_dict(), "mIoU_interval": interval}


def evaluate(
    predicted: str | PathLike[str], ground_truth: str | PathLike[str], classes: Classes, *, threads: int = _THREADS
) -> Evaluation:
    """Score a folder of masks against a folder of ground truth.

    Masks are paired by name, in subfolders too, and scored at their size in one confusion matrix; see
    `tag2mask.evaluation.metrics`.

    Args:
        predicted: folder of predicted masks, palette or 8-bit grey PNGs of class indices.
        ground_truth: folder of ground truth; each mask needs a prediction of its size. 255 is not scored.
        classes: names without background in the order of their class indices, or a file of them.
        threads: masks read at the same time.

    Raises:
        DataError: a prediction is missing, of another size or damaged, a class index is out of
            range, or there is nothing to score; the message names the file.

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
    pairs, extra = _paired(Path(predicted), Path(ground_truth))
    return evaluate_pairs(pairs, classes, threads=threads, extra=extra)


def estimate(
    predicted: str | PathLike[str],
    ground_truth: str | PathLike[str],
    classes: Classes,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
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
        threads: masks read at the same time.

    Raises:
        DataError: as `evaluate`; or there are fewer than two images.
    """
    pairs, extra = _paired(Path(predicted), Path(ground_truth))
    if len(pairs) < 2:
        raise DataError(f"{ground_truth}: one mask says nothing of the spread; draw at least 2 images, better 30")
    names = _names(classes)
    with ThreadPoolExecutor(max(1, min(threads, len(pairs)))) as pool:
        confusions = np.stack(list(pool.map(lambda pair: _sum([pair], len(names)), pairs)))
    evaluation = _score(confusions, pairs, names, extra)
    # Not scipy.stats.bootstrap: it would hold the matrices of every resample, instead of counts of images.
    draws = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), resamples)
    sums = np.tensordot(draws, confusions, axes=1)
    scores = [mean_iou(one) for one in sums]
    low, high = np.nanquantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(evaluation, float(low), float(high), confidence)


def evaluate_pairs(
    pairs: Sequence[tuple[Path, Path]], classes: Classes, *, threads: int = _THREADS, extra: int = 0
) -> Evaluation:
    """Score pairs of a predicted mask and its ground truth, as `evaluate` does.

    Args:
        pairs: (predicted mask, ground truth), at least one.
        classes: names without background in the order of their class indices, or a file of them.
        threads: masks read at the same time.
        extra: number of predicted masks left out of the pairs, for the record.

    Raises:
        DataError: a mask is damaged or of another size, or there is nothing to score.
    """
    if not pairs:
        raise DataError("no pair of a predicted mask and its ground truth, so there is nothing to score")
    names = _names(classes)
    threads = max(1, min(threads, len(pairs)))
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda k: _sum(pairs[k::threads], len(names)), range(threads)))
    return _score(np.stack(parts), pairs, names, extra)


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


def evaluate_dataset(predicted: str | PathLike[str], dataset: Dataset) -> Evaluation | None:
    """Score masks of a dataset's images, where there is ground truth; corrected masks are left out.

    Args:
        predicted: folder of masks of the dataset's images.
        dataset: with ground truth for some of them.

    Returns:
        The scores; None where nothing can be scored.

    Raises:
        DataError: as `evaluate_pairs`.
    """
    pairs = [(mask, gt_mask) for _, mask, gt_mask in scored_records(Path(predicted), dataset)]
    return evaluate_pairs(pairs, dataset.classes) if pairs else None


def _names(classes: Classes) -> tuple[str, ...]:
    """Names of the classes, background first."""
    source = Path(classes) if isinstance(classes, str | PathLike) else classes
    return "background", *read_classes(source)


def _paired(predicted_dir: Path, gt_dir: Path) -> tuple[list[tuple[Path, Path]], int]:
    """Pairs of a predicted mask and its ground truth, and the number of predictions without one."""
    target = _masks(gt_dir)
    predicted = _masks(predicted_dir)
    if not target:
        raise DataError(f"{gt_dir}: no PNG mask in this folder; give the folder of ground truth")
    missing = [name for name in target if name not in predicted]
    if missing:
        raise DataError(
            f"{predicted_dir / missing[0]}.png: no prediction for this mask ({len(missing)} of {len(target)} are "
            "missing); predict all images of the split"
        )
    pairs = [(predicted[name], path) for name, path in target.items()]
    return pairs, len(predicted) - len(pairs)


def _score(
    confusions: NDArray[np.int64], pairs: Sequence[tuple[Path, Path]], names: Sequence[str], extra: int
) -> Evaluation:
    confusion: NDArray[np.int64] = confusions.sum(axis=0)
    if not confusion.any():
        folder = pairs[0][1].parent
        raise DataError(f"{folder}: every pixel of every mask is 255 (ignore), so there is nothing to score")
    iou = {name: float(value) for name, value in zip(names, iou_per_class(confusion), strict=True)}
    return Evaluation(len(pairs), mean_iou(confusion), iou, pixel_accuracy(confusion), confusion, extra)


def _masks(folder: Path) -> dict[str, Path]:
    """PNG files of a folder and its subfolders by their relative names without suffix."""
    index = FolderIndex(folder, follow_links=True)
    for name, why in index.refused.items():
        raise DataError(f"{folder / name}: {why}")
    names = [name for name in sorted(index.files) if name.lower().endswith(".png")]
    check_mask_names(names)
    return {without_suffix(name): index.files[name] for name in names}


def _sum(pairs: Sequence[tuple[Path, Path]], num_classes: int) -> NDArray[np.int64]:
    """Summed confusion matrices of pairs, (C, C)."""
    total = np.zeros((num_classes, num_classes), np.int64)
    for predicted, gt_mask in pairs:
        preds, target = read_mask(predicted), read_mask(gt_mask)
        if preds.shape != target.shape:
            raise DataError(
                f"{predicted}: prediction is {preds.shape[0]} x {preds.shape[1]} (height x width), its ground truth "
                f"{target.shape[0]} x {target.shape[1]}; write masks at the size of the original image"
            )
        try:
            total += confusion_matrix(preds, target, num_classes)
        except ValueError as error:
            wrong = gt_mask if str(error).startswith("target") else predicted
            raise DataError(f"{wrong}: {error}; are the classes those of this mask?") from error
    return total
