from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.data.dataset import Dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def read(tmp_path: Path, document: Any, **options: Any) -> Dataset:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])
    path = tmp_path / "tags.json"
    path.write_text(json.dumps(document))
    return load_dataset(images, path, **options)


@pytest.mark.parametrize(
    "document",
    [
        {"a.jpg": ["cat", "red panda"], "b.jpg": "cat", "c.jpg": []},
        {"a": ["cat", "red panda"], "b": ["cat"], "c": "none"},
        {"cat": ["a.jpg", "b.jpg"], "red panda": ["a.jpg"], "none": ["c.jpg"]},
        {"a.jpg": {"labels": ["cat", "red panda"]}, "b.jpg": {"objects": [{"class": "cat"}]}, "c.jpg": {"tags": []}},
        [{"image": "a.jpg", "tags": "cat, red panda"}, {"image": "b.jpg", "tags": ["cat"]}, {"file": "c", "tags": []}],
        [
            {"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}, {"label": "red panda"}]},
            {"image": "b.jpg", "annotations": [{"label": "cat"}]},
            {"image": "c.jpg", "annotations": []},
        ],
        [["a.jpg", ["cat", "red panda"]], ["b.jpg", "cat"], ["c.jpg", []]],
        {"version": 1, "data": [{"name": "a.jpg", "labels": [{"category": "cat"}, {"category": "red panda"}]},
                                {"name": "b.jpg", "labels": [{"category": "cat"}]}, {"name": "c.jpg", "labels": []}]},
    ],
)  # fmt: skip
def test_forms(tmp_path: Path, document: Any) -> None:
    dataset = read(tmp_path, document, strict=True)
    assert dataset.source == "json"
    assert dataset.classes == ("cat", "red panda")
    assert described(dataset) == {"a.jpg": "cat red panda", "b.jpg": "cat", "c.jpg": ""}


def test_states_and_unknown(tmp_path: Path) -> None:
    dataset = read(
        tmp_path, {"a.jpg": {"cat": 1, "dog": 0}, "b.jpg": {"cat": False, "dog": None}, "c.jpg": ["dog", "?cat"]}
    )
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "?dog", "c.jpg": "dog ?cat"}


def test_splits(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"Train": {"a.jpg": ["cat"]}, "val": [{"image": "b.jpg", "label": "dog"}]}, strict=True)
    assert [(record.name, record.split) for record in dataset.records] == [("a.jpg", "train"), ("b.jpg", "val")]


def test_bad_values_are_reported(tmp_path: Path) -> None:
    document = {"a.jpg": ["cat"], "b.jpg": 7, "c.jpg": {"cat": 0.5}, "d.jpg": None, "e.jpg": ["cat"]}
    dataset = read(tmp_path, document)
    assert described(dataset) == {"a.jpg": "cat"}
    assert dataset.problem_counts()["bad row"] == 2
    assert dataset.problem_counts()["missing image"] == 2
    assert dataset.problems[0].message.startswith("tags.json, 'b.jpg': tags 7; expected the names of classes")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"x": 1, "y": [2]}, "JSON of an unknown kind, with the keys 'x', 'y'; expected"),
        ([{"width": 3}], "no image name among"),
        ([{"image": "a.jpg"}], "no tags among"),
        ([{"image": "a.jpg", "tag": "cat", "label": "dog"}], "'tag' and 'label' mean the same"),
        ({"a.jpg": 1}, "no image in it; .*expected the names of classes"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"tags\.json.*{message}"):
        read(tmp_path, document)
