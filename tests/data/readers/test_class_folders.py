from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.helpers import write_images

NAMES = ["cat/1.png", "cat/old/1.png", "fire truck/1.png", "fire truck/2.JPG", "none/1.png"]


def test_folders_are_tags(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", NAMES)
    (folder / "empty").mkdir()
    dataset = load_dataset(folder)
    assert dataset.source == "folders"
    assert dataset.classes == ("cat", "fire truck")
    assert {record.name: sorted(record.present) for record in dataset.records} == {
        "cat/1.png": ["cat"],
        "cat/old/1.png": ["cat"],
        "fire truck/1.png": ["fire truck"],
        "fire truck/2.JPG": ["fire truck"],
        "none/1.png": [],
    }
    assert dataset.problems == ()
    assert load_dataset(folder, format="folders") == dataset


def test_folders_with_chosen_classes(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", [*NAMES, "catt/1.png", "catt/2.png"])
    dataset = load_dataset(folder, classes=["fire truck", "cat"])
    assert dataset.classes == ("fire truck", "cat")
    (problem,) = dataset.problems
    assert problem.kind == "unknown class"
    assert problem.message == "folder 'catt' with 2 images is not among the classes (did you mean 'cat'?); left out"


def test_images_beside_the_folders(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", [*NAMES, "stray.png"])
    with pytest.raises(DataError, match="no tags for these images"):
        load_dataset(folder)
    dataset = load_dataset(folder, format="folders")
    assert dataset.problem_counts() == {"image without tags": 1}
    assert len(dataset) == len(NAMES)


def test_links_and_same_masks(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", NAMES)
    outside = write_images(tmp_path / "outside", ["1.png"])
    (folder / "dog").symlink_to(outside)
    (folder / "cat" / "3.png").symlink_to(outside / "1.png")
    dataset = load_dataset(folder)
    assert dataset.problem_counts() == {"refused file": 2}
    assert len(dataset) == len(NAMES)
    with pytest.raises(DataError, match=r"strict is on:\n  refused file: .*leads out of the folder"):
        load_dataset(folder, strict=True)
    write_images(folder, ["cat/1.jpg"])
    with pytest.raises(DataError, match=r"cat/1\.jpg and cat/1\.png would write the same mask cat/1\.png"):
        load_dataset(folder)


def test_background_alone(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", ["none/1.png", "background/2.png"])
    with pytest.raises(DataError, match="no folder with images of a class"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Pets/Cat/1.png", "Pets/Dog/1.png"], r"one folder, Pets, around the folders Cat, Dog; give .*Pets if"),
        (["a/b/cat/1.png", "a/b/dog/1.png"], r"one folder, a/b, around the folders cat, dog; give .*a/b if"),
        (["data/train/cat/1.png", "data/test/cat/1.png"], "around the folders test, train; give .*data if"),
        (["images/1.png"], "folder 'images' holds images and is no class; give a table of tags"),
        (["images/1.png", "masks/1.png"], "folder 'images' holds images and is no class; masks beside it"),
        (["Images/cat/1.png", "Images/dog/1.png"], r"holds images and is no class; give .*Images, whose folders"),
        (["cat/1.png", "dog/1.png", "masks/1.png"], "folder 'masks' looks like one of masks or annotations"),
        (["train/pet/cat/1.png", "test/pet/dog/1.png"], "one folder, pet, around the folders cat, dog; move these"),
        (["img/1.png", "cat/1.png"], "folder 'img' holds images and is no class"),
        (["photos/1.png", "photos/2.png"], "all images lie in one folder, 'photos', which does not look like a class"),
        (["train/cat/1.png", "more/cat/1.png"], "folder 'train' looks like a split and 'more' like a class"),
        (["one/images/cat/1.png", "two/images/cat/1.png"], "each folder has one called 'images' with further folders"),
        (["cat/1.png", "Cat/2.png"], "'Cat' and 'cat' differ only in upper and lower case"),
    ],
)  # fmt: skip
def test_what_may_be_something_else_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write_images(tmp_path / "set", names))


def test_classes_that_were_named_are_classes_whatever_their_words(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", ["images/1.png", "masks/1.png"])
    assert load_dataset(root, classes=["images", "masks"]).classes == ("images", "masks")
    wrapped = write_images(tmp_path / "wrapped", ["PetImages/Cat/1.png", "PetImages/Dog/1.png"])
    assert load_dataset(wrapped, classes=["PetImages"]).classes == ("PetImages",)
    empty = write_images(tmp_path / "empty", ["nothing/1.png", "cat/1.png"])
    assert load_dataset(empty, classes=["cat", "nothing"]).tags().tolist() == [[1, 0], [0, 1]]


def test_words_for_no_class(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "set", ["No_Finding/1.png", "no finding/2.png", "crack/1.png", "good/1.png", "unlabelled/1.png"]
    )
    dataset = load_dataset(root)
    assert dataset.classes == ("crack", "good")
    assert {record.name: sorted(record.present) for record in dataset.records} == {
        "No_Finding/1.png": [], "no finding/2.png": [], "crack/1.png": ["crack"], "good/1.png": ["good"],
    }  # fmt: skip
    assert dataset.problem_counts() == {
        "folder without class": 2, "unlabelled folder": 1, "doubtful class": 1, "image without tags": 1,
    }  # fmt: skip


def test_deeper_folders_splits_in_classes_and_unread_tables_are_said(tmp_path: Path) -> None:
    deep = load_dataset(write_images(tmp_path / "deep", ["pet/cat/1.png", "pet/dog/1.png", "car/bus/1.png"]))
    assert deep.classes == ("car", "pet")
    assert deep.problems[0].message.startswith("all images lie deeper than one folder, such as car/bus/1.png")
    inner = load_dataset(write_images(tmp_path / "inner", ["cat/train/1.png", "cat/Test/1.png", "dog/train/1.png"]))
    assert [(record.name, record.split) for record in inner.records] == [
        ("cat/Test/1.png", "test"), ("cat/train/1.png", "train"), ("dog/train/1.png", "train"),
    ]  # fmt: skip
    root = write_images(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "tags.csv").write_text("image,tags\n")
    assert load_dataset(root).problems[0].message.startswith("the tags are those of the folders; tags.csv was not read")
