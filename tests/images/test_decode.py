from __future__ import annotations

import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from tag2mask.core.errors import DataError
from tag2mask.images.decode import IMAGE_SUFFIXES, image_size, open_image, read_image

LOSSLESS = ("png", "bmp", "tif", "ppm", "webp")


def noise(height: int = 5, width: int = 7, *, channels: int = 3, seed: int = 1) -> NDArray[np.uint8]:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels))
    return values.astype(np.uint8)


def blocks() -> NDArray[np.uint8]:
    """Four blocks of 16 pixels a side, 2 x 3 of them grey in different ways: survives JPEG."""
    values = np.array([[0, 60, 120], [180, 220, 255]], np.uint8)
    return np.kron(values, np.ones((16, 16), np.uint8))[:, :, None].repeat(3, axis=2)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def stored_for(orientation: int, shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a camera stores so that a viewer that follows `orientation` shows `shown`."""
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: np.rot90(shown, 1),
        7: shown[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(shown, -1),
    }[orientation]
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_colour_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    expected = noise()
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(expected), **options)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.flags.owndata
    np.testing.assert_array_equal(image, expected)
    assert image_size(path) == (5, 7)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    shown = blocks()
    image = Image.fromarray(stored_for(orientation, shown))
    exif = Image.Exif()
    exif[274] = orientation
    if suffix == "tif":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[274] = orientation
        path = save(tmp_path / "a.tif", image, tiffinfo=tags)
    else:
        path = save(tmp_path / f"a.{suffix}", image, exif=exif.tobytes())
    assert image_size(path) == (32, 48)
    assert np.abs(read_image(path).astype(int) - shown).max() <= 12


def test_orientation_of_a_png_whose_exif_stands_behind_its_pixels(tmp_path: Path) -> None:
    shown = noise()
    path = save(tmp_path / "a.png", Image.fromarray(stored_for(6, shown)))
    data = path.read_bytes()
    exif = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 274, 3, 1, 6, 0) + b"\0\0\0\0"
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert image_size(path) == (5, 7)
    np.testing.assert_array_equal(read_image(path), shown)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow looks for a resolution there
@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"garbage",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 274, 3, 1, 77, 0),
        b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHII", 274, 4, 1, 6),
    ],
)
def test_damaged_exif_counts_as_upright(tmp_path: Path, exif: bytes) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(blocks()), exif=b"Exif\0\0" + exif)
    assert image_size(path) == (32, 48)
    assert read_image(path).shape == (32, 48, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@given(st.binary(max_size=60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_exif_is_harmless(tmp_path: Path, exif: bytes) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(noise()), exif=b"Exif\0\0" + b"II*\0\x08\0\0\0" + exif)
    assert image_size(path) == read_image(path).shape[:2]


def test_grey_is_repeated(tmp_path: Path) -> None:
    grey = noise(channels=1)[..., 0]
    image = read_image(save(tmp_path / "a.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=-1))


def test_one_bit(tmp_path: Path) -> None:
    bits = noise(channels=1)[..., 0] > 127
    for suffix in ("png", "tif", "bmp", "pbm"):
        image = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(bits)))
        np.testing.assert_array_equal(image, np.stack([bits * 255] * 3, axis=-1))


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [100, 0, 200, 128]]], np.uint8)
    image = read_image(save(tmp_path / "a.png", Image.fromarray(rgba)))
    expected = [[10, 20, 30], [255, 255, 255], [177, 127, 227]]
    assert np.abs(image[0].astype(int) - expected).max() <= 1


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey_alpha = np.array([[[10, 255], [10, 0], [0, 128]]], np.uint8)
    image = read_image(save(tmp_path / "a.png", Image.fromarray(grey_alpha, "LA")))
    assert np.abs(image[0, :, 0].astype(int) - [10, 255, 127]).max() <= 1


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for suffix in ("png", "gif", "bmp", "tif"):
        shown = read_image(save(tmp_path / f"a.{suffix}", image))
        np.testing.assert_array_equal(shown[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff"])
def test_transparent_palette_entry_is_white(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    shown = read_image(save(tmp_path / "a.png", image, transparency=transparency))
    np.testing.assert_array_equal(shown[0], [[255, 0, 0], [255, 255, 255], [0, 0, 255]])


def test_transparent_colour_and_transparent_grey(tmp_path: Path) -> None:
    colour = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    shown = read_image(save(tmp_path / "a.png", colour, transparency=(4, 5, 6)))
    np.testing.assert_array_equal(shown[0], [[1, 2, 3], [255, 255, 255]])
    grey = Image.fromarray(np.array([[1, 4]], np.uint8))
    shown = read_image(save(tmp_path / "b.png", grey, transparency=4))
    np.testing.assert_array_equal(shown[0, :, 0], [1, 255])
    deep = Image.fromarray(np.array([[257, 514]], np.uint16))
    shown = read_image(save(tmp_path / "c.png", deep, transparency=514))
    np.testing.assert_array_equal(shown[0, :, 0], [1, 255])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    rows = [Image.new("CMYK", (16, 16), ink) for ink in ((0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255))]
    expected = ((255, 255, 255), (255, 0, 0), (0, 0, 0))
    for k, (image, colour) in enumerate(zip(rows, expected, strict=True)):
        for suffix in ("jpg", "tif"):
            shown = read_image(save(tmp_path / f"{k}.{suffix}", image))
            assert np.abs(shown.astype(int) - colour).max() <= 6, (suffix, colour)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_from_the_whole_range(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 6 1 65535\n" + values.astype(">u2").tobytes())
    else:
        save(path, Image.fromarray(values))
    shown = read_image(path)
    np.testing.assert_array_equal(shown[0, :, 0], [0, 0, 1, 1, 128, 255])
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])


def tiff(
    path: Path, values: NDArray[Any], *, order: Literal["<", ">"], bits: int, photometric: int, sample: int
) -> Path:
    """A TIFF of one grey strip, written by hand."""
    data = values.astype(values.dtype.newbyteorder(order)).tobytes() if bits != 12 else pack12(values)
    height, width = values.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(data)), (339, 3, sample)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,)))
        directory += struct.pack(order + "HHI", tag, kind, 1) + packed
    path.write_bytes(head + data + directory + b"\0\0\0\0")
    return path


def pack12(values: NDArray[Any]) -> bytes:
    bits = "".join(f"{int(value):012b}" for value in values.ravel())
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


def test_twelve_bits(tmp_path: Path) -> None:
    values = np.array([[0, 16, 2048, 4095]], np.uint16)
    path = tiff(tmp_path / "a.tif", values, order="<", bits=12, photometric=1, sample=1)
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [0, 1, 128, 255])


def test_big_endian_and_inverted_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65535]], np.uint16)
    path = tiff(tmp_path / "a.tif", values, order=">", bits=16, photometric=1, sample=1)
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [0, 1, 255])
    path = tiff(tmp_path / "b.tif", values, order="<", bits=16, photometric=0, sample=1)
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [255, 254, 0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 128.0, 255.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[7, 200]], np.int32), [7, 200]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
        (np.array([[0, 1_000_000]], np.int32), [0, 255]),
        (np.array([[-5.0, -5.0]], np.float32), [0, 0]),
    ],
)
def test_32_bits(tmp_path: Path, values: NDArray[Any], expected: list[int]) -> None:
    shown = read_image(save(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_array_equal(shown[0, :, 0], expected)


def test_first_image_of_an_animation(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 3), (255, 0, 0)), Image.new("RGB", (4, 3), (0, 0, 255))
    for suffix in ("gif", "webp", "png", "tif"):
        options = {"lossless": True} if suffix == "webp" else {}
        path = save(tmp_path / f"a.{suffix}", first, save_all=True, append_images=[second], **options)
        np.testing.assert_array_equal(read_image(path), np.asarray(first))


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="this Pillow cannot write AVIF")
def test_avif(tmp_path: Path) -> None:
    path = save(tmp_path / "a.avif", Image.fromarray(blocks()), quality=95)
    assert image_size(path) == (32, 48)
    assert np.abs(read_image(path).astype(int) - blocks()).max() <= 12


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".mpo", ".heic"} <= IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "ppm", "gif"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_files_are_errors(tmp_path: Path, suffix: str, share: float) -> None:
    whole = save(tmp_path / f"whole.{suffix}", Image.fromarray(noise(60, 80)))
    path = tmp_path / f"cut.{suffix}"
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"cut\..*(truncated|damaged)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "ppm", "gif"])
def test_a_cut_anywhere_is_an_error_or_harmless(tmp_path: Path, suffix: str) -> None:
    options = {"progressive": True} if suffix == "jpg" else {}
    whole = save(tmp_path / f"whole.{suffix}", Image.fromarray(noise(16, 16)), **options)
    expected = read_image(whole)
    data = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for length in range(1, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        try:
            image = read_image(path)
        except DataError as error:
            assert "cut." in str(error)
        else:
            np.testing.assert_array_equal(image, expected, err_msg=f"{length} of {len(data)} bytes")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"hello, this is text", r"not an image.*starts with b'hello, t'.*convert it to JPEG or PNG"),
        (b"<!DOCTYPE html><html>", "a web page: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"HEIC: convert it to JPEG, or pip install"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", r"HEIC: convert it to JPEG, or pip install"),
        (b"\x89PNG\r\n\x1a\n", r"header is truncated, damaged"),
        (b"\xff\xd8\xff\xe0", r"header is truncated, damaged"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str) -> None:
    monkeypatch.setattr("tag2mask.images.decode.heic_plugin", lambda: None)  # as without pi-heif
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=rf"a\.jpg: .*{message}"):
            function(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg: no such file; check"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="this is a folder, an image file was expected"):
        image_size(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        image_size(tmp_path / "nul\0byte.jpg")


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_decompression_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=r"bomb\.png.*30000 x 30000.*110,000,000"):
            function(path)


def test_large_images_pass_without_pillows_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_header(12_000, 9_000))
    assert image_size(path) == (9_000, 12_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for suffix in ("png", "jpg", "bmp", "gif", "ppm"):
        image = save(tmp_path / f"a.{suffix}", Image.fromarray(noise()))
        assert read_image(image).shape == (5, 7, 3)


def test_a_limit_of_pillow_itself_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: object) -> None:
        raise Image.DecompressionBombError("could be a bomb")

    image = save(tmp_path / "a.tif", Image.fromarray(noise()))
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", refuse)
    with pytest.raises(DataError, match=r"a\.tif.*make it smaller, or raise PIL\.Image\.MAX_IMAGE_PIXELS"):
        read_image(image)


def test_pixels_are_not_decoded_for_the_size(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", Image.fromarray(noise(60, 80)))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) - len(data) // 3])
    assert image_size(whole) == (60, 80)


def test_formats_can_be_restricted(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(noise()))
    with pytest.raises(DataError, match="use PNG"), open_image(path, formats=("PNG",), remedy="use PNG"):
        pass


def test_many_threads_agree(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{k}.png", Image.fromarray(noise(40, 50, seed=k))) for k in range(8)]
    expected = [read_image(path) for path in paths]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for image, known in zip(pool.map(read_image, paths), expected, strict=True):
                np.testing.assert_array_equal(image, known)


def test_messages_name_the_whole_path(tmp_path: Path) -> None:
    path = tmp_path / "odd name ü.jpg"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_image(path)
