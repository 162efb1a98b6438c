"""What a trained network must beat: all background, and plain thresholded CAM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import read_mask

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def all_background(collection: Dataset) -> float:
    """mIoU, in [0, 1], of masks without any object on the items that have a human mask."""
    size = len(collection.classes) + 1
    confusion = np.zeros((size, size), dtype=np.int64)
    for item in collection.records:
        if item.gt_mask is not None:
            target = read_mask(item.gt_mask)
            confusion += confusion_matrix(np.zeros_like(target), target, size)
    return mean_iou(confusion)


def thresholded_cam(
    predictor: Predictor, collection: Dataset, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[float, float]:
    """Score plain thresholded CAM of the predictor's own recognition stream, the tags given.

    The threshold is the one that human masks say is best, which favours this baseline.

    Returns:
        mIoU in [0, 1] and its threshold.
    """
    size = len(collection.classes) + 1
    confusions = {threshold: np.zeros((size, size), dtype=np.int64) for threshold in thresholds}
    for item in collection.records:
        if item.gt_mask is None:
            continue
        target = read_mask(item.gt_mask)
        steps = predictor.steps(read_image(item.path), sorted(item.present), deep=True)
        for threshold, confusion in confusions.items():
            confusion += confusion_matrix(steps.thresholded(threshold), target, size)
    return max((mean_iou(confusion), threshold) for threshold, confusion in confusions.items())
