from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tag2mask.core.errors import DataError
from tag2mask.data import list_images
from tag2mask.images.folder import FolderIndex, normalise_name
from tests.helpers import write_image, write_images

NFC, NFD = unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("  a b.jpg ", "a b.jpg"),
        ("./sub//a.jpg", "sub/a.jpg"),
        (r"sub\dir\a.jpg", "sub/dir/a.jpg"),
        (NFD, NFC),
        ("a:b.jpg", "a:b.jpg"),
        ("a..b.jpg", "a..b.jpg"),
    ],
)
def test_names_are_normalised(text: str, name: str) -> None:
    assert normalise_name(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/etc/passwd", "an absolute path"),
        (r"C:\photos\a.jpg", "an absolute path"),
        ("c:/photos/a.jpg", "an absolute path"),
        (r"\\server\a.jpg", "an absolute path"),
        ("../a.jpg", r"with \.\. leads out of the folder"),
        (r"sub\..\..\a.jpg", r"with \.\. leads out of the folder"),
        ("", "not the name of a file"),
        (".", "not the name of a file"),
    ],
)
def test_names_that_lead_out_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        normalise_name(text)


@given(st.text())
def test_a_name_stays_inside_or_is_refused(text: str) -> None:
    try:
        name = normalise_name(text)
    except DataError:
        return
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert normalise_name(name) == name or name != name.strip()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.JPG", "a.JPG"),
        ("a.jpg", "a.JPG"),
        ("a", "a.JPG"),
        ("A", "a.JPG"),
        ("sub/b c", "sub/b c.png"),
        (r"sub\b c.png", "sub/b c.png"),
        ("photos/a.JPG", "a.JPG"),
        ("photos/sub/b c", "sub/b c.png"),
        ("img.v2", "img.v2.png"),
        (NFC, NFC),
        (NFD, NFC),
        ("other.dat", "other.dat"),
    ],
)
def test_files_are_found_by_names_written_in_many_ways(tmp_path: Path, text: str, name: str) -> None:
    folder = write_images(tmp_path / "photos", ["a.JPG", "sub/b c.png", "img.v2.png", NFD])
    (folder / "other.dat").write_bytes(b"")
    assert FolderIndex(folder).find(text) == name


def test_files_that_are_not_found(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", ["a.jpg", "a.png", "sub/b.png", ".hidden.png"])
    index = FolderIndex(folder)
    with pytest.raises(DataError, match=r"'a' may mean a\.jpg, a\.png; write the whole name"):
        index.find("a")
    with pytest.raises(DataError, match=r"b\.png: no such image .*; did you mean sub/b\.png\?"):
        index.find("b.png")
    with pytest.raises(DataError, match=r"c\.png: no such image in .*check the name, or the folder"):
        index.find("c.png")
    with pytest.raises(DataError, match=r"\.hidden\.png: no such image"):
        index.find(".hidden.png")


def test_a_backslash_may_be_part_of_a_name(tmp_path: Path) -> None:
    if os.sep == "\\":
        pytest.skip("a backslash separates folders on this system")
    folder = write_images(tmp_path / "photos", [r"odd\name.png"])
    assert FolderIndex(folder).find(r"odd\name.png") == r"odd\name.png"


def test_links(tmp_path: Path) -> None:
    outside = write_image(tmp_path / "outside.png")
    folder = write_images(tmp_path / "photos", ["a.png", "sub/b.png"])
    (folder / "inside.png").symlink_to(folder / "a.png")
    (folder / "outside.png").symlink_to(outside)
    (folder / "broken.png").symlink_to(folder / "none.png")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "loop").symlink_to(folder)
    (folder / "notes.txt").symlink_to(tmp_path / "none.txt")
    index = FolderIndex(folder)
    assert index.images() == ["a.png", "inside.png", "sub/b.png"]
    assert set(index.refused) == {"outside.png", "broken.png", "again", "loop"}
    with pytest.raises(DataError, match=r"outside\.png: a link that leads out of the folder"):
        index.find("outside.png")
    with pytest.raises(DataError, match=r"again: a link to a folder, which is not followed"):
        index.find("again/b.png")
    with pytest.raises(DataError, match=r"broken\.png: a broken link; put the file itself there"):
        index.find("broken.png")
    followed = FolderIndex(folder, follow_links=True)
    assert followed.images() == ["a.png", "again/b.png", "inside.png", "outside.png", "sub/b.png"]
    assert followed.refused["loop"] == "a link to a folder that it lies in; remove it"


def test_two_names_that_look_the_same(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", [NFC, NFD])
    if len(list(folder.iterdir())) < 2:
        pytest.skip("this file system takes both names for one")
    index = FolderIndex(folder)
    assert list(index.refused.values()) == [
        "two files whose names look the same (unicode forms NFC and NFD); rename one"
    ]


def test_names_that_are_not_text(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("this system has no such names")
    folder = write_images(tmp_path / "photos", ["a.png"])
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))).write_bytes(b"x")
    index = FolderIndex(folder)
    assert index.images() == ["a.png"]
    assert index.refused == {"?.png": "the file's name is not valid text (UTF-8); rename it"}


def test_list_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", ["b.JPG", "a c.png", "sub/ü.tif", "._a.png", "__MACOSX/x.png"])
    (folder / "readme.txt").write_text("")
    listed = list_images(folder)
    assert [name for _, name in listed] == ["a c.png", "b.JPG", "sub/ü.tif"]
    assert all(path.is_file() for path, _ in listed)
    assert list_images(folder / "b.JPG") == [(folder / "b.JPG", "b.JPG")]


def test_list_images_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder; check the path"):
        list_images(tmp_path / "none")
    with pytest.raises(DataError, match=r"no image in this folder \(.*\.jpg"):
        list_images(tmp_path)
    write_images(tmp_path, ["a.png", "a.jpg"])
    with pytest.raises(DataError, match=r"a\.jpg and a\.png would write the same mask a\.png; rename one"):
        list_images(tmp_path)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.png").symlink_to(tmp_path.parent / "b.png")
    with pytest.raises(DataError, match=r"b\.png: a broken link"):
        list_images(tmp_path)
