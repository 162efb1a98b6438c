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


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"), ("TRAIN", "VAL"), ("training", "testing"), ("training", "validation"),
        ("train_set", "test_set"), ("seg_train/seg_train", "seg_test/seg_test"), ("train/images", "test/images"),
        ("train2017", "val2017"),
    ],
)  # fmt: skip
def test_words_for_splits(tmp_path: Path, train: str, test: str) -> None:
    root = write_images(tmp_path / "set", [f"{train}/cat/a.jpg", f"{train}/dog/b.jpg", f"{test}/cat/c.jpg"])
    dataset = load_dataset(root, strict=True)
    assert dataset.classes == ("cat", "dog")
    assert [record.split for record in dataset.records if record.name.startswith(train)] == ["train", "train"]
    assert len(load_dataset(root, split="train")) == 2
    assert len(load_dataset(root, split=test.split("/")[0])) == 1


def test_train_alone_and_classes_in_test_alone(tmp_path: Path) -> None:
    assert load_dataset(write_images(tmp_path / "one", ["Train/cat/a.jpg", "Train/dog/b.jpg"])).classes == (
        "cat",
        "dog",
    )
    root = write_images(
        tmp_path / "mvtec", ["train/good/a.jpg", "test/good/b.jpg", "test/hole/c.jpg", "ground_truth/hole/c.png"]
    )
    dataset = load_dataset(root, strict=True)
    assert dataset.classes == ("good", "hole")
    assert [problem.message[:60] for problem in dataset.problems if problem.kind != "doubtful class"] == [
        "folder 'ground_truth' with 1 images is no split and was left",
        "1 classes have images in test and none in train, such as 'ho",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["test/1.jpg", "test/2.jpg"],
        ["test/unknown/1.jpg", "test/unknown/2.jpg"],
        ["seg_pred/seg_pred/1.jpg", "seg_pred/seg_pred/2.jpg"],
    ],
)
def test_an_unlabelled_split_is_left_out_with_its_number(tmp_path: Path, names: list[str]) -> None:
    root = write_images(tmp_path / "set", ["train/cat/a.jpg", "train/dog/b.jpg", "train/c.jpg", *names])
    dataset = load_dataset(root)
    assert described(dataset) == {"train/cat/a.jpg": "cat", "train/dog/b.jpg": "dog"}
    assert dataset.problem_counts()["image without tags"] == 1
    messages = [problem.message for problem in dataset.problems if problem.kind == "unlabelled split"]
    folder = names[0].split("/")[0]
    assert messages == [
        f"2 images of the folder {folder}, such as {names[0]}, have no folder of a class: unlabelled, left out"
    ]


def test_folders_beside_several_splits_are_left_out(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["training_set/cat/a.jpg", "test_set/cat/b.jpg", "single_prediction/c.jpg"])
    dataset = load_dataset(root)
    assert described(dataset) == {"training_set/cat/a.jpg": "cat", "test_set/cat/b.jpg": "cat"}
    assert dataset.problem_counts() == {"outside the splits": 1, "folders of splits": 1}


def test_the_class_train_in_a_split(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "set", ["train/train/a.jpg", "train/bus/b.jpg", "test/train/c.jpg", "test/bus/d.jpg"]
    )
    assert load_dataset(root, strict=True).classes == ("bus", "train")
