from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.evaluation.consensus import Consensus, majority
from tag2mask.evaluation.correlation import rank_correlation
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou

PRESENT_ABSENT = np.array([1, 0], dtype=np.int8)


def test_a_majority_follows_the_tags() -> None:
    # Votes for background, the present class, the absent class at four pixels.
    votes = np.array([[[3, 1, 1, 2]], [[0, 1, 2, 0]], [[0, 1, 0, 1]]])
    assert majority(votes, PRESENT_ABSENT).tolist() == [[0, 1, 1, 0]]
    assert majority(votes, np.array([0, 0], dtype=np.int8)).tolist() == [[0, 0, 0, 0]]
    unknown = np.array([0, -1], dtype=np.int8)
    assert majority(votes, unknown).tolist() == [[0, 2, 2, 0]]


def noisy(mask: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    wrong = rng.random(mask.shape) < share
    return np.where(wrong, rng.integers(0, 3, mask.shape), mask).astype(np.uint8)


def test_masks_rank_by_their_errors_without_ground_truth() -> None:
    rng = np.random.default_rng(0)
    shares = [0.05, 0.1, 0.2, 0.3, 0.45, 0.6]
    consensus = Consensus([str(share) for share in shares], 2)
    truth = np.zeros((len(shares), 3, 3), dtype=np.int64)
    for _ in range(8):
        gt_mask = np.zeros((40, 40), dtype=np.uint8)
        gt_mask[10:30, 8:28] = 1
        masks = [noisy(gt_mask, share, rng) for share in shares]
        consensus.add(masks, PRESENT_ABSENT)
        truth += np.stack([confusion_matrix(mask, gt_mask, 3) for mask in masks])
    assert rank_correlation(consensus.scores(), [mean_iou(one) for one in truth]) == pytest.approx(1)


def test_networks_of_one_setting_do_not_vote_on_each_other() -> None:
    mask, other = np.ones((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=np.uint8)
    consensus = Consensus(["odd", "odd", "odd", "a", "b"], 2)
    consensus.add([mask, mask, mask, other, other], np.array([1, 1], dtype=np.int8))
    assert consensus.scores()[0] == 0


def test_two_settings_are_no_vote() -> None:
    with pytest.raises(ValueError, match="at least three settings, got 2"):
        Consensus(["a", "a", "b"], 2)
