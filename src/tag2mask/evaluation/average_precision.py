"""How well a network names what is in an image: average precision of its tag probabilities against held-out tags.

Masks without tags are at most as good as the names of their classes, so this stands beside mIoU. Of N images, ranked by
the probability of a class,

    AP = sum over n of (R_n - R_(n-1)) P_n

where P_n and R_n are precision and recall of the first n images, those of equal probability taken together (Manning et
al., "Introduction to Information Retrieval", 2008, section 8.4). A random ranking has the share of the images that hold
the class: 0.95 is no merit for a class in 95 % of the images.

Our own and not torchmetrics', with which it agrees (`MultilabelAveragePrecision`, in the tests): a network from an ONNX
file is scored without PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.data.dataset import Dataset
from tag2mask.images.decode import read_image
from tag2mask.inference.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class TagScores:
    """How well tag probabilities rank the images of a dataset.

    Attributes:
        images: number of images scored.
        ap: average precision in [0, 1] by class; NaN for a class that is in no image or in all of them.
        share: share of the images that hold each class, in [0, 1]: what a random ranking scores. NaN for a class whose
            tag is unknown everywhere.
    """

    images: int
    ap: dict[str, float]
    share: dict[str, float]

    @property
    def mean_ap(self) -> float:
        """Mean over the classes that have an average precision, in [0, 1]; NaN if none has."""
        values = [value for value in self.ap.values() if not math.isnan(value)]
        return sum(values) / len(values) if values else math.nan

    def summary(self) -> str:
        """One line: `mean AP 0.93; by class cat 0.97 (in 21 %), dog 0.89 (in 20 %)`; `-` for a class without AP."""
        by_class = ", ".join(f"{name} {_shown(value)}{_where(self.share[name])}" for name, value in self.ap.items())
        return f"mean AP {_shown(self.mean_ap)}; by class {by_class}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; None where there is no number."""
        return {
            "images": self.images,
            "mean_AP": _plain(self.mean_ap),
            "AP": {name: _plain(value) for name, value in self.ap.items()},
            "share": {name: _plain(value) for name, value in self.share.items()},
        }


def average_precision(probs: NDArray[np.floating], tags: NDArray[np.integer]) -> float:
    """Average precision of one class.

    Args:
        probs: (N,) any score that is higher where the class is likelier.
        tags: (N,) `Tag` values; images whose tag is unknown are left out.

    Returns:
        In [0, 1]; NaN where no image or every image holds the class, since there is nothing to rank.

    Raises:
        ValueError: the shapes differ, or a probability is NaN.

    >>> round(average_precision(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0])), 3)
    0.833
    """
    if probs.shape != tags.shape or probs.ndim != 1:
        raise ValueError(f"expected N probabilities and N tags, got shapes {probs.shape} and {tags.shape}")
    if np.isnan(probs).any():
        raise ValueError(f"{int(np.isnan(probs).sum())} of {len(probs)} probabilities are NaN")
    known = tags != Tag.UNKNOWN
    probs, present = probs[known], tags[known] == Tag.PRESENT
    if not present.any() or present.all():
        return math.nan
    order = np.argsort(-probs, kind="stable")
    ranked, found = probs[order], np.cumsum(present[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of runs of equal probability
    precision = found[ends] / (ends + 1)
    return float((np.diff(found[ends], prepend=0) * precision).sum() / found[-1])


def score_tags(probs: NDArray[np.floating], tags: NDArray[np.integer], classes: Sequence[str]) -> TagScores:
    """Average precision of each class.

    Args:
        probs: (N, C), as `Prediction.tag_probs` of N images.
        tags: (N, C) `Tag` values, as `Dataset.tags()`.
        classes: the C names.

    Raises:
        ValueError: the shapes do not fit, or a probability is NaN.

    >>> probs = np.array([[0.9, 0.2], [0.4, 0.3], [0.1, 0.7]])
    >>> print(score_tags(probs, np.array([[1, 1], [0, 0], [0, 1]]), ["cat", "dog"]).summary())
    mean AP 0.92; by class cat 1.00 (in 33 %), dog 0.83 (in 67 %)
    """
    if probs.shape != tags.shape or probs.shape[1:] != (len(classes),):
        raise ValueError(
            f"probabilities of shape {probs.shape} and tags of shape {tags.shape}; both are (images, {len(classes)})"
        )
    known = (tags != Tag.UNKNOWN).sum(axis=0)
    present = (tags == Tag.PRESENT).sum(axis=0)
    return TagScores(
        images=len(probs),
        ap={name: average_precision(probs[:, k], tags[:, k]) for k, name in enumerate(classes)},
        share={name: float(present[k] / known[k]) if known[k] else math.nan for k, name in enumerate(classes)},
    )


def evaluate_tags(segmenter: Segmenter, dataset: Dataset) -> TagScores:
    """Score a network's tag probabilities, without tags given, on tagged images that were not trained on.

    The network runs as in `Segmenter.predict`, at its scales and on the flip; the dense CRF is left out.

    Args:
        segmenter: the trained network.
        dataset: images with tags of the network's classes, in its order.

    Raises:
        DataError: the dataset is empty or has other classes, or an image cannot be read.

    Example, in a folder with a trained network:
        >>> from tag2mask import Dataset, Segmenter
        >>> dataset = Dataset.load("photos", "tags.csv").spread(8)
        >>> scores = evaluate_tags(Segmenter.from_pretrained("runs/mine"), dataset)
        >>> scores.mean_ap > 0.5
        True
    """
    if not dataset.records or tuple(dataset.classes) != segmenter.classes:
        raise DataError(
            f"average precision needs images with tags of the classes {', '.join(segmenter.classes)}; "
            f"got {len(dataset.records)} with {', '.join(dataset.classes)}"
        )
    images = (read_image(record.path, reading=segmenter.reading) for record in dataset.records)
    probs = [segmenter.evidence(image).tag_probs for image in images]
    return score_tags(np.stack(probs), dataset.tags(), dataset.classes)


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _where(share: float) -> str:
    return "" if math.isnan(share) else f" (in {100 * share:.0f} %)"


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
