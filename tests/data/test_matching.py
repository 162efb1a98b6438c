"""Names as they are written in a source, and the files they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.data import Dataset, load_dataset
from tag2mask.data.matching import match_names
from tag2mask.images.folder import FolderIndex
from tests.helpers import write_images

FILES = ["a/p0.jpg", "b/p1.jpg", "p2.jpg", "0007.jpg", "dir with/p 3.jpg"]


@pytest.fixture
def index(tmp_path: Path) -> FolderIndex:
    return FolderIndex(write_images(tmp_path / "photos", FILES))


@pytest.mark.parametrize(
    ("written", "found", "note"),
    [
        ("p0.jpg", "a/p0.jpg", "1 names are matched to the only file of that name, in another folder"),
        ("p0", "a/p0.jpg", "in another folder"),
        ("x/y/p2.jpg", "p2.jpg", "in another folder"),
        (
            "/home/ana/a/p0.jpg",
            "a/p0.jpg",
            "1 absolute paths or addresses are matched by their end, such as '/home/ana",
        ),
        ("C:\\Users\\ana\\p2.jpg", "p2.jpg", "absolute paths"),
        ("\\\\server\\share\\b\\p1.jpg", "b/p1.jpg", "absolute paths"),
        ("../photos/p2.jpg", "p2.jpg", "absolute paths"),
        ("https://example.org/x/p2.jpg", "p2.jpg", "addresses"),
        ("https://b.s3.amazonaws.com/a/p0.jpg?X-Amz-Signature=a%2Fb.jpg&Expires=1#x", "a/p0.jpg", "addresses"),
        ("https://example.org/dir%20with/p%203.jpg", "dir with/p 3.jpg", "addresses"),
        ("https://example.org/view?file=p2.jpg", "p2.jpg", "addresses"),
        ("s3://bucket/p2.jpg", "p2.jpg", "addresses"),
        ("file:///C:/x/p2.jpg", "p2.jpg", "addresses"),
        ("p2.png", "p2.jpg", "1 names are matched to a file with another suffix, such as 'p2.png' to p2.jpg"),
        ("p2.dcm", "p2.jpg", "another suffix"),
        ("/data/upload/3/0a1b2c3d-p2.jpg", "p2.jpg", "without the letters that Label Studio puts before them"),
        ("p_3.jpg", "dir with/p 3.jpg", "1 names are matched to a file of that name with spaces or signs"),
        ("/data/dir_with/p_3.png", "dir with/p 3.jpg", "with spaces or signs"),
        ("7", "0007.jpg", "1 numbers are matched to a file name with zeros before it"),
    ],
)
def test_one_name(index: FolderIndex, written: str, found: str, note: str) -> None:
    matches = match_names(index, [written])
    assert matches.found == {written: found}
    assert not matches.failed
    assert note in matches.notes[0].message
    assert matches.notes[0].level == "note"


@pytest.mark.parametrize("written", ["p2.jpg", "P2.JPG", "p2", "photos/p2.jpg", "a\\p0.jpg"])
def test_what_is_found_as_it_stands_needs_no_note(index: FolderIndex, written: str) -> None:
    assert not match_names(index, [written]).notes


@pytest.mark.parametrize(
    ("written", "kind", "message"),
    [
        ("gone.jpg", "missing image", "no such image"),
        ("https://example.org/", "missing image", "no name in it"),
        ("https://example.org/gone.jpg", "missing image", "no image of the name 'gone.jpg'"),
        ("/etc/passwd", "bad name", "an absolute path"),
        ("../../x", "bad name", "leads out of the folder"),
        ("http://[x/p2.jpg", "missing image", "no name in it"),
    ],
)
def test_names_of_no_file(index: FolderIndex, written: str, kind: str, message: str) -> None:
    matches = match_names(index, [written])
    assert not matches.found
    assert matches.failed[written][0] == kind
    assert message in matches.failed[written][1]


def test_the_longest_common_end_decides(tmp_path: Path) -> None:
    index = FolderIndex(write_images(tmp_path / "photos", ["cats/1.jpg", "dogs/1.jpg", "2.jpg"]))
    matches = match_names(index, ["/data/dogs/1.jpg", "/data/cats/1.jpg"])
    assert matches.found == {"/data/dogs/1.jpg": "dogs/1.jpg", "/data/cats/1.jpg": "cats/1.jpg"}
    matches = match_names(index, ["/data/1.jpg"])
    assert matches.failed["/data/1.jpg"][0] == "ambiguous image"
    assert "may mean cats/1.jpg, dogs/1.jpg" in matches.failed["/data/1.jpg"][1]


def test_two_names_of_one_file_are_not_guessed(tmp_path: Path) -> None:
    index = FolderIndex(write_images(tmp_path / "photos", ["1.jpg", "2.jpg"]))
    assert not match_names(index, ["cats/1.jpg", "dogs/1.jpg"]).found
    assert match_names(index, ["1.jpg", "dogs/1.jpg"]).found == {"1.jpg": "1.jpg"}
    signed = ["https://x.org/1.jpg?signature=1", "https://x.org/1.jpg?signature=2"]
    assert set(match_names(index, signed).found.values()) == {"1.jpg"}


def test_images_of_another_split_are_not_taken(tmp_path: Path) -> None:
    index = FolderIndex(write_images(tmp_path / "photos", ["train/1.jpg", "train/2.jpg"]))
    matches = match_names(index, ["/data/train/1.jpg", "/data/test/2.jpg"])
    assert list(matches.found) == ["/data/train/1.jpg"]


def test_one_path_out_of_the_folder_among_names_is_a_mistake(index: FolderIndex) -> None:
    matches = match_names(index, ["p2.jpg", "b/p1.jpg", "/x/p0.jpg", "../p0.jpg"])
    assert matches.failed["/x/p0.jpg"][0] == matches.failed["../p0.jpg"][0] == "bad name"


def load(tmp_path: Path, text: str) -> Dataset:
    (tmp_path / "t.csv").write_text(text)
    return load_dataset(tmp_path / "photos", tmp_path / "t.csv")


def test_rows_of_signed_addresses_are_joined(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", ["1.jpg", "2.jpg"])
    text = "url,label\nhttps://x.org/1.jpg?s=1,cat\nhttps://x.org/1.jpg?s=2,dog\nhttps://x.org/2.jpg?s=3,cat\n"
    dataset = load(tmp_path, text)
    assert {record.name: record.present for record in dataset.records} == {"1.jpg": {"cat", "dog"}, "2.jpg": {"cat"}}
