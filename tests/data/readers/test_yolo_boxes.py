from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_beside import write
from tests.data.readers.test_exported import described

BOX = "0 0.5 0.5 0.2 0.2\n"
OTHER = "1 0.1 0.1 0.2 0.2 0.3 0.3\n"
NAMES = "path: .\nnames:\n  0: cat\n  1: dog\n"


@pytest.mark.parametrize(
    ("images", "labels", "names"),
    [
        (("images/train/a.jpg", "images/val/a.jpg"), ("labels/train/a.txt", "labels/val/a.txt"), ("data.yaml", NAMES)),
        (("train/images/a.jpg", "val/images/b.jpg"), ("train/labels/a.txt", "val/labels/b.txt"), ("data.yml", NAMES)),
        (("train/a.jpg", "val/b.jpg"), ("train/a.txt", "val/b.txt"), ("data.yaml", "names: ['cat', 'dog']\nnc: 2\n")),
        (("train/a.jpg", "val/b.jpg"), ("train/a.txt", "val/b.txt"), ("classes.txt", "cat\ndog\n")),
        (("train/a.jpg", "val/b.jpg"), ("train/a.txt", "val/b.txt"), ("obj.names", "cat\r\ndog\r\n")),
    ],
)
def test_layouts(tmp_path: Path, images: tuple[str, str], labels: tuple[str, str], names: tuple[str, str]) -> None:
    texts = dict(zip(labels, (BOX + OTHER, OTHER), strict=True)) | dict([names])
    dataset = load_dataset(write(tmp_path / "set", list(images), texts), strict=True)
    assert dataset.source == "yolo"
    assert dataset.classes == ("cat", "dog")
    assert described(dataset) == dict(zip(images, ("cat dog", "dog"), strict=True))
    assert dataset.splits() == ("train", "val")
    assert dataset.problems == ()


def test_images_without_labels(tmp_path: Path) -> None:
    names = ["images/train/a.jpg", "images/train/b.jpg", "images/train/c.jpg", "images/test/d.jpg"]
    root = write(tmp_path / "set", names, {"labels/train/a.txt": BOX, "labels/train/b.txt": "\n", "data.yaml": NAMES})
    dataset = load_dataset(root, strict=True)
    assert described(dataset) == {"images/train/a.jpg": "cat", "images/train/b.jpg": "", "images/train/c.jpg": ""}
    messages = [problem.message for problem in dataset.problems]
    assert messages[0] == "1 images of test, such as images/test/d.jpg, have no label file: unlabelled, left out"
    assert messages[1].startswith("1 images have no label file, such as images/train/c.jpg; as YOLO does")


def test_labels_that_cannot_be_read(tmp_path: Path) -> None:
    images = [f"{name}.jpg" for name in "abcdef"]
    texts = {
        "a.txt": BOX,
        "b.txt": "7 0 0 0 0\n",
        "c.txt": "cat 1\n",
        "d.txt": "-1 0 0 0 0\n",
        "e.txt": "0.5 0 0 0 0\n",
    }
    root = write(tmp_path / "set", images, {**texts, "f.txt": "nan 0 0 0 0", "classes.txt": "cat\ndog\n"})
    dataset = load_dataset(root)
    assert described(dataset) == {"a.jpg": "cat"}
    assert dataset.problem_counts() == {"bad annotation": 5}
    assert dataset.problems[0].message == (
        "b.txt: line 1: class 7 is not among the 2 names; add it there; its image is left out"
    )


def test_names_of_the_classes(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ["images/a.jpg", "images/b.jpg"], {"labels/a.txt": BOX, "labels/b.txt": OTHER})
    with pytest.raises(DataError, match=r"no data\.yaml or classes\.txt names them; .* as `classes`"):
        load_dataset(root)
    dataset = load_dataset(root, classes=["cat", "dog"])
    assert described(dataset) == {"images/a.jpg": "cat", "images/b.jpg": "dog"}
    assert dataset.problem_counts() == {"names of classes": 1}
    (tmp_path / "data.yaml").write_text(NAMES)
    beside = load_dataset(root)
    assert beside.classes == ("cat", "dog")
    assert "beside the folder" in beside.problems[0].message
    with pytest.raises(DataError, match=r"did you mean .*set as `images`, which holds annotations too"):
        load_dataset(root / "images")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [", "not YAML"),
        ("names: [on, off]", "is yes, no, on or off without quotes"),
        ("names:\n  cat: 0\n", "'cat' among `names`; expected the number of a class"),
        ("names: [['a'], b]", "a name of a class is list"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b]", "a name of a class is list"),
        ("train: x", "no data.yaml or classes.txt names them"),
    ],
)
def test_bad_names(tmp_path: Path, text: str, message: str) -> None:
    root = write(tmp_path / "set", ["images/a.jpg"], {"labels/a.txt": BOX, "data.yaml": text})
    with pytest.raises(DataError, match=message):
        load_dataset(root)
    with pytest.raises(DataError, match=r"data\.yaml: a YAML file, as YOLO has it; give the folder"):
        load_dataset(root / "images", root / "data.yaml")
