"""How good a network's masks are, from tagged images without ground truth.

Three signs, each in [0, 1], higher is better:

- tag consistency: F1 score of the classes in masks predicted without tags, against the tags;
- agreement: mIoU between the masks of the two heads, both with the tags given;
- stability: mIoU between masks of an image seen at the usual size and at three quarters of it.

Beside them stands the average precision of the tag probabilities (`tag2mask.evaluation.average_precision`). The mean
of the three signs does not estimate mIoU. Where there are several networks, `consensus_scores` compares each with the
vote of the others. `docs/lab-log.md` has how well either ranks networks. Use tagged images that were not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import PredictionConfig
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation.average_precision import TagScores, score_tags
from tag2mask.evaluation.consensus import Consensus
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.inference.segmenter import Segmenter

SMALLER = 0.75
"""Scale of the smaller view, relative to the usual one."""

SHOWN = 0.005
"""Share of an image's pixels from which on a class counts as shown."""


@dataclass(frozen=True, slots=True)
class LabelFree:
    """The signs, all in [0, 1], and the number of images they come from.

    `tags` says how well the tag probabilities, without tags given, rank the images; it is not in the score.

    >>> LabelFree(consistency=0.9, agreement=0.6, stability=0.75, images=8).score
    0.75
    """

    consistency: float
    agreement: float
    stability: float
    images: int
    tags: TagScores | None = None

    @property
    def score(self) -> float:
        """Mean of the three."""
        return (self.consistency + self.agreement + self.stability) / 3

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "score": self.score,
            "consistency": self.consistency,
            "agreement": self.agreement,
            "stability": self.stability,
            "images": self.images,
            **({"tags": self.tags.to_dict()} if self.tags else {}),
        }

    def summary(self) -> str:
        """One line for people."""
        return (
            f"label-free score {100 * self.score:.1f} over {self.images} images "
            f"(tag consistency {100 * self.consistency:.1f}, agreement of heads {100 * self.agreement:.1f}, "
            f"stability {100 * self.stability:.1f})"
        )


def label_free_score(segmenter: Segmenter, dataset: Dataset, *, limit: int = 100) -> LabelFree:
    """Score a network on tagged images.

    Args:
        segmenter: the trained network.
        dataset: images with tags of the network's classes, in its order.
        limit: at most so many of them, spread evenly over the dataset.

    Raises:
        DataError: the dataset is empty or has other classes.
    """
    chosen = _chosen(segmenter, dataset, limit)
    records = chosen.records
    usual = segmenter.config.prediction
    smaller = usual.model_copy(update={"scales": tuple(SMALLER * scale for scale in usual.scales)})
    segmentation_head = usual.model_copy(update={"prior_weight": 0.0})
    recognition_head = usual.model_copy(update={"prior_weight": 1.0})
    free, tag_probs = [], []
    for prediction in segmenter.predict_many((record.path, None) for record in records):
        free.append(_thinned(prediction.mask))
        tag_probs.append(prediction.tag_probs)
    shrunk = _masks(segmenter, records, tagged=False, settings=smaller)
    one_head = _masks(segmenter, records, tagged=True, settings=segmentation_head)
    other_head = _masks(segmenter, records, tagged=True, settings=recognition_head)
    size = len(segmenter.classes) + 1
    return LabelFree(
        _tag_consistency(free, records, segmenter.classes),
        _overlap(one_head, other_head, size),
        _overlap(free, shrunk, size),
        len(records),
        score_tags(np.stack(tag_probs), chosen.tags(), chosen.classes),
    )


def consensus_scores(segmenters: Sequence[Segmenter], dataset: Dataset, *, limit: int = 100) -> list[float]:
    """Compare networks on tagged images by how well each agrees with the vote of the others.

    Args:
        segmenters: at least three trained networks of the same classes.
        dataset: images with tags of those classes, in their order.
        limit: at most so many of them, spread evenly over the dataset.

    Returns:
        For each network the mIoU, in [0, 1], of its masks, predicted without tags, against the others' vote.

    Raises:
        DataError: fewer than three networks, no images, or other classes.
    """
    if len(segmenters) < 3:
        raise DataError(f"a vote needs at least three networks, got {len(segmenters)}; name more of them")
    for segmenter in segmenters:  # all are checked before the first is used
        records = _chosen(segmenter, dataset, limit).records
    consensus = Consensus([str(k) for k in range(len(segmenters))], len(dataset.classes))
    tags = {record.name: row for record, row in zip(dataset.records, dataset.tags(), strict=True)}
    every = [_masks(segmenter, records, tagged=False) for segmenter in segmenters]
    for record, *masks in zip(records, *every, strict=True):
        consensus.add(masks, tags[record.name])
    return consensus.scores()


def _chosen(segmenter: Segmenter, dataset: Dataset, limit: int) -> Dataset:
    """At most `limit` images of the dataset, spread evenly over it."""
    if not dataset.records or tuple(dataset.classes) != segmenter.classes:
        raise DataError(
            f"the label-free score needs images with tags of the classes {', '.join(segmenter.classes)}; "
            f"got {len(dataset.records)} with {', '.join(dataset.classes)}"
        )
    return dataset.spread(limit)


def _masks(
    segmenter: Segmenter, records: Sequence[ImageRecord], *, tagged: bool, settings: PredictionConfig | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The masks of images, thinned."""
    images: Iterator[tuple[Path, ImageRecord | None]] = (
        (record.path, record if tagged else None) for record in records
    )
    for prediction in segmenter.predict_many(images, settings=settings):
        yield _thinned(prediction.mask)


def _thinned(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every second row and column: the scores need no more, and many masks fit in memory."""
    return mask[::2, ::2].copy()


def _tag_consistency(
    masks: Sequence[NDArray[np.uint8]], records: Sequence[ImageRecord], classes: Sequence[str]
) -> float:
    """F1 score, over all images, of the classes that the masks show against the tags."""
    right = wrong = missed = 0
    for record, mask in zip(records, masks, strict=True):
        shares = np.bincount(mask.ravel(), minlength=len(classes) + 1)[1:] / mask.size
        shown = {classes[index] for index in np.flatnonzero(shares >= SHOWN).tolist()} - record.unknown
        right += len(shown & record.present)
        wrong += len(shown - record.present)
        missed += len(record.present - shown)
    return 2 * right / max(1, 2 * right + wrong + missed)


def _overlap(
    masks: Sequence[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]], others: Iterator[NDArray[np.uint8]], size: int
) -> float:
    """mIoU of masks against others of the same images."""
    confusion = np.zeros((size, size), dtype=np.int64)
    for mask, other in zip(masks, others, strict=True):
        confusion += confusion_matrix(mask, other, size)
    return mean_iou(confusion)
