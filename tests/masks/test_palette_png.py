from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.masks import mask_path, read_mask, voc_colours, write_mask


def grey_png(path: Path, rows: list[list[int]], bits: int) -> Path:
    """A grey PNG of 1, 2, 4, 8 or 16 bits a pixel, written by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b""
    for row in rows:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_colours_are_those_of_voc() -> None:
    colours = voc_colours()
    assert colours.shape == (256, 3)
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128)}
    known |= {8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    for index, colour in known.items():
        assert tuple(colours[index]) == colour
    assert len({tuple(colour) for colour in colours.tolist()}) == 256
    assert not colours.flags.writeable


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, mask: NDArray[np.uint8]) -> None:
    path = tmp_path / "sub" / "a.png"
    write_mask(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)
    assert read_mask(path).dtype == np.uint8


def test_other_programs_see_a_palette_png(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [255, 2]], np.uint8)
    write_mask(tmp_path / "a.png", mask, classes=2)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        shown = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(shown, voc_colours()[mask])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_older_mask_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_mask(path, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="class index 3"):
        write_mask(path, np.full((2, 2), 3), classes=2)
    assert read_mask(path).max() == 0
    write_mask(path, np.ones((2, 2), np.int64))
    assert read_mask(path).min() == 1


@pytest.mark.parametrize(
    ("mask", "classes", "message"),
    [
        (np.full((2, 2), 3), 2, "class index 3; expected 0 to 2, or 255"),
        (np.full((2, 2), -1), None, "class index -1"),
        (np.full((2, 2), 256), None, "class index 256"),
        (np.zeros((2, 2, 1), np.uint8), None, r"integers \(H, W\)"),
        (np.zeros((2, 2)), None, "got float64"),
        (np.zeros((0, 2), np.uint8), None, "H, W > 0"),
    ],
)
def test_masks_that_cannot_be_written(
    tmp_path: Path, mask: NDArray[np.uint8], classes: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_mask(tmp_path / "a.png", mask, classes=classes)
    assert not (tmp_path / "a.png").exists()


def test_a_mask_is_written_as_png(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"written as \.png"):
        write_mask(tmp_path / "a.jpg", np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_keeps_its_values(tmp_path: Path, bits: int) -> None:
    rows = [[0, 1, 2**bits - 1], [1, 0, 1]]
    np.testing.assert_array_equal(read_mask(grey_png(tmp_path / "a.png", rows, bits)), rows)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_of_few_bits_keeps_its_values(tmp_path: Path, bits: int) -> None:
    rows = [[0, 1], [1, 2**bits - 1]]
    image = Image.fromarray(np.array(rows, np.uint8)).convert("P")
    image.putpalette(voc_colours()[: 2**bits].tobytes())
    image.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), rows)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("RGB", r"a\.png: this mask is a colour image \(RGB\).*save the indices"),
        ("RGBA", r"this mask is a colour image \(RGBA\)"),
        ("LA", "this mask has pixels of mode LA; expected a palette"),
        ("I;16", "this mask has 16 bits a pixel.*save it as uint8"),
    ],
)
def test_pictures_that_are_no_masks(tmp_path: Path, mode: str, message: str) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        read_mask(tmp_path / "a.png")


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        read_mask(tmp_path / "none.png")
    Image.new("L", (3, 2)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: not an image.*masks are PNGs of class indices"):
        read_mask(tmp_path / "a.jpg")
    write_mask(tmp_path / "b.png", np.random.default_rng(0).integers(0, 250, (40, 40)))
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) - 400])
    with pytest.raises(DataError, match=r"b\.png: the image is truncated"):
        read_mask(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "a.png"),
        ("sub/dir/a.JPEG", "sub/dir/a.png"),
        ("img.v2.jpg", "img.v2.png"),
        ("scan.001", "scan.001.png"),
        ("ü b.tif", "ü b.png"),
        ("plain", "plain.png"),
    ],
)
def test_names_of_masks(name: str, expected: str) -> None:
    assert mask_path(Path("out"), name) == Path("out") / expected


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", "."])
def test_masks_stay_in_their_folder(name: str) -> None:
    with pytest.raises(DataError, match="inside the folder"):
        mask_path(Path("out"), name)


@given(st.text(min_size=1))
def test_a_mask_path_is_inside_or_refused(name: str) -> None:
    try:
        path = mask_path(Path("/out"), name)
    except DataError:
        return
    assert path.is_relative_to("/out")
    assert ".." not in path.parts
    assert path.suffix == ".png"
