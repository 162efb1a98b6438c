"""Counts over masks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tag2mask.evaluation.verdict.masks import count_masks


def test_each_kind_of_mask_is_counted() -> None:
    empty, whole, half, other = (np.zeros((40, 60), np.uint8) for _ in range(4))
    whole[:] = 1
    half[:, :30] = 1
    other[:20] = 2
    cat, both = frozenset({"cat"}), frozenset({"cat", "dog"})
    counts = count_masks([(empty, cat), (whole, cat), (half, cat), (other, both), (empty, frozenset())], ("cat", "dog"))
    assert (counts.masks, counts.tagged, counts.empty, counts.one_class) == (5, 4, 1, 1)
    assert (counts.classes["cat"].masks, counts.classes["cat"].without, counts.classes["cat"].whole) == (4, 2, 1)
    assert counts.classes["cat"].share == pytest.approx((0 + 1 + 0.5 + 0) / 4)
    assert (counts.classes["dog"].masks, counts.classes["dog"].without, counts.classes["dog"].overlap) == (1, 0, None)


def test_undecided_pixels_count_for_no_class() -> None:
    mask = np.full((10, 10), 255, np.uint8)
    mask[:5] = 1
    counts = count_masks([(mask, frozenset({"cat"}))], ("cat",))
    assert (counts.one_class, counts.classes["cat"].whole) == (1, 1)


def test_the_same_blob_overlaps_and_objects_at_random_positions_do_not() -> None:
    rng = np.random.default_rng(0)
    same, moving = [], []
    for _ in range(20):
        fixed, moved = np.zeros((96, 96), np.uint8), np.zeros((96, 96), np.uint8)
        fixed[30:60, 30:60] = 1
        y, x = rng.integers(0, 66, 2).tolist()
        moved[y : y + 30, x : x + 30] = 1
        same.append((fixed, frozenset({"cat"})))
        moving.append((moved, frozenset({"cat"})))
    overlap = count_masks(same, ("cat",)).classes["cat"].overlap
    assert overlap == pytest.approx(1.0)
    overlap = count_masks(moving, ("cat",)).classes["cat"].overlap
    assert overlap is not None
    assert overlap < 0.3
