"""What a score is worth: classes that never occur, predictions without any class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def warnings_of(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Why the scores of a confusion matrix may be worth less than they look; empty if nothing is wrong.

    Args:
        confusion: int64 (C + 1, C + 1), rows target, columns preds, background first.
        classes: the C names, without background.

    >>> warnings_of(np.array([[9, 0, 1], [0, 0, 0], [0, 0, 0]]), ["cat", "dog"])[1:]
    ['never in the ground truth, and not predicted: cat; no IoU, left out of the mean',
    'never in the ground truth, but predicted: dog; their IoU of 0 counts in the mean']
    """
    target, preds = confusion.sum(axis=1)[1:], confusion.sum(axis=0)[1:]
    lines = []
    if not target.any():
        lines.append("no class occurs in the ground truth: the score is that of background alone")
    if not preds.any():
        lines.append("no class occurs in the predictions: every scored pixel is background")
    for found, text in (
        (
            (target == 0) & (preds == 0),
            "never in the ground truth, and not predicted: {}; no IoU, left out of the mean",
        ),
        (
            (target == 0) & (preds > 0),
            "never in the ground truth, but predicted: {}; their IoU of 0 counts in the mean",
        ),
        ((target > 0) & (preds == 0), "in the ground truth, but never predicted: {}; their IoU is 0"),
    ):
        if found.any():
            lines.append(text.format(", ".join(name for name, one in zip(classes, found, strict=True) if one)))
    return lines


def nothing_but_background(confusion: NDArray[np.int64]) -> str:
    """The end of a summary whose score is that of background alone, as it would be of empty masks; else empty."""
    if not confusion[1:].any():
        return ", of background alone: no class occurs in the ground truth"
    return "" if confusion[:, 1:].any() else "; every prediction is background alone"
