"""Which of several networks has the best masks, without ground truth: by the vote of the others.

Networks of different settings differ more in their errors than in what they get right. So a majority of them is better
than most of those that vote, and agreement with it may rank them. Each setting is compared with the vote of all other
settings, corrected by the tags. `docs/lab-log.md` has how well this ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou


def majority(votes: NDArray[np.integer], tags: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Mask of the class with the most votes at each pixel, among the classes that the tags allow.

    A pixel is foreground if more than half of its votes are for any class; it has the class, of those that
    are present or unknown, with the most votes there.

    Args:
        votes: (C + 1, H, W) number of masks that have a class there, background first.
        tags: (C,) `Tag` values.

    Returns:
        (H, W) class indices; background where no class is allowed.

    >>> votes = np.array([[[3, 1]], [[0, 2]]])
    >>> majority(votes, np.array([Tag.PRESENT], dtype=np.int8)).tolist()
    [[0, 1]]
    """
    allowed = np.flatnonzero(tags != Tag.ABSENT) + 1
    if not len(allowed):
        return np.zeros(votes.shape[1:], dtype=np.uint8)
    best = allowed[votes[allowed].argmax(axis=0)]
    foreground = 2 * votes[1:].sum(axis=0) > votes.sum(axis=0)
    return np.where(foreground, best, 0).astype(np.uint8)


class Consensus:
    """Scores of several networks' masks of the same images, one image at a time."""

    def __init__(self, settings: Sequence[str], num_classes: int):
        """Start with no image.

        Args:
            settings: name of the setting of each network; networks of one setting, say with other seeds, do not vote
                on each other.
            num_classes: C, without background.

        Raises:
            ValueError: fewer than three settings: two would only be compared with each other.
        """
        if len(set(settings)) < 3:
            raise ValueError(f"a vote needs at least three settings, got {len(set(settings))}")
        self.settings = tuple(settings)
        self.size = num_classes + 1
        self.confusions = np.zeros((len(settings), self.size, self.size), dtype=np.int64)

    def add(self, masks: Sequence[NDArray[np.uint8]], tags: NDArray[np.int8]) -> None:
        """Add an image.

        Args:
            masks: (H, W) class indices of each network, predicted without the tags.
            tags: (C,) `Tag` values of the image.
        """
        joined = np.stack(masks)
        votes = self._votes(joined)
        for setting in dict.fromkeys(self.settings):
            own = [k for k, name in enumerate(self.settings) if name == setting]
            target = majority(votes - self._votes(joined[own]), tags)
            for k in own:
                self.confusions[k] += confusion_matrix(joined[k], target, self.size)

    def scores(self) -> list[float]:
        """mIoU of each network's masks against the vote of the other settings, in [0, 1]."""
        return [mean_iou(confusion) for confusion in self.confusions]

    def _votes(self, masks: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Number of masks (N, H, W) that have each class, (C + 1, H, W)."""
        return np.stack([(masks == index).sum(axis=0, dtype=np.int16) for index in range(self.size)])
