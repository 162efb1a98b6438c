"""Confusion matrix, IoU and mIoU: pure functions of arrays.

One confusion matrix is summed over a whole split, each image at its original size; pixels whose target is
`IGNORE_INDEX` are dropped. For class k

    IoU_k = tp_k / (target_k + preds_k - tp_k)

(Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2015, doi 10.1007/s11263-014-0733-5). A class
absent from target and preds alike has no IoU (NaN) and is left out of the mean; one that is predicted but absent
counts 0.

Our own and not torchmetrics', with which it agrees (`MulticlassJaccardIndex(ignore_index=255)`, in the tests): scoring
masks must not need PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX

_PIECE = 1 << 22  # pixels counted together, which takes 8 bytes for each


def confusion_matrix(preds: NDArray[Any], target: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Count pixels by their true and their predicted class.

    Args:
        preds: integer array of class indices in 0..num_classes - 1, any shape.
        target: integer array of the same shape; class indices or `IGNORE_INDEX`.
        num_classes: C, background included, 1 to 255.

    Returns:
        int64 (C, C): rows are target, columns are preds. Sum those of all images, then score.

    Raises:
        ValueError: shapes differ, types are not integers, or a class index is out of range. A
            prediction of `IGNORE_INDEX` is out of range wherever it stands.

    >>> confusion_matrix(np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 255]]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    _validate(preds, target, num_classes)
    total = np.zeros(num_classes * num_classes, np.int64)
    flat_target, flat_preds = target.ravel(), preds.ravel()
    for start in range(0, flat_target.size, _PIECE):
        part = flat_target[start : start + _PIECE]
        keep = part != IGNORE_INDEX
        pairs = part[keep].astype(np.int64) * num_classes + flat_preds[start : start + _PIECE][keep]
        total += np.bincount(pairs, minlength=num_classes * num_classes)
    return total.reshape(num_classes, num_classes)


def iou_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of each class.

    Args:
        confusion: int64 (C, C), rows target, columns preds.

    Returns:
        float64 (C,) in [0, 1]; NaN where a class is absent from target and preds alike.

    Raises:
        ValueError: the matrix is not square.

    >>> iou_per_class(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])).round(2).tolist()
    [0.75, 0.67, nan]
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is square, (C, C); got {confusion.shape}")
    tp = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - tp
    iou = np.full(tp.shape, np.nan)
    np.divide(tp, union, out=iou, where=union > 0)
    return iou


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean of `iou_per_class` over the classes that have one, in [0, 1]; NaN if none has.

    >>> round(mean_iou(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])), 3)
    0.708
    """
    iou = iou_per_class(confusion)
    present = iou[~np.isnan(iou)]
    return float(present.mean()) if present.size else float("nan")


def resampled_mean_iou(confusions: NDArray[np.int64], *, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Mean IoU of images drawn again with replacement: the bootstrap over images (Efron, Ann. Statist. 1979).

    The same seed draws the same images, so that results of two methods on the same images can be subtracted.

    Args:
        confusions: int64 (N, C, C), one matrix an image.
        resamples: how many times N images are drawn.
        seed: of the draws.

    Returns:
        float64 (resamples,) in [0, 1].

    >>> resampled_mean_iou(np.array([[[3, 1], [0, 2]]] * 4), resamples=2).round(3)
    array([0.708, 0.708])
    """
    count = len(confusions)
    # Not scipy.stats.bootstrap: it would hold the matrices of every resample, instead of counts of images.
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.array([mean_iou(one) for one in np.tensordot(draws, confusions, axes=1)])


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of scored pixels whose class is right, in [0, 1]; NaN if no pixel is scored.

    >>> round(pixel_accuracy(np.array([[3, 1], [0, 2]])), 3)
    0.833
    """
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else float("nan")


def _validate(preds: NDArray[Any], target: NDArray[Any], num_classes: int) -> None:
    if not 1 <= num_classes <= IGNORE_INDEX:
        raise ValueError(f"num_classes is {num_classes}; with background it is 1 to {IGNORE_INDEX}")
    if preds.shape != target.shape:
        raise ValueError(f"preds has shape {preds.shape}, target {target.shape}; they must be equal")
    for name, array in (("preds", preds), ("target", target)):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{name} is {array.dtype}; class indices are integers")
    if preds.size == 0:
        return
    low, high = int(preds.min()), int(preds.max())
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        extra = " (ignore: never a prediction)" if wrong == IGNORE_INDEX else ""
        raise ValueError(f"preds holds class index {wrong}{extra}; expected 0 to {num_classes - 1}")
    wrong_target = (target != IGNORE_INDEX) & ((target < 0) | (target >= num_classes))
    if wrong_target.any():
        raise ValueError(
            f"target holds class index {int(target[wrong_target].flat[0])}; "
            f"expected 0 to {num_classes - 1}, or {IGNORE_INDEX} to ignore"
        )
