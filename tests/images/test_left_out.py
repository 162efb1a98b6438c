"""What a folder holds that looks like an image and is not used."""

from __future__ import annotations

import io
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.data import list_images
from tag2mask.images import kinds
from tag2mask.images.decode import image_size, read_image
from tag2mask.images.folder import FolderIndex
from tag2mask.images.left_out import MARKER, LeftOut
from tag2mask.masks import write_label_map, write_mask
from tests.helpers import write_image, write_images

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100)


@pytest.fixture(autouse=True)
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installation that does not read HEIC."""
    monkeypatch.setattr(kinds, "heic_plugin", lambda: None)
    monkeypatch.setattr("tag2mask.images.left_out.heic_plugin", lambda: None)
    monkeypatch.setattr("tag2mask.images.decode.heic_plugin", lambda: None)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", ["a.jpg", "b.png", "sub/c.webp"])


def found(folder: Path) -> dict[str, LeftOut]:
    return {one.name: one for one in FolderIndex(folder).left_out()}


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("IMG_0.HEIC", HEIC, r"HEIC is not read here; convert it to JPEG, or pip install 'tag2mask\[heic\]'"),
        ("x.heif", b"", "HEIC is not read here"),
        ("x.jp2", JP2, "JPEG 2000 is not read here; convert it to PNG or TIFF"),
        ("x.jxl", b"\xff\x0a", "JPEG XL is not read here"),
        ("x.CR2", b"II*\0", "camera raw data is not read here; develop it"),
        ("x.dng", b"MM\0*", "camera raw data"),
        ("x.psd", b"8BPS", "a Photoshop document is not read here; export it"),
        ("x.svg", b"<svg/>", "an SVG drawing is not read here; export it as PNG"),
        ("x.dcm", b"", "DICOM"),
        ("x.ico", b"", "an image format that is not read"),
        ("scan", encoded("JPEG"), "an image without the suffix of one; rename it to scan.jpg"),
        ("scan.001", encoded("PNG"), "rename it to scan.001.png"),
        ("x.jpg_large", encoded("JPEG"), "rename it to x.jpg_large.jpg"),
        ("odd\nname", encoded("GIF"), r"rename it to odd\\nname.gif"),
        ("scan.bin", encoded("WEBP"), "rename it to scan.bin.webp"),
        ("scan.dat", encoded("TIFF"), "rename it to scan.dat.tif"),
        ("scan2", encoded("BMP"), "rename it to scan2.bmp"),
        ("phone", HEIC, "HEIC is not read here"),
        ("remote", JP2, "JPEG 2000"),
    ],
)
def test_lookalikes_are_named_with_their_remedy(photos: Path, name: str, content: bytes, message: str) -> None:
    (photos / name).write_bytes(content)
    [one] = FolderIndex(photos).left_out()
    assert one.name == name
    assert one.is_lost
    assert re.search(message, one.message)
    assert FolderIndex(photos).images() == ["a.jpg", "b.png", "sub/c.webp"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("._a.jpg", b"\0\5\x16\7"),
        ("Thumbs.db", encoded("JPEG")),
        ("tags.csv", b"image,tags\n"),
        ("notes", b"read me"),
        ("empty", b""),
        ("BM.txt", b"BM"),
        ("__MACOSX/._a.jpg", b"\0\5\x16\7"),
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", encoded("JPEG")),
    ],
)
def test_what_is_no_image_is_not_named(photos: Path, name: str, content: bytes) -> None:
    (photos / name).parent.mkdir(parents=True, exist_ok=True)
    (photos / name).write_bytes(content)
    assert found(photos) == {}


def test_copies_hidden_images_and_folders(photos: Path) -> None:
    for name in ("a.HEIC", "b.CR2", "a.jpg~", ".secret.jpg", ".x.0badc0de-1-abcdefgh.tmp.png"):
        (photos / name).write_bytes(encoded("JPEG"))
    write_images(photos, ["full.jpg/d.png"])
    (photos / "empty.jpg").mkdir()
    one = found(photos)
    assert set(one) == {"a.HEIC", "b.CR2", "a.jpg~", ".secret.jpg", "full.jpg", "empty.jpg"}
    assert {name for name, left in one.items() if left.is_lost} == {"empty.jpg"}
    assert one["a.HEIC"].message == "a.HEIC: a copy of an image that is read; a.jpg is read"
    assert "hidden, since its name begins with a dot" in one[".secret.jpg"].message
    assert "a folder with the name of an image" in one["empty.jpg"].message


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("make", "message"), [(fifo, r"a named pipe \(FIFO\)"), (unix_socket, "a socket"), (device, "a device|a link")]
)
def test_what_is_no_file_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], message: str
) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    folder = write_images(Path("p"), ["a.jpg"])
    make(folder / "x.jpg")
    make(folder / "unknown")
    index = FolderIndex(folder)
    assert index.images() == ["a.jpg"]
    assert set(index.refused) == {"x.jpg"}
    assert index.left_out() == []
    with pytest.raises(DataError, match=rf"x\.jpg: ({message})"):
        index.find("x.jpg")
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=r"x\.jpg: this is (a named|a socket|a device).*an image file was expected"):
            read(folder / "x.jpg")
    with pytest.raises(DataError, match="this is .*a folder of images was expected"):
        FolderIndex(folder / "x.jpg")


def test_masks_and_other_results_are_no_images(photos: Path) -> None:
    for marker, folder in (("uncertainty.csv", "out/a"), ("about.json", "out/b"), (None, "out/c")):
        write_mask(photos / folder / "deep" / "a.png", np.zeros((6, 8), np.uint8))
        write_image(photos / folder / "own.png")
        if marker is not None:
            write_text(photos / folder / marker, "x")
        else:
            write_label_map(photos / folder, ("cat",))
    write_image(photos / "overlays" / "a.jpg")
    write_image(photos / "overlays" / "b.jpg")
    write_text(photos / "overlays" / MARKER, "x")
    for name in ("model.safetensors", "model.yaml"):
        write_text(photos / "run" / name, "x")
    write_image(photos / "run" / "pictures" / "p.jpg")
    own = ["out/a/own.png", "out/b/own.png", "out/c/own.png"]
    index = FolderIndex(photos)
    assert index.images() == ["a.jpg", "b.png", *own, "sub/c.webp"]
    assert [(one.name, one.number, one.is_lost) for one in index.left_out()] == [
        ("out/a", 1, False), ("out/b", 1, False), ("out/c", 1, False), ("overlays", 2, False), ("run", 1, False),
    ]  # fmt: skip
    assert index.left_out()[3].message.startswith("overlays: 2 images that tag2mask wrote")
    assert index.left_out()[0].message.startswith("out/a: 1 mask that tag2mask wrote")


def test_masks_beside_their_images(photos: Path) -> None:
    write_mask(photos / "a.png", np.zeros((6, 8), np.uint8))
    write_text(photos / "uncertainty.csv", "x")
    assert [name for _, name in list_images(photos)] == ["a.jpg", "b.png", "sub/c.webp"]
    assert found(photos)["."].message.startswith(".: 1 mask that tag2mask wrote")


def test_a_folder_of_nothing_else_says_what_it_holds(tmp_path: Path) -> None:
    for k in range(8):
        (tmp_path / f"IMG_{k}.HEIC").write_bytes(HEIC)
    with pytest.raises(DataError, match="no image in this folder that can be used; left out: 8\n.*HEIC") as error:
        list_images(tmp_path)
    assert "and 3 more" in str(error.value)
