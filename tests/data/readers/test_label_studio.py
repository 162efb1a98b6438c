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


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=photos/a+b.jpg", "a+b.jpg"),
        ("/data/local-files/?d=photos/a%2Bb.jpg", "a+b.jpg"),
        ("/data/local-files/?d=c+d.jpg", "c d.jpg"),
        ("/data/local-files/?d=C:\\photos\\c d.jpg", "c d.jpg"),
        ("/data/local-files/?d=100%.jpg", "100%.jpg"),
        ("/data/local-files/?d=e&f.jpg", "e&f.jpg"),
        ("/data/upload/1/1a2b3c4d-Capture_d%C3%A9cran_1.jpg", "Capture d\u00e9cran (1).jpg"),
        ("/data/upload/1/1a2b3c4d-Capture_decran_2.jpg", "Capture d\u00e9cran_2.jpg"),
        ("/data/upload/f78f70-c_d.jpg", "c d.jpg"),
        ("/data/upload/3/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed-c_d.jpg", "c d.jpg"),
        ("/data/upload/1/1a2b3c4d-c_d_Ab12CdE.jpg", "c d.jpg"),
        ("/tasks/1/resolve/?fileuri=czM6Ly9idWNrZXQveC9jIGQuanBn", "c d.jpg"),
        ("https://bucket.example.org/x/c%20d.jpg?X-Signature=ab%2F", "c d.jpg"),
        ("s3://bucket/g#1.jpg", "g#1.jpg"),
    ],
)
def test_names_that_were_changed(tmp_path: Path, address: str, name: str) -> None:
    names = [
        "a+b.jpg",
        "c d.jpg",
        "100%.jpg",
        "e&f.jpg",
        "Capture d\u00e9cran (1).jpg",
        "Capture d\u00e9cran_2.jpg",
        "g#1.jpg",
    ]
    assert file_of_address(address, FolderIndex(write_images(tmp_path, names))) == name


def test_renamed_uploads_are_said_or_refused(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["my photo.jpg", "x/a b.jpg", "y/a b.jpg"])
    tasks = [
        task("/data/upload/1/1a2b3c4d-my_photo.jpg", chose("cat")),
        task("/data/upload/1/1a2b3c4d-a_b.jpg", chose("cat")),
        task("data:image/png;base64,AAAA", chose("cat")),
    ]
    dataset = load_dataset(images, write(tmp_path, tasks))
    assert described(dataset) == {"my photo.jpg": "cat"}
    messages = [problem.message for problem in dataset.problems]
    assert messages[0] == "export.json, task 2: a_b.jpg may be x/a b.jpg, y/a b.jpg; rename one of them"
    assert messages[1].startswith("export.json, task 3: the image is inside the task (data:); save it as a file")
    assert messages[2].startswith("1 images have another name in Label Studio")


def result(kind: str, value: dict[str, Any], control: str = "c", region: str | None = None) -> dict[str, Any]:
    return {"type": kind, "value": value, "from_name": control, "id": region}


def test_taxonomy(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    tree = result("taxonomy", {"taxonomy": [["animal", "pet", "cat"], ["animal", "fur"]]})
    minimal = {"image": "b.jpg", "id": 2, "tree": [["animal", "dog"]], "annotator": 1}
    path = write(tmp_path, [task("a.jpg", {"result": [tree]})])
    assert described(load_dataset(images, path, strict=True)) == {"a.jpg": "cat fur"}
    assert described(load_dataset(images, write(tmp_path, [minimal]), strict=True)) == {"b.jpg": "dog"}


def test_several_controls_and_what_is_not_read_are_said(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg"])

    def both(animal: str, time: str) -> dict[str, Any]:
        kinds = [
            result("taxonomy", {"taxonomy": [[animal]]}, "animal"),
            result("choices", {"choices": [time]}, "time"),
            result("textarea", {"text": ["x"]}),
            result("rectangle", {"x": 1}, "box", "r1"),
            result("rectangle", {"x": 1}, "box", "r2"),
            result("labels", {"x": 1, "labels": [animal]}, "box", "r2"),
        ]
        return {"result": kinds}

    path = write(tmp_path, [task("a.jpg", both("cat", "day")), task("b.jpg", both("dog", "night"))])
    dataset = load_dataset(images, path, strict=True)
    assert described(dataset) == {"a.jpg": "cat day", "b.jpg": "dog night"}
    messages = [problem.message for problem in dataset.problems]
    assert messages[0].startswith(
        "the classes come from 3 controls (animal: cat, dog; time: day, night; box: cat, dog)"
    )
    assert messages[1] == "4 results name no class and were not read: textarea (2), rectangle (2)"
    chosen = load_dataset(images, path, classes=["cat", "dog"], strict=True)
    assert described(chosen) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_target_storage(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    storage = tmp_path / "storage"
    storage.mkdir()
    for number, (name, tag) in enumerate((("a", "cat"), ("b", "dog"), ("b", "dog"))):
        inner = {"id": number, "data": {"image": f"/data/upload/1/1a2b3c4d-{name}.jpg"}}
        (storage / str(number + 1)).write_text(json.dumps({"id": number, "task": inner, **chose(tag)}))
    (storage / "4").write_text("{")
    dataset = load_dataset(images, storage)
    assert described(dataset) == {"a.jpg": "cat", "b.jpg": "dog"}
    assert dataset.problem_counts() == {"bad row": 1}
    one = load_dataset(images, storage / "1")
    assert described(one) == {"a.jpg": "cat"}
    assert "is one annotation of a target storage; give the folder of all of them" in one.problems[0].message


def test_predictions_alone(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    path = write(tmp_path, [task("a.jpg", predictions=[chose("cat")])])
    with pytest.raises(
        DataError, match="no tag in the whole source.* 1 tasks have predictions alone, which are not read"
    ):
        load_dataset(images, path)
