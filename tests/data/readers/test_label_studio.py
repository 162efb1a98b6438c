from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.data.readers.label_studio import file_of_address
from tag2mask.images.folder import FolderIndex
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def task(image: str, *annotations: Any, **more: Any) -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": list(annotations), **more}


def chose(*names: str, **more: Any) -> dict[str, Any]:
    return {"result": [{"type": "choices", "value": {"choices": list(names)}}] if names else [], **more}


def write(tmp_path: Path, tasks: Any) -> Path:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    return path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/1/1a2b3c4d-a.jpg", "a.jpg"),
        ("/data/upload/1/1a2b3c4d-12345678-x.jpg", "12345678-x.jpg"),
        ("/data/local-files/?d=photos/sub/b%20c.jpg", "sub/b c.jpg"),
        ("/data/local-files/?d=photos%5Csub%5Cb%20c.jpg", "sub/b c.jpg"),
        ("s3://bucket/deep/below/sub/a.jpg", "sub/a.jpg"),
        ("gs://bucket/below/a.jpg", "a.jpg"),
        ("https://example.org/photos/a.jpg?token=x/y.jpg#z", "a.jpg"),
        ("a.jpg", "a.jpg"),
        ("ü%C3%BC.jpg", "üü.jpg"),
        ("/data/upload/1/1a2b3c4d-gone.jpg", "gone.jpg"),
        ("https://example.org/../../a.jpg", "/../../a.jpg"),
    ],
)
def test_addresses(tmp_path: Path, address: str, name: str) -> None:
    names = ["a.jpg", "sub/a.jpg", "sub/b c.jpg", "12345678-x.jpg", "üü.jpg"]
    assert file_of_address(address, FolderIndex(write_images(tmp_path, names))) == name


def test_several_annotators(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"])
    path = write(
        tmp_path,
        [
            task("a.jpg", chose("cat"), chose("cat", "dog")),
            task("b.jpg", chose("cat"), chose()),
            task("c.jpg", chose("cat"), chose("dog", ground_truth=True)),
            task("d.jpg", chose("dog"), chose("cat", was_cancelled=True)),
            task("e.jpg", predictions=[chose("dog")]),
        ],
    )
    dataset = load_dataset(images, path)
    assert described(dataset) == {"a.jpg": "cat ?dog", "b.jpg": "?cat", "c.jpg": "dog", "d.jpg": "dog"}
    assert dataset.problem_counts() == {"image without tags": 1}


def test_shapes_and_none(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    shapes = {
        "result": [
            {"type": "brushlabels", "value": {"format": "rle", "rle": [0], "brushlabels": ["cat"]}},
            {"type": "polygonlabels", "value": {"points": [[1, 1]], "polygonlabels": ["dog"]}},
            {"type": "textarea", "value": {"text": ["a nice one"]}},
            {"type": "rating", "value": {"rating": 3}},
        ]
    }
    path = write(tmp_path, [task("a.jpg", shapes), task("b.jpg", chose("None"))])
    dataset = load_dataset(images, path, strict=True)
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": ""}


def test_image_under_another_name(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    tasks = [{"data": {"photo": "/data/upload/a.jpg", "ref": "R-7"}, "annotations": [chose("cat")]}]
    assert described(load_dataset(images, write(tmp_path, tasks))) == {"a.jpg": "cat"}


def test_bad_tasks_are_left_out_and_counted(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    tasks = [
        task("a.jpg", chose("cat")),
        None,
        {"data": {"text": "hello"}, "annotations": [chose("cat")]},
        {"data": {"one": "a.jpg", "two": "b.jpg"}, "annotations": [chose("cat")]},
        task("a.jpg", 7),
        task("a.jpg", {"result": 5}),
        task("a.jpg", {"result": [{"value": {"choices": [3]}}]}),
        task("http://[x", chose("cat")),
        task("https://example.org/../../etc/passwd", chose("cat")),
        task("gone.jpg", chose("cat")),
        {"image": "a.jpg"},
    ]
    dataset = load_dataset(images, write(tmp_path, tasks))
    assert described(dataset) == {"a.jpg": "cat"}
    assert dataset.problem_counts() == {"bad row": 8, "bad name": 1, "missing image": 1}
    messages = [problem.message for problem in dataset.problems]
    assert messages[0].startswith("export.json, task 2: None is not a task; expected Label Studio's export")
    assert messages[1].startswith("export.json, task 3: no image among ['text']; name the address of the image")
    assert "several images among ['one', 'two']" in messages[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no image in it"),
        ("[1, 2]", "no image in it; export.json, task 1: 1 is not a task"),
        ("{}", "is not a list"),
        ("[" * 300_000, "nested too deeply"),
        ('[{"data": ', "not JSON"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"export\.json.*{message}"):
        load_dataset(images, path, format="label-studio")
