"""What a trained network must beat: all background, and plain thresholded CAM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks.interpret import interpret_mask
from tag2mask.method.class_scores import thresholded_cam as cam_mask

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def all_background(dataset: Dataset) -> float:
    """mIoU, in [0, 1], of masks without any object, on the images that have ground truth."""
    size = len(dataset.classes) + 1
    confusion = np.zeros((size, size), dtype=np.int64)
    for record in dataset.records:
        if record.gt_mask is not None:
            target, _ = interpret_mask(record.gt_mask, dataset.classes)
            confusion += confusion_matrix(np.zeros_like(target), target, size)
    return mean_iou(confusion)


def thresholded_cam(
    segmenter: Segmenter, dataset: Dataset, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[float, float]:
    """Score plain thresholded CAM of the network's recognition head, the tags given.

    The threshold is the best one on the ground truth, which favours this baseline.

    Args:
        segmenter: a network trained from tags.
        dataset: images with tags; those without ground truth are left out.
        thresholds: to choose from, in [0, 1].

    Returns:
        mIoU in [0, 1] and its threshold.
    """
    size = len(dataset.classes) + 1
    confusions = {threshold: np.zeros((size, size), dtype=np.int64) for threshold in thresholds}
    for record in dataset.records:
        if record.gt_mask is None:
            continue
        target, _ = interpret_mask(record.gt_mask, dataset.classes)
        steps, positions = segmenter.steps(record.path, record.present, deep=True)
        for threshold, confusion in confusions.items():
            confusion += confusion_matrix(cam_mask(steps, positions, threshold), target, size)
    return max((mean_iou(confusion), threshold) for threshold, confusion in confusions.items())
