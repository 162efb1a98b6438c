"""How uncertain a mask is, without ground truth: for choosing which to look at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.method.output import Array

_SMALL = 0.01  # share of the image that is added to the foreground, so that specks of noise do not count

MISSING = 0.001
"""Share of pixels below which a tagged class counts as missing from its mask."""


class Uncertainty(NamedTuple):
    """Four signs of an uncertain mask, each in [0, 1].

    Attributes:
        heads: disagreement of the segmentation head with the class scores of the recognition head; of class scores
            alone, how undecided they are.
        views: disagreement of the scores at other scales and of the horizontal flip.
        tags: how much the tag classifier contradicts the tags, 1 where a tagged class has no pixel; without tags, how
            undecided it is about the class it is least sure of.
        pixels: share of the pixels that the probabilities expect to be wrong, before the CRF.
    """

    heads: float = 0.0
    views: float = 0.0
    tags: float = 0.0
    pixels: float = 0.0

    @property
    def total(self) -> float:
        """Weighted mean, by which masks are ranked: 3/4 `pixels`, which says most of it; 1/12 each of the others."""
        return 0.75 * self.pixels + 0.25 * (self.heads + self.views + self.tags) / 3


def disagreement(one: Array, other: Array) -> float:
    """Total variation between two fields of probabilities, as a share of their foreground.

    Args:
        one: (K + 1, h, w), summing to 1 over the first axis, background first.
        other: the same.

    Returns:
        0 where they are equal; near 1 where the foreground of one is background or another class in the other.
    """
    distance = np.abs(one - other).sum(axis=0) / 2
    foreground = 1 - np.minimum(one[0], other[0])
    return float(min(1.0, distance.sum() / (foreground.sum() + _SMALL * foreground.size)))


def undecided(probs: Array) -> float:
    """How far probabilities (K + 1, h, w) are from their most probable classes, as `disagreement`."""
    decided = np.zeros_like(probs)
    np.put_along_axis(decided, probs.argmax(axis=0)[None], 1, axis=0)
    return disagreement(probs, decided)


def expected_error(probs: Array) -> float:
    """Share of the pixels whose most probable class is expected to be wrong, of probabilities (K + 1, h, w)."""
    return float(1 - probs.max(axis=0).mean())


def between_views(views: Sequence[Array]) -> float:
    """Mean disagreement of each view's probabilities (K + 1, h, w) with the mean of all."""
    if len(views) < 2:
        return 0.0
    mean = np.mean(views, axis=0)
    return float(np.mean([disagreement(view, mean) for view in views]))


def tag_uncertainty(tag_probs: Array, present: NDArray[np.bool_] | None, unknown: NDArray[np.bool_]) -> float:
    """How much the tag classifier contradicts the tags of an image.

    Args:
        tag_probs: (C,) in [0, 1].
        present: (C,) bool, tagged classes; None where the image has no tags.
        unknown: (C,) bool, classes of which nothing is known.
    """
    if present is None:
        return float((1 - np.abs(2 * tag_probs - 1)).max(initial=0.0))
    wrong = np.where(present, 1 - tag_probs, tag_probs)
    return float(wrong[~unknown | present].max(initial=0.0))


def with_missing(uncertainty: Uncertainty, mask: NDArray[np.uint8], present: NDArray[np.bool_] | None) -> Uncertainty:
    """Raise the uncertainty about the tags to 1 where a tagged class has next to no pixel.

    Args:
        uncertainty: of the image.
        mask: (H, W) class indices.
        present: (C,) bool, tagged classes; None where the image has no tags.
    """
    if present is None:
        return uncertainty
    counts = np.bincount(mask.ravel(), minlength=len(present) + 1)[1 : len(present) + 1]
    missing = bool((counts[present] < MISSING * mask.size).any())
    return uncertainty._replace(tags=1.0) if missing else uncertainty
