from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.classification import MultilabelAveragePrecision

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.evaluation.average_precision import average_precision, evaluate_tags, score_tags
from tag2mask.inference.segmenter import Segmenter
from tests.helpers import TinyDataset


@pytest.mark.parametrize("digits", [8, 1])
def test_agrees_with_torchmetrics(digits: int) -> None:
    """Also with many equal probabilities (one digit) and unknown tags."""
    rng = np.random.default_rng(digits)
    probs = rng.random((200, 4)).round(digits).astype(np.float32)
    tags = (rng.random((200, 4)) < [0.1, 0.5, 0.9, 0.02]).astype(np.int8)
    tags[rng.random((200, 4)) < 0.2] = Tag.UNKNOWN
    expected = MultilabelAveragePrecision(4, average=None, ignore_index=int(Tag.UNKNOWN))(
        torch.from_numpy(probs), torch.from_numpy(tags.astype(np.int64))
    )
    found = score_tags(probs, tags, "abcd")
    assert list(found.ap.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.mean_ap == pytest.approx(float(expected.mean()), abs=1e-5)


def test_by_hand() -> None:
    tags = np.array([1, 0, 1, 0])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), tags) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([4.0, 2.0, 3.0, 1.0]), tags) == 1
    assert average_precision(np.ones(4), tags) == pytest.approx(0.5)  # nothing told apart: the share of the class


def test_a_class_with_nothing_to_rank_is_left_out_of_the_mean() -> None:
    probs = np.array([[0.9, 0.5, 0.5, 0.5], [0.1, 0.6, 0.6, 0.6]])
    tags = np.array([[1, 1, 0, -1], [0, 1, 0, -1]])
    scores = score_tags(probs, tags, ["cat", "everywhere", "nowhere", "unknown"])
    assert scores.mean_ap == 1
    assert [name for name, value in scores.ap.items() if math.isnan(value)] == ["everywhere", "nowhere", "unknown"]
    document = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert document["AP"] == {"cat": 1, "everywhere": None, "nowhere": None, "unknown": None}
    assert document["share"] == {"cat": 0.5, "everywhere": 1, "nowhere": 0, "unknown": None}
    assert (
        scores.summary()
        == "mean AP 1.00; by class cat 1.00 (in 50 %), everywhere - (in 100 %), nowhere - (in 0 %), unknown -"
    )


def test_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match=r"probabilities of shape \(2, 2\) and tags of shape \(2, 3\)"):
        score_tags(np.zeros((2, 2)), np.zeros((2, 3), np.int8), ["cat", "dog"])
    with pytest.raises(ValueError, match="1 of 2 probabilities are NaN"):
        average_precision(np.array([0.5, np.nan]), np.array([0, 1]))


def test_a_trained_network_names_what_it_was_taught(shapes: TinyDataset, trained: Path) -> None:
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    scores = evaluate_tags(segmenter, dataset)
    assert scores.images == len(dataset)
    assert scores.mean_ap > 0.9
    first = dataset.records[0].path
    alone = segmenter.predict(first).tag_probs
    np.testing.assert_allclose(segmenter.evidence(segmenter.predict(first).image).tag_probs, alone)
    with pytest.raises(DataError, match="needs images with tags of the classes disc, square"):
        evaluate_tags(segmenter, Dataset.load(shapes.images, shapes.tags, classes=("square", "disc")))
