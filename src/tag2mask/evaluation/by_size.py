"""Recall and IoU by object size: whether small things vanish, or turn into blobs.

One IoU over all pixels of a class says little of its small objects, which have few pixels. Here each connected
component (8 neighbours) of a class in the ground truth counts the same, in a group of its size: its share of the
image's area. Of a component g, with Q the predicted components of its class that touch it and G all ground truth of its
class,

    recall(g) = |g and Q| / |g|
    IoU(g)    = |g and Q| / |g or (Q without G)|

The latter is the component-wise IoU (sIoU) of Rottmann et al. (IJCNN 2020, arXiv:1811.00648) and Chan et al. (NeurIPS
2021 Datasets and Benchmarks, arXiv:2104.14812): where a prediction covers several components, what it has right of one
does not count against the others; what lies beside all of them counts against each. Pixels whose target is
`IGNORE_INDEX`, often the outlines of objects, connect components and count nowhere else.

Predicted components that touch no ground truth of their class belong to no group: the IoU of the class counts them. A
component is not always an object: one that something cuts in two is two components.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX

SIZE_BOUNDS = (0.005, 0.02, 0.1)
"""Shares of the image's area between the groups of sizes; a component on a bound belongs to the larger."""


class ComponentScores(NamedTuple):
    """Scores of N connected components of the ground truth.

    Attributes:
        class_index: (N,) int64, 1 to C.
        share: (N,) float64, of the image's area, in (0, 1].
        recall: (N,) float64 in [0, 1].
        iou: (N,) float64 in [0, 1].
    """

    class_index: NDArray[np.int64]
    share: NDArray[np.float64]
    recall: NDArray[np.float64]
    iou: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SizeGroup:
    """Scores of the components of one size.

    Attributes:
        low, high: share of the image's area, from `low` to below `high`, in [0, 1].
        components: how many there are.
        missed: share of them without a right pixel, in [0, 1].
        recall: mean over the components, in [0, 1].
        iou: mean over the components, in [0, 1].

    The last three are NaN where there is no component. Over all classes, they are means over the classes that have one.
    """

    low: float
    high: float
    components: int
    missed: float
    recall: float
    iou: float

    @property
    def size(self) -> str:
        """The size for people: `< 0.5 %`, `0.5 to 2 %`, `> 10 %`."""
        low, high = f"{100 * self.low:g}", f"{100 * self.high:g} %"
        if self.high >= 1:
            return f"> {low} %" if self.low else "any"
        return f"{low} to {high}" if self.low else f"< {high}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; None where there is no component."""
        scores = {"missed": self.missed, "recall": self.recall, "IoU": self.iou}
        plain = {name: None if math.isnan(value) else value for name, value in scores.items()}
        return {"from": self.low, "below": self.high, "components": self.components, **plain}


@dataclass(frozen=True, slots=True)
class SizeScores:
    """Scores by object size, smallest first.

    Attributes:
        overall: over the classes: each class that has components of the size weighs the same.
        by_class: by name of the class, without background.
    """

    overall: tuple[SizeGroup, ...]
    by_class: dict[str, tuple[SizeGroup, ...]]

    def table(self) -> list[tuple[str, str, str, str, str, str]]:
        """Rows (class, size, components, missed in %, recall and IoU times 100) of the sizes that occur."""
        rows = [(name, group) for name, groups in self.by_class.items() for group in groups]
        rows += [("all classes", group) for group in self.overall]
        return [
            (
                name,
                group.size,
                str(group.components),
                f"{100 * group.missed:.0f} %",
                f"{100 * group.recall:.1f}",
                f"{100 * group.iou:.1f}",
            )
            for name, group in rows
            if group.components
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "overall": [group.to_dict() for group in self.overall],
            "by_class": {name: [group.to_dict() for group in groups] for name, groups in self.by_class.items()},
        }


def score_components(preds: NDArray[Any], target: NDArray[Any]) -> ComponentScores:
    """Score each connected component of one ground truth mask.

    Args:
        preds: (H, W) integer class indices, 0 background.
        target: (H, W) integer class indices, or `IGNORE_INDEX`.

    Raises:
        ValueError: the shapes differ or are not (H, W).

    >>> target, preds = np.zeros((20, 20), int), np.zeros((20, 20), int)
    >>> target[2:4, 2:4], preds[2:4, 2:6] = 1, 1  # found, and as much beside it
    >>> target[10:20, 10:20] = 1                  # missed
    >>> scores = score_components(preds, target)
    >>> scores.share.tolist(), scores.recall.tolist(), scores.iou.tolist()
    ([0.01, 0.25], [1.0, 0.0], [0.5, 0.0])
    """
    if preds.shape != target.shape or preds.ndim != 2:
        raise ValueError(f"preds has shape {preds.shape}, target {target.shape}; both are (height, width)")
    indices = [int(index) for index in np.unique(target) if index not in (BACKGROUND, IGNORE_INDEX)]
    ignored = target == IGNORE_INDEX
    return joined(_of_class(preds == index, target == index, ignored, index) for index in indices)


def joined(parts: Iterable[ComponentScores]) -> ComponentScores:
    """The scores of several masks as one."""
    every = [_NONE, *parts]
    return ComponentScores(*(np.concatenate(columns) for columns in zip(*every, strict=True)))


def scores_by_size(
    scores: ComponentScores, classes: Sequence[str], *, bounds: Sequence[float] = SIZE_BOUNDS
) -> SizeScores:
    """Group the scores of components by class and size.

    Args:
        scores: of the components of all masks.
        classes: names without background, in the order of their class indices.
        bounds: shares of the image's area between the groups, ascending, in (0, 1).

    Raises:
        ValueError: the bounds do not ascend from 0 to 1.
    """
    edges = (0.0, *bounds, 1.0)
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"`bounds` are {tuple(bounds)}; expected ascending shares between 0 and 1")
    group = np.digitize(scores.share, bounds)
    by_class = {}
    for index, name in enumerate(classes, start=1):
        chosen = [np.flatnonzero((scores.class_index == index) & (group == k)) for k in range(len(edges) - 1)]
        by_class[name] = tuple(_group(edges[k], edges[k + 1], scores, one) for k, one in enumerate(chosen))
    return SizeScores(tuple(_over_classes(groups) for groups in zip(*by_class.values(), strict=True)), by_class)


_NONE = ComponentScores(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


def _of_class(
    preds: NDArray[np.bool_], target: NDArray[np.bool_], ignored: NDArray[np.bool_], index: int
) -> ComponentScores:
    """Score the components of one class from its predicted pixels and its ground truth, (H, W) bool each."""
    count, truth = _components(target, ignored)
    pred_count, predicted = _components(preds, ignored)
    area = np.bincount(truth.ravel(), minlength=count)[1:]
    false = np.bincount(predicted[preds & ~target & ~ignored], minlength=pred_count)
    both = preds & target
    # Pairs of components that touch, each once, with the pixels that they share.
    pairs, pixels = np.unique(truth[both].astype(np.int64) * pred_count + predicted[both], return_counts=True)
    owner, toucher = pairs // pred_count - 1, pairs % pred_count
    right = np.bincount(owner, weights=pixels, minlength=len(area))
    beside = np.bincount(owner, weights=false[toucher], minlength=len(area))
    return ComponentScores(
        np.full(len(area), index, np.int64), area / target.size, right / area, right / (area + beside)
    )


def _components(pixels: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> tuple[int, NDArray[np.int64]]:
    """Number of labels, with that of background, and labels (H, W) of the connected components, 0 background."""
    _, labels = cv2.connectedComponents((pixels | ignored).astype(np.uint8), connectivity=8)
    labels[~pixels] = 0
    used = np.bincount(labels.ravel()) > 0  # some were of ignored pixels alone
    used[0] = True
    return int(used.sum()), (np.cumsum(used) - 1)[labels]


def _group(low: float, high: float, scores: ComponentScores, chosen: NDArray[np.intp]) -> SizeGroup:
    if not len(chosen):
        return SizeGroup(low, high, 0, math.nan, math.nan, math.nan)
    recall, iou = scores.recall[chosen], scores.iou[chosen]
    return SizeGroup(low, high, len(chosen), float((recall == 0).mean()), float(recall.mean()), float(iou.mean()))


def _over_classes(groups: Sequence[SizeGroup]) -> SizeGroup:
    """Means over the classes that have components of a size."""
    some = [group for group in groups if group.components]
    number = sum(group.components for group in some)

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else math.nan

    return SizeGroup(
        groups[0].low,
        groups[0].high,
        number,
        mean([group.missed for group in some]),
        mean([group.recall for group in some]),
        mean([group.iou for group in some]),
    )
