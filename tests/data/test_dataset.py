from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import ClassCount, Dataset, Problem, load_dataset
from tag2mask.data.dataset import file_sha256
from tag2mask.core.record import ImageRecord
from tests.helpers import write_images, write_shapes, write_tags


def item(name: str, tags: str = "", unknown: str = "", split: str | None = None) -> ImageRecord:
    return ImageRecord(name, Path("/photos") / name, frozenset(tags.split()), frozenset(unknown.split()), split)


@pytest.fixture
def collection() -> Dataset:
    items = (item("a.jpg", "cat dog", split="train"), item("b.jpg", "dog", "cat", "val"), item("c.jpg"))
    problem = Problem("missing image", "line 3: d.jpg", "d.jpg")
    return Dataset(Path("/photos"), ("cat", "dog"), items, (problem,), "csv")


def test_tags_are_a_table(collection: Dataset) -> None:
    tags = collection.tags()
    assert tags.dtype == np.int8
    np.testing.assert_array_equal(tags, [[1, 1], [-1, 1], [0, 0]])
    assert len(collection) == 3
    assert collection.counts() == {"cat": ClassCount(1, 1, 1), "dog": ClassCount(2, 1, 0)}


def test_it_cannot_be_changed(collection: Dataset) -> None:
    with pytest.raises(FrozenInstanceError):
        collection.classes = ()  # type: ignore[misc]


def test_subsets(collection: Dataset) -> None:
    assert [i.name for i in collection.subset([2, 0]).records] == ["c.jpg", "a.jpg"]
    assert [i.name for i in collection.subset(np.array([1])).records] == ["b.jpg"]
    assert [i.name for i in collection.subset(split="val").records] == ["b.jpg"]
    assert collection.subset([0]).classes == ("cat", "dog")
    assert collection.splits() == ("train", "val")
    with pytest.raises(DataError, match=r"no image of split 'test'; splits found: train, val"):
        collection.subset(split="test")
    with pytest.raises(DataError, match="the chosen subset holds no image"):
        collection.subset(first=0)


def test_first_is_a_fixed_shuffle_and_nested() -> None:
    items = tuple(item(f"{k:02d}.jpg", "cat") for k in range(50))
    collection = Dataset(Path("/photos"), ("cat",), items)
    ten, twenty = collection.subset(first=10), collection.subset(first=20)
    assert twenty.records[:10] == ten.records
    assert ten.records != items[:10]
    assert ten == collection.subset(first=10, seed=0)
    assert ten != collection.subset(first=10, seed=1)
    assert set(collection.subset(first=500).records) == set(items)


def test_there_and_back_as_json(collection: Dataset) -> None:
    document = json.loads(json.dumps(collection.to_dict()))
    assert Dataset.from_dict(document) == collection
    assert document["items"][1] == {"name": "b.jpg", "tags": ["dog"], "unknown": ["cat"], "split": "val"}


def test_json_of_files(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    collection = load_dataset(tiny.images, tiny.tags, masks=tiny.masks, classes=tiny.class_file)
    document = json.loads(json.dumps(collection.to_dict(sha256=True)))
    assert Dataset.from_dict(document) == collection
    assert document["items"][0]["sha256"] == file_sha256(collection.records[0].path)
    assert len(document["items"][0]["sha256"]) == 64
    moved = Dataset.from_dict(document, root=Path("/elsewhere"))
    assert moved.records[0].path == Path("/elsewhere/shape_000.png")
    with pytest.raises(DataError, match=r"none\.png: cannot be read"):
        file_sha256(tmp_path / "none.png")


def test_names_that_are_spelt_differently_on_disk_come_back(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["u\u0308.png", "b.png"])
    tags = write_tags(tmp_path / "tags.csv", {"\u00fc.png": "cat", "b.png": "cat"})
    collection = load_dataset(images, tags)
    assert collection.records[0].name == "\u00fc.png"
    assert collection.records[0].path.is_file()
    assert Dataset.from_dict(collection.to_dict()) == collection


def test_damaged_documents(collection: Dataset) -> None:
    document = collection.to_dict()
    with pytest.raises(DataError, match="not a tag2mask collection of version 1"):
        Dataset.from_dict({})
    with pytest.raises(DataError, match="damaged tag2mask collection: KeyError"):
        Dataset.from_dict({key: value for key, value in document.items() if key != "items"})
    with pytest.raises(DataError, match=r"tags \['dog'\] are not among its classes"):
        Dataset.from_dict({**document, "classes": ["cat"]})


def test_problems_are_counted(collection: Dataset) -> None:
    many = replace(collection, problems=(*collection.problems, Problem("bad row", "x"), Problem("bad row", "y")))
    assert many.problem_counts() == {"bad row": 2, "missing image": 1}
