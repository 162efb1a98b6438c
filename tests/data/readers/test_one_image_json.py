from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_beside import write
from tests.data.readers.test_exported import described


def labelme(*labels: str, path: str = "x.jpg", **flags: bool) -> str:
    shapes = [{"label": label, "points": [[0, 0], [1, 1]], "shape_type": "polygon"} for label in labels]
    return json.dumps({"version": "5.4", "flags": flags, "shapes": shapes, "imagePath": path, "imageData": None})


def supervisely(objects: list[str], tags: list[dict[str, Any]]) -> str:
    return json.dumps(
        {"tags": tags, "size": {"height": 6, "width": 8}, "objects": [{"classTitle": o} for o in objects]}
    )


def test_shapes_of_labelme(tmp_path: Path) -> None:
    images = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    texts = {"a.json": labelme("cat", "dog", blurred=False), "b.json": labelme("_background_"), "c.json": labelme()}
    root = write(tmp_path / "set", images, {**texts, "d.json": '{"shapes": [{"label": 3}], "imagePath": "d.jpg"}'})
    dataset = load_dataset(root)
    assert dataset.source == "labelme"
    assert described(dataset) == {"a.jpg": "cat dog", "b.jpg": "", "c.jpg": ""}
    assert [(problem.kind, problem.file) for problem in dataset.problems] == [
        ("bad annotation", "d.json"),
        ("image without tags", "e.jpg"),
    ]


def test_flags_of_labelme_are_tags_where_there_is_no_shape(tmp_path: Path) -> None:
    texts = {"a.json": labelme(cat=True, dog=False), "b.json": labelme(cat=False, dog=True)}
    root = write(tmp_path / "set", ["a.jpg", "b.jpg"], texts)
    assert described(load_dataset(root, strict=True)) == {"a.jpg": "cat", "b.jpg": "dog"}
    (root / "a.json").write_text(labelme("whisker", cat=True))
    dataset = load_dataset(root)
    assert described(dataset) == {"a.jpg": "whisker", "b.jpg": ""}
    assert dataset.problems[0].message.startswith(
        "flags are not read where objects name the classes: 'cat' (1), 'dog' (1)"
    )
    chosen = load_dataset(root, classes=["cat", "dog"])
    assert described(chosen) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_labelme_in_a_folder_of_its_own(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ["images/a.jpg"], {"json/0001.json": labelme("cat", path="..\\images\\a.jpg")})
    assert described(load_dataset(root, format="labelme")) == {"images/a.jpg": "cat"}
    with pytest.raises(DataError, match="labelme's annotation of one image; give the folder"):
        load_dataset(root / "images", root / "json" / "0001.json")


def test_supervisely(tmp_path: Path) -> None:
    train = {"name": "train", "value": None}
    texts = {
        "one/ann/a.jpg.json": supervisely([], [{"name": "cat"}, train]),
        "two/ann/a.jpg.json": supervisely([], [{"name": "animal", "value": "dog"}]),
        "two/ann/b.png.json": supervisely([], []),
        "meta.json": json.dumps({"classes": [], "tags": [{"name": "cat"}]}),
    }
    root = write(tmp_path / "project", ["one/img/a.jpg", "two/img/a.jpg", "two/img/b.png"], texts)
    dataset = load_dataset(root, strict=True)
    assert dataset.source == "supervisely"
    assert described(dataset) == {"one/img/a.jpg": "cat", "two/img/a.jpg": "dog", "two/img/b.png": ""}
    assert dataset.splits() == ("train",)
    (root / "two/ann/b.png.json").write_text(supervisely(["bird", "bird"], [{"name": "night"}]))
    boxed = load_dataset(root)
    assert boxed.classes == ("bird",)
    assert "tags of whole images are not read where objects name the classes" in boxed.problems[0].message


def test_folders_that_may_be_classes_are_said(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set", ["cat/a.jpg", "dog/b.jpg"], {"cat/a.json": labelme("eye"), "dog/b.json": labelme("ear")}
    )
    dataset = load_dataset(root)
    assert dataset.classes == ("ear", "eye")
    assert dataset.problems[0].message.startswith("the tags are those of the annotations; 2 folders, such as 'cat'")
    assert load_dataset(root, format="folders").classes == ("cat", "dog")


def test_formats_that_were_named(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ["a.jpg"], {"a.json": labelme("cat")})
    for format in ("supervisely", "yolo"):
        with pytest.raises(DataError):
            load_dataset(root, format=format)
    (root / "a.json").unlink()
    with pytest.raises(DataError, match=r"no \.json file belongs to an image"):
        load_dataset(root, format="labelme")
