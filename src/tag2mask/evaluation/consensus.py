"""Which of several networks has the best masks, told without any human mask: by the vote of the others.

Errors of different settings differ more than what they get right, so that a majority is better than most
of those that vote, and nearness to it may rank them. Each setting is compared with the vote of all other
settings, corrected by the tags. How well this ranks is measured in `docs/lab-log.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou


def majority(votes: NDArray[np.integer], tags: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Mask that most votes are for, of classes that the tags allow.

    A place is foreground if more than half of its votes name any class; it has the class, of those that
    are present or unknown, with the most votes there.

    Args:
        votes: (C + 1, H, W) how many masks have a class there, background first.
        tags: (C,) `Tag` values.

    Returns:
        (H, W) class indices; background where no class is allowed.
    """
    allowed = np.flatnonzero(tags != Tag.ABSENT) + 1
    if not len(allowed):
        return np.zeros(votes.shape[1:], dtype=np.uint8)
    best = allowed[votes[allowed].argmax(axis=0)]
    foreground = 2 * votes[1:].sum(axis=0) > votes.sum(axis=0)
    return np.where(foreground, best, 0).astype(np.uint8)


class Consensus:
    """Scores of several networks' masks of the same photographs, one photograph at a time."""

    def __init__(self, settings: Sequence[str], num_classes: int):
        """Start with no photograph.

        Args:
            settings: name of the setting of each network; networks of one setting, say with other seeds, have
                no vote on each other.
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
        """Take in a photograph.

        Args:
            masks: (H, W) class indices of each network, made without the tags.
            tags: (C,) `Tag` values of the photograph.
        """
        stacked = np.stack(masks)
        votes = np.stack([(stacked == index).sum(axis=0, dtype=np.int16) for index in range(self.size)])
        for setting in dict.fromkeys(self.settings):
            own = [k for k, name in enumerate(self.settings) if name == setting]
            mine = np.stack([(stacked[own] == index).sum(axis=0, dtype=np.int16) for index in range(self.size)])
            target = majority(votes - mine, tags)
            for k in own:
                self.confusions[k] += confusion_matrix(stacked[k], target, self.size)

    def scores(self) -> list[float]:
        """mIoU of each network's masks against the vote of the other settings, in 0..1."""
        return [mean_iou(confusion) for confusion in self.confusions]
