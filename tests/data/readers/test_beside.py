from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def xml(*objects: str, filename: str = "x.jpg") -> str:
    parts = "".join(f"<object><name>{name}</name></object>" for name in objects)
    return f"<annotation><filename>{filename}</filename>{parts}</annotation>"


def write(root: Path, images: list[str], texts: dict[str, str]) -> Path:
    write_images(root, images)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("images", "annotations"),
    [
        (("a.jpg", "b.jpg"), ("a.xml", "b.xml")),
        (("images/a.jpg", "images/b.jpg"), ("annotations/a.xml", "annotations/b.xml")),
        (("img/x/a.jpg", "img/y/a.jpg"), ("Annotations/xmls/x/a.xml", "Annotations/xmls/y/a.xml")),
        (("images/a.jpg", "images/b.jpg"), ("labels/deep/a.xml", "labels/deep/b.xml")),
    ],
)
def test_voc_xml_beside_images(tmp_path: Path, images: tuple[str, str], annotations: tuple[str, str]) -> None:
    root = write(tmp_path / "set", list(images), dict(zip(annotations, (xml("cat"), xml("dog", "none")), strict=True)))
    dataset = load_dataset(root, strict=True)
    assert dataset.source == "voc"
    assert dataset.classes == ("cat", "dog")
    assert described(dataset) == dict(zip(images, ("cat", "dog"), strict=True))


def test_splits_and_an_unlabelled_one(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set",
        ["Train/a.jpg", "valid/b.jpg", "test/c.jpg", "test/d.jpg"],
        {"Train/a.xml": xml("cat"), "valid/b.xml": xml()},
    )
    dataset = load_dataset(root, strict=True)
    assert described(dataset) == {"Train/a.jpg": "cat", "valid/b.jpg": ""}
    assert dataset.splits() == ("train", "valid")
    (problem,) = dataset.problems
    assert problem.level == "note"
    assert problem.message == "2 images of test, such as test/c.jpg, have no .xml file: unlabelled, left out"


def test_what_belongs_to_no_image_is_reported(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set",
        ["a.jpg", "b.jpg", "c.jpg"],
        {"a.xml": xml("cat"), "b.xml": "<annotation>", "gone.xml": xml("dog", filename="away.jpg")},
    )
    dataset = load_dataset(root)
    assert described(dataset) == {"a.jpg": "cat"}
    assert [(problem.kind, problem.file) for problem in dataset.problems] == [
        ("bad annotation", "b.xml"),
        ("missing image", "gone.xml"),
        ("image without tags", "c.jpg"),
    ]
    assert "nor of the name 'away.jpg' that it gives" in dataset.problems[1].message


def test_matched_by_the_name_in_the_file_and_by_the_last_part(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set",
        ["images/one/a.jpg", "images/two/b.jpg"],
        {"xml/a.xml": xml("cat"), "xml/000.xml": xml("dog", filename="b.jpg")},
    )
    dataset = load_dataset(root, format="voc")
    assert described(dataset) == {"images/one/a.jpg": "cat", "images/two/b.jpg": "dog"}
    (problem,) = dataset.problems
    assert problem.message.startswith("2 annotations lie in folders unlike those of their images")


def test_several_images_of_a_name(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set", ["one/a.jpg", "two/a.jpg", "b.jpg"], {"xml/a.xml": xml("cat"), "xml/b.xml": xml("dog")}
    )
    dataset = load_dataset(root, format="voc")
    assert described(dataset) == {"b.jpg": "dog"}
    assert dataset.problems[0].message == (
        "xml/a.xml: may belong to one/a.jpg, two/a.jpg; put it beside its image, with the same name"
    )


def test_masks_are_not_images_and_annotations_may_lie_elsewhere(tmp_path: Path) -> None:
    root = write(
        tmp_path / "pets",
        ["images/a.jpg", "images/b.jpg", "annotations/trimaps/a.png"],
        {"annotations/xmls/a.xml": xml("cat"), "annotations/xmls/b.xml": xml("dog")},
    )
    dataset = load_dataset(root, strict=True)
    assert described(dataset) == {"images/a.jpg": "cat", "images/b.jpg": "dog"}
    assert dataset.problem_counts() == {"masks not used": 1}
    apart = load_dataset(root / "images", root / "annotations" / "xmls")
    assert described(apart) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_class_folders_with_a_few_annotations_stay_class_folders(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ["cat/a.jpg", "cat/b.jpg", "dog/c.jpg"], {"cat/a.xml": xml("whisker")})
    dataset = load_dataset(root)
    assert dataset.classes == ("cat", "dog")
    (problem,) = dataset.problems
    assert "`format='voc'` reads them instead" in problem.message
    assert load_dataset(root, format="voc").classes == ("whisker",)


def test_nothing_fits(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ["a.jpg"], {"b.xml": xml("cat")})
    with pytest.raises(DataError, match=r"no \.xml file belongs to an image; b\.xml: no image of this name"):
        load_dataset(root, format="voc")
    with pytest.raises(DataError, match="no tags for these images"):
        load_dataset(root)
    with pytest.raises(DataError, match="this is a folder; the file of tags was expected"):
        load_dataset(root, write(tmp_path / "other", [], {"notes.md": "x"}))
