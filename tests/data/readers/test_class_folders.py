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
