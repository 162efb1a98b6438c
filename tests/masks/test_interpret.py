"""Masks as other tools write them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.masks import voc_colours, write_label_map, write_mask
from tag2mask.masks.interpret import BLACK, DEEP, GREY, VOC, interpret_mask

CLASSES = ("cat", "dog")
MASK: NDArray[np.uint8] = np.array([[0, 1, 2], [2, 0, 0]], np.uint8)
CVAT = np.array([[0, 0, 0], [250, 50, 83], [50, 183, 250]], np.uint8)
LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:50,183,250::\n"


def save(path: Path, pixels: NDArray[np.uint8], mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def with_short_palette(path: Path, mask: NDArray[np.uint8]) -> None:
    """A PNG whose palette has one colour, as some tools write it; Pillow would clip the values."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], 8, 3, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in mask))
    parts = (chunk(b"IHDR", header), chunk(b"PLTE", bytes(3)), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_colours_are_read_by_the_label_map_beside_or_above(tmp_path: Path, levels: int) -> None:
    path = save(tmp_path / "/".join("abc"[:levels]) / "x.png", CVAT[MASK])
    (tmp_path / "labelmap.txt").write_text(LABELS)
    for classes, expected in ((CLASSES, MASK), (("dog", "Cat"), np.array([0, 2, 1])[MASK])):
        mask, way = interpret_mask(path, classes)
        np.testing.assert_array_equal(mask, expected)
        assert way == f"in colour, read by {tmp_path / 'labelmap.txt'}"
    with pytest.raises(DataError, match=r"calls the colour 50,183,250 'dog', which is not a class here.*add it to the"):
        interpret_mask(path, ["cat"])


def test_the_nearest_label_map_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "in" / "x.png", CVAT[MASK])
    (tmp_path / "labelmap.txt").write_text(LABELS.replace("cat:", "horse:"))
    (tmp_path / "in" / "labelmap.txt").write_text(LABELS)
    np.testing.assert_array_equal(interpret_mask(path, CLASSES).mask, MASK)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_label_maps_as_tools_write_them(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "x.png", CVAT[MASK], mode)
    for name, text in (
        ("labelmap.txt", "\ufeff" + LABELS.replace("\n", "\r\n")),
        ("labelmap.txt", LABELS.replace("::", ":part,other:walks,runs")),
        ("labelmap.txt", LABELS.replace("background:0,0,0::\n", "")),
        ("labelmap.txt", LABELS.replace("::", "")),
        ("label_colors.txt", "0 0 0 background\n250 50 83 cat\n50 183 250 dog\n"),
        ("class_dict.csv", "name,r,g,b\ncat,250,50,83\ndog, 50, 183, 250\nunknown,0,0,0\n".replace("unknown", "bg")),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        np.testing.assert_array_equal(interpret_mask(path, CLASSES).mask, MASK)
        (tmp_path / name).unlink()


def test_void_is_ignored(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [250, 50, 83], [224, 224, 192], [9, 9, 9]], np.uint8)
    path = save(tmp_path / "x.png", colours[np.array([[0, 1, 2, 3]])])
    (tmp_path / "labelmap.txt").write_text(LABELS + "void:9,9,9::\n")
    assert interpret_mask(path, CLASSES).mask.tolist() == [[0, 1, 255, 255]]
    assert interpret_mask(path, (*CLASSES, "void")).mask.tolist() == [[0, 1, 255, 3]]


def test_a_label_map_that_does_not_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", CVAT[MASK])
    labels = tmp_path / "labelmap.txt"
    labels.write_text(LABELS.replace("50,183,250", "50,183,251"))
    with pytest.raises(DataError, match=r"x\.png: colour 50,183,250 is not in .*labelmap\.txt; give the label map of"):
        interpret_mask(path, CLASSES)
    labels.write_text(LABELS + "horse:250,50,83::\n")
    with pytest.raises(DataError, match=r"labelmap\.txt: 'cat' and 'horse' have the same colour"):
        interpret_mask(path, CLASSES)
    for text in ("cat\ndog\n", "cat:300,0,0::\n", "\x00\xff", "", f"cat:{'9' * 5000},0,0::\n"):  # something else
        labels.write_text(text)
        with pytest.raises(DataError, match=r"this mask is a colour image \(RGB\).*put labelmap\.txt beside it"):
            interpret_mask(path, CLASSES)


def test_indices_are_translated_where_a_label_map_orders_classes_otherwise(tmp_path: Path) -> None:
    write_mask(tmp_path / "x.png", MASK)
    assert interpret_mask(tmp_path / "x.png", CLASSES).way == ""
    write_label_map(tmp_path, CLASSES)
    assert interpret_mask(tmp_path / "x.png", CLASSES).way == ""
    mask, way = interpret_mask(tmp_path / "x.png", ("dog", "cat"))
    np.testing.assert_array_equal(mask, np.array([0, 2, 1])[MASK])
    assert way == f"of indices, translated by {tmp_path / 'labelmap.txt'}"
    write_mask(tmp_path / "y.png", np.where(MASK == 2, 255, MASK))  # 255 stays what it is
    assert set(np.unique(interpret_mask(tmp_path / "y.png", ("dog", "cat")).mask)) == {0, 2, 255}


def test_indices_whose_palette_is_not_that_of_the_label_map_stay(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text(LABELS)
    write_mask(tmp_path / "voc.png", MASK)
    save(tmp_path / "grey.png", MASK, "L")
    black = Image.fromarray(MASK).convert("P")
    black.putpalette([0] * 768)
    black.save(tmp_path / "black.png")
    with_short_palette(tmp_path / "short.png", MASK)
    for name in ("voc", "grey", "black", "short"):
        mask, way = interpret_mask(tmp_path / f"{name}.png", ("dog", "cat"))
        np.testing.assert_array_equal(mask, MASK)
        assert way == ""


def test_values_named_by_roboflow(tmp_path: Path) -> None:
    save(tmp_path / "x_mask.png", np.array([0, 2, 3], np.uint8)[MASK], "L")
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, bird\n2, dog\n3, cat\n")
    np.testing.assert_array_equal(interpret_mask(tmp_path / "x_mask.png", ("dog", "cat")).mask, MASK)
    with pytest.raises(DataError, match="calls the value 3 'cat', which is not a class here"):
        interpret_mask(tmp_path / "x_mask.png", ["dog"])


def test_colours_without_label_map(tmp_path: Path) -> None:
    voc = voc_colours()
    cases = [
        (voc[MASK], VOC, MASK),
        (voc[np.where(MASK == 2, 255, MASK)], VOC, np.where(MASK == 2, 255, MASK)),
        (np.repeat(MASK[:, :, None], 3, axis=2), GREY, MASK),
        (np.zeros((2, 3, 3), np.uint8), BLACK, MASK * 0),
    ]
    for pixels, way, expected in cases:
        found = interpret_mask(save(tmp_path / "x.png", pixels), CLASSES)
        assert found.way == way
        np.testing.assert_array_equal(found.mask, expected)
    with pytest.raises(DataError, match=r"which class a colour means \(colours 0,128,0; 128,0,0\)"):
        interpret_mask(save(tmp_path / "x.png", voc[MASK]), ["cat"])


def test_pictures_that_are_no_masks(tmp_path: Path) -> None:
    clear = Image.fromarray(np.dstack([CVAT[MASK], np.where(MASK, 255, 0).astype(np.uint8)]), "RGBA")
    clear.save(tmp_path / "clear.png")
    with pytest.raises(DataError, match="transparent pixels .RGBA.*save it without transparency"):
        interpret_mask(tmp_path / "clear.png", CLASSES)
    Image.fromarray(MASK).save(tmp_path / "x.jpg")
    with pytest.raises(DataError, match="JPEG changes values; save the mask as PNG"):
        interpret_mask(tmp_path / "x.jpg", CLASSES)


def test_indices_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(MASK.astype(np.uint16)).save(tmp_path / "x.png")
    assert interpret_mask(tmp_path / "x.png", CLASSES).way == DEEP
    np.testing.assert_array_equal(interpret_mask(tmp_path / "x.png", CLASSES).mask, MASK)
    Image.fromarray(MASK.astype(np.uint16) * 1000).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="has 16 bits a pixel and holds 2000; .* save the indices as uint8"):
        interpret_mask(tmp_path / "x.png", CLASSES)
