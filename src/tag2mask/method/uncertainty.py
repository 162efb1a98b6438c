"""How uncertain a mask is, told without any human mask: for choosing which to look at first. NumPy alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_LITTLE = 0.01  # share of the image that is added to the foreground, so that specks of noise do not count
MISSING = 0.001
"""Share of pixels below which a tagged class counts as missing from its mask."""


class Doubt(NamedTuple):
    """Three signs of an uncertain mask, each in [0, 1].

    Attributes:
        streams: how much the segmentation stream and the class-specific masks disagree.
        views: how much the scores of the photograph at other scales and of its mirror image disagree.
        tags: how much the recognition stream contradicts the tags, 1 where a tagged class has no pixel;
            without tags, how undecided it is about the class it is least sure of.
    """

    streams: float = 0.0
    views: float = 0.0
    tags: float = 0.0

    @property
    def total(self) -> float:
        """Their mean, by which masks are ranked."""
        return (self.streams + self.views + self.tags) / 3


NO_DOUBT = Doubt()


def doubt_of(views: Sequence[Array], stack: Array | None, tag_doubt: float) -> Doubt:
    """Doubt about an image.

    Args:
        views: the segmentation stream's probabilities (K, h, w) of each scale and mirror image, background first.
        stack: the class-specific masks' (K, h, w), or None.
        tag_doubt: of `tag_doubt`.
    """
    mean = np.mean(views, axis=0)
    between = float(np.mean([disagreement(view, mean) for view in views])) if len(views) > 1 else 0.0
    return Doubt(0.0 if stack is None else disagreement(mean, stack), between, tag_doubt)


def disagreement(one: Array, other: Array) -> float:
    """Total variation between two fields of probabilities, as a share of their foreground.

    Args:
        one: (K, h, w), summing to 1 over K, background first.
        other: the same.

    Returns:
        0 where they are equal, near 1 where what one calls foreground is background or another class to the other.
    """
    distance = np.abs(one - other).sum(axis=0) / 2
    foreground = 1 - np.minimum(one[0], other[0])
    return float(min(1.0, distance.sum() / (foreground.sum() + _LITTLE * foreground.size)))


def tag_doubt(tag_probs: Array, present: NDArray[np.bool_] | None, unknown: NDArray[np.bool_]) -> float:
    """How much the recognition stream contradicts the tags of an image.

    Args:
        tag_probs: (C,) in [0, 1].
        present: (C,) tagged classes; None where the image has no tags.
        unknown: (C,) classes of which nothing is known.
    """
    if present is None:
        return float((1 - np.abs(2 * tag_probs - 1)).max(initial=0.0))
    wrong = np.where(present, 1 - tag_probs, tag_probs)
    return float(wrong[~unknown | present].max(initial=0.0))


def with_missing(doubt: Doubt, mask: NDArray[np.uint8], tagged: Iterable[int]) -> Doubt:
    """The doubt, with certainty that something is wrong where a tagged class has next to no pixel.

    Args:
        doubt: of the image.
        mask: (H, W) class indices.
        tagged: class indices.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    return doubt._replace(tags=1.0) if any(counts[k] < MISSING * mask.size for k in tagged) else doubt
