from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images


def write(tmp_path: Path, images: str, *, head: str = '<?xml version="1.0" encoding="utf-8"?>\n') -> Path:
    path = tmp_path / "annotations.xml"
    path.write_text(f"{head}<annotations>\n<version>1.1</version>\n{images}\n</annotations>\n", encoding="utf-8")
    return path


def test_tags_and_shapes_become_tags(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    path = write(
        tmp_path,
        """
        <meta><task><labels><label><name>never used</name></label></labels></task></meta>
        <image id="0" name="a.jpg" width="8" height="6">
          <tag label="cat" source="manual"><attribute name="mood">sleepy</attribute></tag>
          <box label="dog" xtl="0" ytl="0" xbr="3" ybr="3"/>
          <skeleton label="person"><points label="nose" points="1,1"/></skeleton>
        </image>
        <image id="1" name="b.jpg" subset="default"><polygon label="dog" points="0,0;1,1;1,0"/></image>
        <image id="2" name="c.jpg" subset="Train"><mask label="cat" rle="1"/></image>
        <image id="3" name="d.jpg"><tag label="none"/></image>
        """,
    )
    dataset = load_dataset(images, path, strict=True)
    assert dataset.source == "cvat"
    assert dataset.classes == ("cat", "dog", "person")
    assert described(dataset) == {"a.jpg": "cat dog person", "b.jpg": "dog", "c.jpg": "cat", "d.jpg": ""}
    assert [record.split for record in dataset.records] == [None, None, "Train", None]


def test_export_of_a_project_has_a_folder_for_each_subset(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["train/a.jpg", "val/a.jpg", "val/sub/b.jpg"])
    path = write(
        tmp_path,
        '<image name="a.jpg" subset="train"><tag label="cat"/></image>'
        '<image name="a.jpg" subset="val"><tag label="dog"/></image>'
        '<image name="sub/b.jpg" subset="val"><tag label="cat"/></image>',
    )
    dataset = load_dataset(images, path, strict=True)
    assert described(dataset) == {"train/a.jpg": "cat", "val/a.jpg": "dog", "val/sub/b.jpg": "cat"}
    assert [record.name for record in load_dataset(images, path, split="train").records] == ["train/a.jpg"]


def test_images_without_anything_on_them_are_left_out(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    path = write(
        tmp_path,
        '<image name="a.jpg"><tag label="cat"/></image><image name="b.jpg"/><image id="2"/>'
        '<image name="gone.jpg"><tag label="cat"/></image><image name="../b.jpg"><tag label="cat"/></image>'
        '<image name="b.jpg"><tag label=""/></image>',
    )
    dataset = load_dataset(images, path)
    assert described(dataset) == {"a.jpg": "cat"}
    assert [problem.kind for problem in dataset.problems] == [
        "bad row", "bad row", "image without tags", "missing image", "bad name",
    ]  # fmt: skip
    messages = [problem.message for problem in dataset.problems]
    assert messages[0] == "annotations.xml, image 3: no name; export it from CVAT again"
    assert messages[1].startswith("annotations.xml, image 6: '' is not the name of a class")
    assert messages[2].startswith("annotations.xml, image 2: b.jpg has no tag; add its tags, or `none`")


BOMB = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not readable XML"),
        ("<annotations><image name='a.jpg'>", "not readable XML"),
        (f"{BOMB}<annotations>&y;</annotations>", "not readable XML .*Entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>', "not readable XML"),
        ("<annotations></annotations>", "no image in it"),
        ("<annotation></annotation>", "its top element is <annotation>; .* for PASCAL VOC give the folder"),
        ("<html></html>", "its top element is <html>"),
        ("<annotations><track label='cat'/></annotations>", "annotations of a video"),
        ('<?xml version="1.0" encoding="nonsense"?><annotations/>', "not readable XML"),
        ("<annotations><image name='a.jpg'><tag label='c&#10;at'/></image></annotations>", "cannot be a class name"),
        ("<annotations><image name='a.jpg'>" + "<tag>" * 100_000, "not readable XML"),
        ("<a>" * 100_000 + "</a>" * 100_000, "its top element is <a>"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    path = tmp_path / "annotations.xml"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"annotations\.xml.*{message}"):
        load_dataset(images, path, format="cvat")


def test_missing_file(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    with pytest.raises(DataError, match=r"none\.xml: no such file; expected CVAT's export"):
        load_dataset(images, tmp_path / "none.xml", format="cvat")


def test_tracks_attributes_and_subsets(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["train/a.jpg", "images/Test/b.jpg"])
    path = write(
        tmp_path,
        '<image name="a.jpg" subset="Train"><tag label="cat"><attribute name="mood">sleepy</attribute></tag></image>'
        '<image name="b.jpg" subset="Test"><tag label="dog"/></image><track id="0" label="bird"/>',
    )
    dataset = load_dataset(images, path)
    assert described(dataset) == {"train/a.jpg": "cat", "images/Test/b.jpg": "dog"}
    assert [(problem.level, problem.message[:60]) for problem in dataset.problems] == [
        ("warning", "annotations.xml: 1 tracks of a video beside the images were "),
        ("note", "annotations.xml: 1 attributes of tags and shapes are no clas"),
    ]
    assert [record.name for record in load_dataset(images, path, split="train").records] == ["train/a.jpg"]


def test_video_is_refused_with_the_remedy(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    with pytest.raises(
        DataError, match="annotations of a video .* export the task from CVAT again as `CVAT for images"
    ):
        load_dataset(images, write(tmp_path, '<track id="0" label="cat"><box frame="0" outside="0"/></track>'))
