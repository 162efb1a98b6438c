"""The made collections that the method is measured on are what they say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from tag2mask.data import Dataset

KINDS = ("figures", "everywhere", "small_objects")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("made_collections")


def masks(made: Any, kind: str, count: int) -> list[Any]:
    return [made.KINDS[kind][0](np.random.default_rng([0, number]))[1] for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_tags_are_the_classes_of_the_masks(made: Any, kind: str, tmp_path: Path) -> None:
    folder = made.write_collection(kind, tmp_path, train=6, val=2)
    names = made.KINDS[kind][1]
    train = folder / "train"
    dataset = Dataset.load(
        train / "images", train / "tags.csv", masks=train / "masks", classes=folder / "classes.txt", verify=True
    )
    assert dataset.classes == names
    for record, mask in zip(dataset.records, masks(made, kind, 6), strict=True):
        assert record.present == {names[index - 1] for index in np.unique(mask) if index}
    first, second = (made.KINDS[kind][0](np.random.default_rng([0, 5]))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_how_often_the_frequent_class_occurs(made: Any) -> None:
    assert 0.85 <= np.mean([(mask == 1).any() for mask in masks(made, "everywhere", 60)]) <= 1
    assert 0.75 <= np.mean([(mask == 1).any() for mask in masks(made, "figures", 20)]) <= 1


def test_sizes_of_small_objects(made: Any) -> None:
    shares = []
    drawn = masks(made, "small_objects", 40)
    for mask in drawn:
        for index in np.unique(mask[mask > 0]):
            found, count = ndimage.label(mask == index, np.ones((3, 3)))
            shares += [float((found == k).mean()) for k in range(1, count + 1)]
    assert 0.0007 < min(shares) < 0.003
    assert 0.02 < max(shares) < 0.06
    assert 0.004 < np.median(shares) < 0.013  # log-uniform
    assert 1 <= sum(not mask.any() for mask in drawn) <= 16
