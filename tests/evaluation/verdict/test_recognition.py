"""Held-out recognition: what the tags say is found, what they do not say is not, copies do not help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_auroc

from tag2mask.core.constants import Tag
from tag2mask.evaluation.verdict.recognition import folds_of, held_out, held_out_scores

Array = NDArray[Any]


def features_with(tags: Array, strength: float, seed: int = 0) -> Array:
    """Noise (N, 40) with a direction of its own for each class."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(tags.shape[1], 40))
    return np.asarray(rng.normal(size=(len(tags), 40)) + strength * (tags == 1) @ directions)


@pytest.fixture
def tags() -> Array:
    return np.asarray(np.random.default_rng(1).random((120, 2)) < 0.4).astype(np.int8)


def test_the_auc_is_that_of_the_held_out_scores(tags: Array) -> None:
    features, groups = features_with(tags, 2.0), np.arange(len(tags))
    scores = held_out_scores(features, tags, folds_of(groups))
    for column, one in enumerate(held_out(features, tags, groups)):
        assert one is not None
        expected = float(binary_auroc(torch.from_numpy(scores[:, column]).sigmoid(), torch.from_numpy(tags[:, column])))
        assert one.auc == pytest.approx(expected)
        assert one.auc > 0.9
        assert one.deviation == pytest.approx(0.05, abs=0.01)


def test_tags_that_say_nothing_are_not_recognised(tags: Array) -> None:
    shuffled = np.random.default_rng(2).permutation(tags)
    for one in held_out(features_with(tags, 2.0), shuffled, np.arange(len(tags))):
        assert one is not None
        assert abs(one.auc - 0.5) < 3.5 * one.deviation
        assert len(one.contradicted) > 0.25 * len(tags)


def test_copies_stay_on_one_side() -> None:
    """Random tags of six images, each ten times: by heart they would be recognised perfectly."""
    rng = np.random.default_rng(0)
    few, tags = rng.normal(size=(6, 40)), np.array([[0], [1], [0], [1], [0], [1]], np.int8)
    groups = np.tile(np.arange(6), 10)
    folds = folds_of(groups)
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(6))
    (one,) = held_out(few[groups], tags[groups], groups)
    assert one is not None
    assert one.auc < 0.9
    (by_heart,) = held_out(few[groups], tags[groups], np.arange(60))
    assert by_heart is not None
    assert by_heart.auc == 1.0


def test_the_wrong_tags_are_named(tags: Array) -> None:
    features = features_with(tags, 2.0)
    wrong = tags.copy()
    wrong[[3, 30, 70], 0] = 1 - wrong[[3, 30, 70], 0]
    one = held_out(features, wrong, np.arange(len(tags)))[0]
    assert one is not None
    assert len(one.contradicted) >= 2
    assert set(one.contradicted) <= {3, 30, 70}


def test_unknown_tags_do_not_count(tags: Array) -> None:
    features = features_with(tags, 2.0)
    partly = tags.copy()
    partly[::3, 0] = Tag.UNKNOWN
    one, other = held_out(features, partly, np.arange(len(tags)))
    assert one is not None
    assert other is not None
    assert one.auc > 0.9
    assert all(position % 3 for position in one.contradicted)
    partly[:, 0] = np.where(partly[:, 0] == Tag.PRESENT, Tag.PRESENT, Tag.UNKNOWN)
    assert held_out(features, partly, np.arange(len(tags)))[0] is None


def test_a_class_that_any_part_shows_is_told_from_an_object() -> None:
    """A texture changes all parts of an image, an object a few of them."""
    rng = np.random.default_rng(0)
    tags = (np.arange(120) % 2).astype(np.int8)[:, None]
    direction = rng.normal(size=30)
    parts = 0.3 * rng.normal(size=(2, 120, 16, 30))
    parts[0] += tags[:, :, None] * direction
    parts[1][:, :4] += 4 * tags[:, :, None] * direction
    texture, thing = (held_out(one.mean(axis=1), tags, np.arange(120), parts=one)[0] for one in parts)
    assert texture is not None
    assert thing is not None
    assert texture.auc > 0.99
    assert thing.auc > 0.99
    assert texture.everywhere is not None
    assert texture.everywhere > 0.95
    assert thing.everywhere is not None
    assert thing.everywhere < 0.5
