from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import ClassCount, Dataset, Problem, load_dataset
from tag2mask.data.document import file_sha256
from tests.helpers import write_images, write_shapes, write_tags


def made(name: str, tags: str = "", unknown: str = "", split: str | None = None) -> ImageRecord:
    return ImageRecord(name, Path("/photos") / name, frozenset(tags.split()), frozenset(unknown.split()), split)


@pytest.fixture
def dataset() -> Dataset:
    records = (made("a.jpg", "cat dog", split="train"), made("b.jpg", "dog", "cat", "val"), made("c.jpg"))
    problem = Problem("missing image", "line 3: d.jpg", "d.jpg")
    return Dataset(Path("/photos"), ("cat", "dog"), records, (problem,), "csv")


def test_tags_are_a_table(dataset: Dataset) -> None:
    tags = dataset.tags()
    assert tags.dtype == np.int8
    np.testing.assert_array_equal(tags, [[1, 1], [-1, 1], [0, 0]])
    assert len(dataset) == 3
    assert dataset.counts() == {"cat": ClassCount(1, 1, 1), "dog": ClassCount(2, 1, 0)}


def test_it_cannot_be_changed(dataset: Dataset) -> None:
    with pytest.raises(FrozenInstanceError):
        dataset.classes = ()  # type: ignore[misc]


def test_subsets(dataset: Dataset) -> None:
    assert [i.name for i in dataset.subset([2, 0]).records] == ["c.jpg", "a.jpg"]
    assert [i.name for i in dataset.subset(np.array([1])).records] == ["b.jpg"]
    assert [i.name for i in dataset.subset(split="val").records] == ["b.jpg"]
    assert dataset.subset([0]).classes == ("cat", "dog")
    assert dataset.splits() == ("train", "val")
    with pytest.raises(DataError, match=r"no image of split 'test'; splits found: train, val"):
        dataset.subset(split="test")
    with pytest.raises(DataError, match="the chosen subset holds no image"):
        dataset.subset(first=0)


def test_first_is_a_fixed_shuffle_and_nested() -> None:
    records = tuple(made(f"{k:02d}.jpg", "cat") for k in range(50))
    dataset = Dataset(Path("/photos"), ("cat",), records)
    ten, twenty = dataset.subset(first=10), dataset.subset(first=20)
    assert twenty.records[:10] == ten.records
    assert ten.records != records[:10]
    assert ten == dataset.subset(first=10, seed=0)
    assert ten != dataset.subset(first=10, seed=1)
    assert set(dataset.subset(first=500).records) == set(records)


def test_there_and_back_as_json(dataset: Dataset) -> None:
    document = json.loads(json.dumps(dataset.to_dict()))
    assert Dataset.from_dict(document) == dataset
    assert document["records"][1] == {"name": "b.jpg", "tags": ["dog"], "unknown": ["cat"], "split": "val"}


def test_a_document_of_version_1_is_read(dataset: Dataset) -> None:
    document = {
        "document": "tag2mask collection",
        "version": 1,
        "root": "/photos",
        "source": "csv",
        "classes": ["cat", "dog"],
        "items": [
            {"name": "a.jpg", "tags": ["cat", "dog"], "split": "train"},
            {"name": "b.jpg", "tags": ["dog"], "unknown": ["cat"], "split": "val"},
            {"name": "c.jpg", "tags": []},
        ],
        "problems": [
            {"kind": "missing image", "message": "line 3: d.jpg", "file": "d.jpg", "level": "warning"},
        ],
    }
    assert Dataset.from_dict(document) == dataset


def test_images_of_which_nothing_is_known(dataset: Dataset) -> None:
    records = (*dataset.records, ImageRecord("d.jpg", Path("/photos/d.jpg")), ImageRecord("in a shard.jpg"))
    more = replace(dataset, records=records)
    np.testing.assert_array_equal(more.tags()[3:], [[-1, -1], [-1, -1]])
    assert more.counts()["dog"] == ClassCount(2, 1, 2)
    document = json.loads(json.dumps(more.to_dict()))
    assert document["records"][3] == {"name": "d.jpg", "tags": None}
    assert document["records"][4] == {"name": "in a shard.jpg", "tags": None, "image": None}
    assert Dataset.from_dict(document) == more


def test_json_of_files(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    dataset = load_dataset(tiny.images, tiny.tags, masks=tiny.masks, classes=tiny.class_file)
    document = json.loads(json.dumps(dataset.to_dict(sha256=True)))
    assert Dataset.from_dict(document) == dataset
    assert document["records"][0]["sha256"] == file_sha256(dataset.records[0].path)
    assert len(document["records"][0]["sha256"]) == 64
    moved = Dataset.from_dict(document, root=Path("/elsewhere"))
    assert moved.records[0].path == Path("/elsewhere/shape_000.png")
    with pytest.raises(DataError, match=r"none\.png: cannot be read"):
        file_sha256(tmp_path / "none.png")


def test_names_that_are_spelt_differently_on_disk_come_back(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["u\u0308.png", "b.png"])
    tags = write_tags(tmp_path / "tags.csv", {"\u00fc.png": "cat", "b.png": "cat"})
    dataset = load_dataset(images, tags)
    assert dataset.records[0].name == "\u00fc.png"
    assert dataset.records[0].path.is_file()
    assert Dataset.from_dict(dataset.to_dict()) == dataset


def test_damaged_documents(dataset: Dataset) -> None:
    document = dataset.to_dict()
    with pytest.raises(DataError, match="not a tag2mask dataset of version 2 or older"):
        Dataset.from_dict({})
    with pytest.raises(DataError, match="damaged tag2mask dataset: KeyError"):
        Dataset.from_dict({key: value for key, value in document.items() if key != "records"})
    with pytest.raises(DataError, match=r"tags \['dog'\] are not among its classes"):
        Dataset.from_dict({**document, "classes": ["cat"]})


def test_problems_are_counted(dataset: Dataset) -> None:
    many = replace(dataset, problems=(*dataset.problems, Problem("bad row", "x"), Problem("bad row", "y")))
    assert many.problem_counts() == {"bad row": 2, "missing image": 1}
