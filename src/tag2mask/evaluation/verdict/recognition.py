"""Whether the tags say something about the images: a linear classifier on images held out of its fitting.

A network can learn the tags of its training images by heart, so that its own opinion of them proves nothing. Five
times, a ridge regression of the tags on the pretrained features is fitted to four fifths of the images and asked about
the rest. Copies and near duplicates stay on one side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tag2mask.core.constants import Tag

FOLDS = 5
_RIDGE = 10.0  # of the squared norm of the weights, per feature; AUCs from 1 to 100 differ by 0.01
_LOW_PART = 0.1


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Of one class.

    Attributes:
        auc: area under the ROC curve, in [0, 1]; 0.5 is chance.
        deviation: standard deviation of `auc` if tags and images had nothing to do with each other.
        contradicted: positions of the images whose tag the classifier contradicts, the clearest first: tagged ones
            that score below the mean of those without, and the other way round.
        everywhere: AUC of the scores of parts of the images, the part at the 10 % quantile of an image with the class
            against that at the 90 % quantile of one without: near 1 where any part of an image shows it. None where
            there are no parts.
    """

    auc: float
    deviation: float
    contradicted: tuple[int, ...]
    everywhere: float | None = None


def held_out(
    features: NDArray[np.floating],
    tags: NDArray[np.int8],
    groups: NDArray[np.integer],
    *,
    parts: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> list[HeldOut | None]:
    """Cross-validate a linear classifier of each class.

    Args:
        features: (N, D).
        tags: (N, C) `Tag` values.
        groups: (N,) images of one group stay on one side of each split.
        parts: (N, K, D) features of K parts of each image, whose mean is `features`; or None.
        seed: of the folds.

    Returns:
        For each class; None with fewer than two groups of images that have it, or that are known to lack it.
    """
    folds = folds_of(groups, seed=seed)
    scores = held_out_scores(features, tags, folds)
    of_parts = None if parts is None else held_out_scores(features, tags, folds, asked=parts)
    found: list[HeldOut | None] = []
    for column in range(tags.shape[1]):
        present, absent = tags[:, column] == Tag.PRESENT, tags[:, column] == Tag.ABSENT
        if min(len(np.unique(groups[present])), len(np.unique(groups[absent]))) < 2:
            found.append(None)
            continue
        one = _judged(scores[:, column], present, absent)
        if of_parts is not None:
            low, high = np.quantile(of_parts[:, :, column], (_LOW_PART, 1 - _LOW_PART), axis=1)
            one = replace(one, everywhere=_auc(np.where(present, low, high), present, absent))
        found.append(one)
    return found


def folds_of(groups: NDArray[np.integer], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.intp]:
    """A fold in 0..folds - 1 for each image, the same within a group; folds have about equally many images."""
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order], kind="stable")]
    fold_of_group = np.zeros(len(names), np.intp)
    filled = np.zeros(folds)
    for group in order.tolist():
        fold = int(filled.argmin())
        fold_of_group[group] = fold
        filled[fold] += counts[group]
    return fold_of_group[inverse]


def held_out_scores(
    features: NDArray[np.floating],
    tags: NDArray[np.int8],
    folds: NDArray[np.intp],
    *,
    asked: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Scores of a ridge regression fitted to the other folds; an unknown tag counts as the mean of the known.

    Args:
        features: (N, D), to which it is fitted.
        tags: (N, C) `Tag` values.
        folds: (N,).
        asked: (N, ..., D) what is scored; None: `features`.

    Returns:
        (N, ..., C), about 1 where a class is present and 0 where it is absent.
    """
    asked = features if asked is None else asked
    scores = np.zeros((*asked.shape[:-1], tags.shape[1]))
    known = tags != Tag.UNKNOWN
    for fold in np.unique(folds).tolist():
        inside = folds != fold
        if not inside.any():
            continue
        mean, deviation = features[inside].mean(axis=0), features[inside].std(axis=0)
        deviation = deviation + 1e-3 * float(deviation.max(initial=0.0)) + 1e-9
        fitted = (features[inside] - mean) / deviation
        number = np.maximum(1, known[inside].sum(axis=0))
        target = (tags[inside] == Tag.PRESENT).astype(float)
        base = target.sum(axis=0) / number
        centred = np.where(known[inside], target - base, 0.0)
        kernel = fitted @ fitted.T + _RIDGE * features.shape[1] * np.eye(len(fitted))
        weights = fitted.T @ np.linalg.solve(kernel, centred)
        scores[~inside] = ((asked[~inside] - mean) / deviation) @ weights + base
    return scores


def _judged(scores: NDArray[np.float64], present: NDArray[np.bool_], absent: NDArray[np.bool_]) -> HeldOut:
    """AUC, its deviation under the null hypothesis (Mann and Whitney, 1947), and the tags that are contradicted."""
    n_present, n_absent = int(present.sum()), int(absent.sum())
    deviation = float(np.sqrt((n_present + n_absent + 1) / (12 * n_present * n_absent)))
    low, high = float(scores[absent].mean()), float(scores[present].mean())
    margin = np.where(present, low - scores, np.where(absent, scores - high, -1.0))
    wrong = np.flatnonzero(margin > 0)
    contradicted = tuple(wrong[np.argsort(-margin[wrong])].tolist())
    return HeldOut(_auc(scores, present, absent), deviation, contradicted)


def _auc(scores: NDArray[np.float64], present: NDArray[np.bool_], absent: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the rank sum; ties count half."""
    known = present | absent
    ranks = rankdata(scores[known])[present[known]]
    n_present, n_absent = int(present.sum()), int(absent.sum())
    return (float(ranks.sum()) - n_present * (n_present + 1) / 2) / (n_present * n_absent)
