from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])


def write(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records), encoding="utf-8")
    return path


def test_lists_and_texts(tmp_path: Path, images: Path) -> None:
    path = write(
        tmp_path / "tags.jsonl",
        {"image": "a.jpg", "tags": ["cat", "red  panda", "u\u0308ber"], "split": "train"},
        {"image": "b.jpg", "tags": ["?cat", "dog"]},
        {"image": "c.jpg", "tags": []},
        {"image": "d", "tags": "red  panda", "split": "val", "width": 8},
    )
    dataset = load_dataset(images, path, strict=True)
    assert dataset.source == "jsonl"
    assert described(dataset) == {
        "a.jpg": "cat red  panda über",
        "b.jpg": "dog ?cat",
        "c.jpg": "",
        "d.jpg": "red  panda",
    }
    assert dataset.splits() == ("train", "val")


def test_classes_one_by_one(tmp_path: Path, images: Path) -> None:
    path = write(
        tmp_path / "tags.jsonl",
        {"image": "a.jpg", "tags": {"cat": 1, "dog": 0, "none": 0}},
        {"image": "b.jpg", "tags": {"cat": True, "dog": None}},
        {"image": "c.jpg", "tags": {"cow": -1}},
        {"image": "d.jpg", "tags": ["cow"]},
    )
    dataset = load_dataset(images, path)
    assert dataset.classes == ("cat", "cow", "dog")
    np.testing.assert_array_equal(dataset.tags(), [[1, -1, 0], [1, -1, -1], [-1, -1, -1], [0, 1, 0]])
    some = load_dataset(images, path, classes=["dog", "cow", "cat"])
    np.testing.assert_array_equal(some.tags(), [[0, -1, 1], [-1, -1, 1], [-1, -1, -1], [0, 1, 0]])


def test_strange_classes(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"image": "a", "tags": ["cat"]}, {"image": "b", "tags": ["catt"]})
    dataset = load_dataset(images, path, classes=["cat"])
    assert [problem.kind for problem in dataset.problems][:1] == ["unknown class"]
    assert "t.jsonl, line 2: class 'catt' is not among the classes (did you mean 'cat'?)" in (
        dataset.problems[0].message
    )


def test_bad_lines_are_left_out_and_counted(tmp_path: Path, images: Path) -> None:
    path = write(
        tmp_path / "tags.jsonl",
        {"image": "a.jpg", "tags": ["cat"]},
        "",
        '{"image": "b.jpg", "tags": ["cat"',
        "[1, 2]",
        {"tags": ["cat"]},
        {"image": 7, "tags": ["cat"]},
        {"image": "b.jpg", "tags": 3},
        {"image": "b.jpg", "tags": ["cat", 3]},
        {"image": "b.jpg", "tags": {"cat": "often"}},
        {"image": "b.jpg", "tags": ["cat", "?cat"]},
        {"image": "b.jpg", "file_name": "c.jpg", "tags": ["cat"]},
        '{"image": "b.jpg", "tags": ' + "[" * 100_000,
        '{"image": "b.jpg", "tags": ' + "9" * 10_000 + "}",
        {"image": "c.jpg", "tags": None},
        {"image": "../c.jpg", "tags": ["cat"]},
        {"image": "C:\\c.jpg", "tags": ["cat"]},
        {"image": "gone.jpg", "tags": ["cat"]},
    )
    dataset = load_dataset(images, path)
    assert described(dataset) == {"a.jpg": "cat"}
    assert dataset.problem_counts() == {
        "bad row": 11,
        "bad name": 2,
        "image without tags": 1,
        "missing image": 1,
        "unlisted images": 1,
    }
    messages = [problem.message for problem in dataset.problems]
    assert messages[0].startswith("tags.jsonl, line 3: not JSON")
    assert messages[2] == (
        "tags.jsonl, line 5: no image name; expected one object per line, "
        'such as {"image": "a.jpg", "tags": ["cat", "dog"]}'
    )
    assert "'cat' is 'often'; expected 1 (present), 0 (absent) or null (unknown)" in messages[6]
    assert "nested too deeply" in messages[9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no image in it"),
        (b"\n\n", "no image in it"),
        (b"{}\n", "no image in it; tags.jsonl, line 1: no image name"),
        (b'{"image": "a.jpg", "tags": ["c\\nat"]}', "cannot be a class name"),
        (b'{"image": "a.jpg", "tags": ["cat"]}\n{"image": "b.jpg", "tags": ["Cat"]}', "differ only in upper and lower"),
        (b'{"image": "a.jpg"}', "no tag in the whole source"),
        (b'{"image": "a.jpg", "tags": ["\xff"]}', "line 1: not UTF-8 text .* save it as UTF-8 JSON Lines"),
        (b'{"image": "a.jpg",\n "tags": "\0"}', "line 2: holds a NUL byte"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, images: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(images, path, format="jsonl")


def test_bom_and_crlf(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"image": "a.jpg", "tags": ["cat"]}\r\n{"image": "b.jpg", "tags": ["dog"]}\r\n')
    assert described(load_dataset(images, path)) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_image_folder_of_hugging_face(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["train/a.jpg", "train/sub/b.jpg", "test/a.jpg"])
    write(
        root / "train" / "metadata.jsonl",
        {"file_name": "a.jpg", "label": "cat"},
        {"file_name": "sub/b.jpg", "label": "dog"},
    )
    write(root / "test" / "metadata.jsonl", {"file_name": "a.jpg", "label": "cat"}, {"file_name": "../train/a.jpg"})
    dataset = load_dataset(root)
    assert dataset.source == "jsonl"
    assert described(dataset) == {"test/a.jpg": "cat", "train/a.jpg": "cat", "train/sub/b.jpg": "dog"}
    assert {record.name: record.split for record in dataset.records}["test/a.jpg"] == "test"
    (problem,) = dataset.problems
    assert problem.kind == "bad name"
    assert problem.message.startswith("test/metadata.jsonl, line 2: ")
    with pytest.raises(DataError, match="no metadata.jsonl in this folder"):
        load_dataset(root / "train" / "sub", format="jsonl")
