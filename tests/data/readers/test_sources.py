from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tag2mask.data.readers.sources import FILES, FORMATS, recognise_file
from tests.helpers import write_images

COCO = '{"images": [], "annotations": [], "categories": []}'


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("image,tags\na.jpg,cat\n", "csv"),
        ("", "csv"),
        (COCO, "coco"),
        (COCO.replace(" ", "\n  "), "coco"),
        ('{"info": {"name": "x"}, "images": ' + "9" * 2_000_000, "coco"),
        ("\ufeff\n  [\n]", "label-studio"),
        ('<?xml version="1.0"?><annotations/>', "cvat"),
        ('{"image": "a.jpg", "tags": ["cat"]}\n{"image": "b', "jsonl"),
        ('{"file_name": "a.jpg", "label": "cat"}', "jsonl"),
        ("{" * 100_000, "coco"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_recognised_by_content(tmp_path: Path, content: str, format: str, encoding: str) -> None:
    path = tmp_path / "tags.txt"
    path.write_bytes(content.removeprefix("\ufeff").encode(encoding))
    assert recognise_file(path) == format


def test_a_suffix_helps_where_the_first_line_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text('{"image": \n{"image": "a.jpg", "tags": ["cat"]}\n')
    assert recognise_file(path) == "jsonl"


@pytest.mark.parametrize("format", sorted(set(FILES) - {"jsonl", "csv"}))
def test_files_of_tags_are_asked_for(tmp_path: Path, format: str) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    with pytest.raises(DataError, match=f"format '{format}' needs a file of tags; give its path as `tags`"):
        load_dataset(images, format=format)


@pytest.mark.parametrize("format", sorted(set(FORMATS) - set(FILES) - {"auto"}))
def test_folders_take_no_file_of_tags(tmp_path: Path, format: str) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    (tmp_path / "tags.csv").write_text("image,tags\na.jpg,cat\n")
    with pytest.raises(DataError, match=f"format '{format}' takes no table of tags"):
        load_dataset(images, tmp_path / "tags.csv", format=format)


def test_a_parquet_file_is_no_file_of_tags(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.jpg"])
    (tmp_path / "x.parquet").write_bytes(b"PAR1xxxx")
    with pytest.raises(DataError, match=r"x\.parquet: a Parquet file; give the folder that it lies in"):
        load_dataset(images, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="this is a folder; the file of tags was expected"):
        load_dataset(images, tmp_path)


def test_a_file_of_annotations_beside_the_images_is_suggested(tmp_path: Path) -> None:
    images = write_images(tmp_path / "set" / "images", ["a.jpg"])
    (tmp_path / "set" / "annotations.xml").write_text("<annotations/>")
    with pytest.raises(DataError, match=r"did you mean .*annotations\.xml as `tags`\?"):
        load_dataset(images)
