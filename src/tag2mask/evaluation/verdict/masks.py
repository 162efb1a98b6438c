"""Numbers of a run's masks: how often a class is missing, fills the image, or lies at the same position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.method.uncertainty import MISSING

NEARLY_ALL = 0.99
"""Share of an image's pixels from which on a mask counts as one class."""

WHOLE_FRAME = 0.95
"""Share from which on a class counts as filling the image."""

_GRID = 24  # side of the small masks that are compared between images
_PAIRS = 400


@dataclass(slots=True)
class ClassMasks:
    """Counts over the masks of the images tagged with one class."""

    masks: int = 0
    without: int = 0
    whole: int = 0
    shares: list[float] = field(default_factory=list)
    small: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Mean share of the pixels; None without masks."""
        return float(np.mean(self.shares)) if self.shares else None

    @property
    def overlap(self) -> float | None:
        """Mean IoU of its small masks in two different images; None with fewer than two that have a pixel of it."""
        shown = [one for one in self.small if one.any()]
        return mean_overlap(shown) if len(shown) > 1 else None


@dataclass(slots=True)
class MaskCounts:
    """Counts over all masks that were read.

    Attributes:
        classes: by name.
        masks: all of them.
        tagged: masks of images with a tag.
        empty: of these, those with next to no pixel of any class.
        one_class: of these, those with over `NEARLY_ALL` of the pixels in one class other than background.
    """

    classes: dict[str, ClassMasks]
    masks: int = 0
    tagged: int = 0
    empty: int = 0
    one_class: int = 0


def count_masks(masks: Iterable[tuple[NDArray[np.uint8], frozenset[str]]], classes: tuple[str, ...]) -> MaskCounts:
    """Count over masks.

    Args:
        masks: (H, W) class indices with the names of the classes that the image is tagged with.
        classes: names in the order of their indices, without background.
    """
    found = MaskCounts({name: ClassMasks() for name in classes})
    for mask, present in masks:
        counts = np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1)
        shares = counts[: len(classes) + 1] / max(1, counts[:IGNORE_INDEX].sum())
        found.masks += 1
        if present:
            found.tagged += 1
            found.empty += bool(shares[1:].sum() < MISSING)
            found.one_class += bool(shares[1:].max() > NEARLY_ALL)
        for index, name in enumerate(classes, start=1):
            if name in present:
                _add(found.classes[name], mask == index, float(shares[index]))
    return found


def mean_overlap(masks: list[NDArray[np.float32]], *, pairs: int = _PAIRS, seed: int = 0) -> float:
    """Mean IoU of two of the masks (h, w) in [0, 1], over random pairs of different ones; 0 where there is no pair.

    >>> left, right = np.float32([[1, 0]]), np.float32([[0, 1]])
    >>> mean_overlap([left, left]), mean_overlap([left, right])
    (1.0, 0.0)
    """
    chosen = np.random.default_rng(seed).integers(0, len(masks), (2 * pairs, 2))
    chosen = chosen[chosen[:, 0] != chosen[:, 1]][:pairs]
    if not len(chosen):
        return 0.0
    stacked = np.stack(masks)
    one, other = stacked[chosen[:, 0]], stacked[chosen[:, 1]]
    union = np.maximum(one, other).sum(axis=(1, 2))
    return float((np.minimum(one, other).sum(axis=(1, 2)) / np.maximum(union, 1e-6)).mean())


def _add(counts: ClassMasks, shown: NDArray[np.bool_], share: float) -> None:
    counts.masks += 1
    counts.without += share < MISSING
    counts.whole += share > WHOLE_FRAME
    counts.shares.append(share)
    small = cv2.resize(shown.astype(np.float32), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    counts.small.append(np.asarray(small, np.float32))
