from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def test_folders_of_splits_and_classes(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "set", ["train/cat/a.jpg", "train/dog/sub/b.jpg", "val/cat/a.jpg", "test/background/x.jpg"]
    )
    dataset = load_dataset(root, strict=True)
    assert dataset.source == "yolo"
    assert dataset.classes == ("cat", "dog")
    assert described(dataset) == {
        "test/background/x.jpg": "",
        "train/cat/a.jpg": "cat",
        "train/dog/sub/b.jpg": "dog",
        "val/cat/a.jpg": "cat",
    }
    assert dataset.splits() == ("test", "train", "val")
    assert [record.name for record in load_dataset(root, split="val").records] == ["val/cat/a.jpg"]


def test_class_folders_are_not_taken_for_splits(tmp_path: Path) -> None:
    trains = write_images(tmp_path / "vehicles", ["train/a.jpg", "bus/b.jpg"])
    dataset = load_dataset(trains)
    assert (dataset.source, dataset.classes) == ("folders", ("bus", "train"))
    forced = write_images(tmp_path / "set", ["train/cat/a.jpg", "val/cat/b.jpg"])
    assert load_dataset(forced, format="folders").classes == ("train", "val")


def test_classes_that_are_not_chosen_and_loose_images(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["train/cat/a.jpg", "train/dgo/b.jpg", "train/c.jpg"])
    dataset = load_dataset(root, classes=["cat", "dog"])
    assert described(dataset) == {"train/cat/a.jpg": "cat"}
    assert [problem.message for problem in dataset.problems] == [
        "folder train/dgo with 1 images is not among the classes (did you mean 'dog'?); left out",
        "train/c.jpg outside the class folders: train/c.jpg has no tag; add its tags, or `none` if no class is present",
    ]


@pytest.mark.parametrize(
    ("names", "format", "message"),
    [
        (["train/images/a.jpg", "val/images/b.jpg"], "auto", "YOLO's layout for boxes or masks"),
        (["train/a.jpg", "val/b.jpg"], "yolo", "no folder with images of a class; expected train/CLASS/a.jpg"),
        (["train/cat/a.jpg", "more/cat/b.jpg"], "yolo", r"more/cat/b\.jpg is in no folder of a split"),
    ],
)
def test_other_layouts(tmp_path: Path, names: list[str], format: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write_images(tmp_path / "set", names), format=format)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = write_images(tmp_path / "outside", ["x.jpg"])
    root = write_images(tmp_path / "set", ["train/cat/a.jpg"])
    (root / "train" / "cat" / "x.jpg").symlink_to(outside / "x.jpg")
    (root / "train" / "dog").symlink_to(outside)
    dataset = load_dataset(root)
    assert described(dataset) == {"train/cat/a.jpg": "cat"}
    assert dataset.problem_counts() == {"refused file": 2}
