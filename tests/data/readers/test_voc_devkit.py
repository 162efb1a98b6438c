from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.data.readers.voc_devkit import VOC_CLASSES, read_annotation
from tag2mask.masks import write_mask
from tests.helpers import write_images

OBJECTS = {"2007_01": "cat dog", "2007_02": "dog!", "2007_03": "cat! cat person", "2007_04": ""}


def annotation(objects: str) -> str:
    """Objects by name; `!` marks a difficult one."""
    parts = "".join(
        f"<object><name>{name.removesuffix('!')}</name><difficult>{int(name.endswith('!'))}</difficult>"
        "<part><name>head</name></part></object>"
        for name in objects.split()
    )
    return f"<annotation><filename>x.jpg</filename>{parts}</annotation>"


def write_devkit(root: Path, objects: Mapping[str, str] = OBJECTS) -> Path:
    write_images(root / "JPEGImages", [f"{name}.jpg" for name in objects])
    (root / "Annotations").mkdir()
    for name, text in objects.items():
        (root / "Annotations" / f"{name}.xml").write_text(annotation(text))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_01\n2007_02\n")
    (lists / "val.txt").write_text("2007_03\n")
    main = root / "ImageSets" / "Main"
    main.mkdir()
    (main / "everything.txt").write_text("".join(f"{name}  1\n" for name in objects))
    (main / "cat_train.txt").write_text("2007_01  1\n")
    write_mask(root / "SegmentationClass" / "2007_01.png", np.full((6, 8), 8))
    return root


@pytest.mark.parametrize("inside", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_devkit(tmp_path: Path, inside: str) -> None:
    root = write_devkit(tmp_path / "data" / inside)
    dataset = load_dataset(tmp_path / "data")
    assert dataset.source == "voc"
    assert dataset.classes == VOC_CLASSES
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)
    assert {
        record.name: (sorted(record.present), sorted(record.unknown), record.split) for record in dataset.records
    } == {
        "2007_01.jpg": (["cat", "dog"], [], "train"),
        "2007_02.jpg": ([], ["dog"], "train"),
        "2007_03.jpg": (["cat", "person"], [], "val"),
        "2007_04.jpg": ([], [], None),
    }
    assert dataset.records[0].gt_mask == root / "SegmentationClass" / "2007_01.png"
    assert dataset.records[1].gt_mask is None
    assert dataset.root == root / "JPEGImages"
    assert dataset.problems == ()


def test_splits(tmp_path: Path) -> None:
    root = write_devkit(tmp_path)
    assert [record.name for record in load_dataset(root, split="train").records] == ["2007_01.jpg", "2007_02.jpg"]
    everything = load_dataset(root, split="everything")
    assert len(everything) == 4
    assert everything.splits() == ("everything",)
    with pytest.raises(DataError, match=r"no split 'test' in ImageSets; found: everything, train, val"):
        load_dataset(root, split="test")
    with pytest.raises(DataError, match="the name of a list in ImageSets was expected"):
        load_dataset(root, split="../Main/everything")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt: the list is empty"):
        load_dataset(root, split="train")


def test_chosen_classes(tmp_path: Path) -> None:
    root = write_devkit(tmp_path)
    dataset = load_dataset(root, classes=["person", "cat"])
    assert [sorted(record.present) for record in dataset.records] == [["cat"], [], ["cat", "person"], []]
    assert dataset.records[1].unknown == frozenset()
    assert all(record.gt_mask is None for record in dataset.records)
    (problem,) = dataset.problems
    assert (problem.kind, problem.level) == ("masks not used", "note")
    with pytest.raises(DataError, match=r"class 'persn' does not occur in .*did you mean 'person'"):
        load_dataset(root, classes=["persn"])


def test_own_classes(tmp_path: Path) -> None:
    root = write_devkit(tmp_path, {"2007_01": "weld crack", "2007_02": "weld", "2007_03": "crack"})
    dataset = load_dataset(root)
    assert dataset.classes == ("crack", "weld")
    assert dataset.records[0].gt_mask is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", "not a readable XML annotation"),
        ("<html/>", r"top element is not <annotation>"),
        ("<annotation><object><name> </name></object></annotation>", "an object without a name"),
        (
            '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation><object><name>&a;</name></object></annotation>',
            "not a readable XML annotation",
        ),
    ],
)
def test_bad_annotations_are_reported(tmp_path: Path, text: str, message: str) -> None:
    root = write_devkit(tmp_path)
    path = root / "Annotations" / "2007_03.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_annotation(path)
    dataset = load_dataset(root)
    assert len(dataset) == 3
    assert dataset.problem_counts() == {"bad annotation": 1}
    with pytest.raises(DataError, match="strict is on"):
        load_dataset(root, strict=True)


def test_missing_annotations_and_images(tmp_path: Path) -> None:
    root = write_devkit(tmp_path)
    (root / "Annotations" / "2007_02.xml").unlink()
    (root / "JPEGImages" / "2007_03.jpg").unlink()
    dataset = load_dataset(root)
    assert dataset.problem_counts() == {"bad annotation": 1, "missing image": 1}
    assert [record.name for record in dataset.records] == ["2007_01.jpg", "2007_04.jpg"]
    for path in (root / "Annotations").iterdir():
        path.write_text(annotation(""))
    with pytest.raises(DataError, match="no object in any of"):
        load_dataset(root)


def test_which_devkit(tmp_path: Path) -> None:
    write_devkit(tmp_path / "VOC2007")
    write_devkit(tmp_path / "VOC2012")
    with pytest.raises(DataError, match=r"several years \(VOC2007, VOC2012\); choose one of these folders"):
        load_dataset(tmp_path)
    assert len(load_dataset(tmp_path / "VOC2007")) == 4
    with pytest.raises(DataError, match="not a VOC devkit; expected the folders JPEGImages and Annotations"):
        load_dataset(tmp_path / "VOC2007" / "Annotations", format="voc")


def test_two_classes_without_masks_are_two_classes(tmp_path: Path) -> None:
    root = write_devkit(tmp_path, {"2007_01": "cat", "2007_02": "dog", "2007_03": "cat"})
    (root / "SegmentationClass" / "2007_01.png").unlink()
    dataset = load_dataset(root)
    assert dataset.classes == ("cat", "dog")
    assert load_dataset(root, classes=list(VOC_CLASSES)).classes == VOC_CLASSES
    write_mask(root / "SegmentationClass" / "2007_01.png", np.full((6, 8), 1))  # the first of two classes, not VOC's
    own = load_dataset(root)
    assert own.classes == ("cat", "dog")
    assert own.problem_counts() == {"masks not used": 1}


def test_subfolders_lists_in_any_case_and_names_with_spaces(tmp_path: Path) -> None:
    names = ["a/my cat 1", "b/dog"]
    write_images(tmp_path / "JPEGImages", [f"{name}.jpg" for name in names])
    for name, text in zip(names, ("cat", "dog none"), strict=True):
        path = tmp_path / "Annotations" / f"{name}.xml"
        path.parent.mkdir(parents=True)
        path.write_text(annotation(text))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "Train.txt").write_text("a/my cat 1  1\n")
    (lists / "test.txt").write_text("")
    (lists / "cat_train.txt").write_text("b/dog -1\n")
    dataset = load_dataset(tmp_path, strict=True)
    assert dataset.classes == ("cat", "dog")
    assert [(record.name, record.split) for record in dataset.records] == [
        ("a/my cat 1.jpg", "train"),
        ("b/dog.jpg", None),
    ]
    (lists / "Train.txt").write_text("a/my cat 1\n")
