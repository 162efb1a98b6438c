"""How good a network's masks are, told from tagged photographs without any human mask.

Three signs, each in 0..1, higher is better:

- tag consistency: F1 of the classes that the masks made without tags show, against the tags;
- agreement: mIoU between the masks of the two streams, both made with the tags given;
- stability: mIoU between masks of a photograph seen at the usual size and at three quarters of it.

Their mean does not estimate mIoU. Where there are several networks, `consensus_scores` has their nearness
to each other's vote. How well either ranks is open: `docs/lab-log.md` has what was measured. Use tagged
photographs that were not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.core.record import ImageRecord
from tag2mask.evaluation.consensus import Consensus
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Prediction, Predictor, Request

SMALLER = 0.75
SHOWN = 0.005
"""Share of a photograph's pixels from which on a class counts as shown."""


@dataclass(frozen=True, slots=True)
class LabelFree:
    """The signs and their mean, all in 0..1, and the number of photographs they come from."""

    consistency: float
    agreement: float
    stability: float
    images: int

    @property
    def score(self) -> float:
        """Mean of the three."""
        return (self.consistency + self.agreement + self.stability) / 3

    def to_dict(self) -> dict[str, float]:
        """All of it as plain JSON values."""
        return {
            "score": self.score,
            "consistency": self.consistency,
            "agreement": self.agreement,
            "stability": self.stability,
            "images": self.images,
        }

    def summary(self) -> str:
        """One line for people."""
        return (
            f"label-free score {100 * self.score:.1f} over {self.images} images "
            f"(tag consistency {100 * self.consistency:.1f}, agreement of streams {100 * self.agreement:.1f}, "
            f"stability {100 * self.stability:.1f})"
        )


def label_free_score(predictor: Predictor, collection: Dataset, *, limit: int = 100) -> LabelFree:
    """Score a network on tagged photographs.

    Args:
        predictor: the trained network.
        collection: photographs with tags of the network's classes, in its order.
        limit: at most so many of them, spread evenly over the collection.

    Raises:
        DataError: the collection is empty or has other classes.
    """
    items = _chosen(predictor, collection, limit)
    prediction = predictor.config.prediction
    plain = prediction.model_copy(update={"prior_weight": 0.0})
    prior = prediction.model_copy(update={"prior_weight": 1.0})

    smaller = prediction.model_copy(update={"scales": tuple(SMALLER * scale for scale in prediction.scales)})

    free = [_small(one) for one in predictor.predict_many(_requests(items, tagged=False))]
    shrunk = [_small(one) for one in predictor.predict_many(_requests(items, tagged=False), settings=smaller)]
    one_stream = [_small(one) for one in predictor.predict_many(_requests(items, tagged=True), settings=plain)]
    other_stream = [_small(one) for one in predictor.predict_many(_requests(items, tagged=True), settings=prior)]
    size = len(predictor.classes) + 1
    right = wrong = missed = 0
    for item, mask in zip(items, free, strict=True):
        shares = np.bincount(mask.ravel(), minlength=size)[1:] / mask.size
        shown = {predictor.classes[index] for index in np.flatnonzero(shares >= SHOWN)} - item.unknown
        right += len(shown & item.present)
        wrong += len(shown - item.present)
        missed += len(item.present - shown)
    f1 = 2 * right / max(1, 2 * right + wrong + missed)
    return LabelFree(f1, _overlap(one_stream, other_stream, size), _overlap(free, shrunk, size), len(items))


def consensus_scores(predictors: Sequence[Predictor], collection: Dataset, *, limit: int = 100) -> list[float]:
    """Compare networks on tagged photographs by how near each is to the vote of the others.

    Args:
        predictors: at least three trained networks of the same classes.
        collection: photographs with tags of those classes, in their order.
        limit: at most so many of them, spread evenly over the collection.

    Returns:
        For each network the mIoU, in 0..1, of its masks, made without tags, against the others' vote.

    Raises:
        DataError: fewer than three networks, no photographs, or other classes.
    """
    if len(predictors) < 3:
        raise DataError(f"a vote needs at least three networks, got {len(predictors)}; name more of them")
    for predictor in predictors:  # all are checked before the first is used
        items = _chosen(predictor, collection, limit)
    consensus = Consensus([str(k) for k in range(len(predictors))], len(collection.classes))
    masks = [predictor.predict_many(_requests(items, tagged=False)) for predictor in predictors]
    tags = {item.name: row for item, row in zip(collection.records, collection.tags(), strict=True)}
    for item, *one in zip(items, *masks, strict=True):
        consensus.add([_small(prediction) for prediction in one], tags[item.name])
    return consensus.scores()


def _chosen(predictor: Predictor, collection: Dataset, limit: int) -> list[ImageRecord]:
    """At most `limit` items of the collection, spread evenly over it."""
    if not collection.records or tuple(collection.classes) != predictor.classes:
        raise DataError(
            f"the label-free score needs photographs with tags of the classes {', '.join(predictor.classes)}; "
            f"got {len(collection.records)} with {', '.join(collection.classes)}"
        )
    return list(collection.spread(limit).records)


def _requests(items: Sequence[ImageRecord], *, tagged: bool) -> Iterator[Request]:
    for item in items:
        image = read_image(item.path)
        yield Request(image, sorted(item.present) if tagged else None, sorted(item.unknown) if tagged else ())


def _overlap(masks: list[NDArray[np.uint8]], others: list[NDArray[np.uint8]], size: int) -> float:
    """mIoU of masks against others of the same photographs."""
    confusion = np.zeros((size, size), dtype=np.int64)
    for mask, other in zip(masks, others, strict=True):
        confusion += confusion_matrix(mask, other, size)
    return mean_iou(confusion)


def _small(prediction: Prediction) -> NDArray[np.uint8]:
    """Every second pixel: the scores do not need more, and masks of many photographs fit in memory."""
    return prediction.mask[::2, ::2].copy()
