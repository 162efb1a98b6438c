"""TIFF with bands, 16 bits and floating point: which bands are read, how values become 8 bits, what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config import Config
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.checks.images import InspectedImage, inspect_image
from tag2mask.data.checks.sizes import check_sizes
from tag2mask.images.cache import ImageCache
from tag2mask.images.decode import Note, image_size, read_image
from tag2mask.images.levels import Levels
from tag2mask.images.raster import open_raster
from tag2mask.images.reading import Reading
from tag2mask.images.tiff_header import tiff_header
from tests.helpers import needs_rasterio

tifffile: Any = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'tag2mask[tiff]'")

SIZE = (20, 30)


def ramp(bands: int, dtype: str = "uint16", *, top: float = 1000) -> NDArray[Any]:
    """Bands (B, H, W): a ramp of `top` from left to right, each band 10 times as high as the one before."""
    row = np.linspace(0, top, SIZE[1])
    return np.stack([np.tile(row * 10 ** (band % 2), (SIZE[0], 1)) for band in range(bands)]).astype(dtype)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    tifffile.imwrite(path, values, **options)
    return path


def test_several_bands_of_16_bits_are_scaled_by_percentiles(tmp_path: Path) -> None:
    notes: list[Note] = []
    path = write(tmp_path / "a.tif", ramp(5), photometric="minisblack", planarconfig="separate")
    image = read_image(path, note=notes.append)
    assert image_size(path) == image.shape[:2] == SIZE
    assert image[0, 0].tolist() == [0, 0, 0] and image[0, -1].tolist() == [255, 255, 255]
    assert abs(int(image[0, 15, 0]) - 131) < 3  # halfway, in both although one band is ten times as high
    assert abs(int(image[0, 15, 1]) - 131) < 3
    assert [str(note) for note in notes] == [f"{path}: 2 of 5 bands are left out (4, 5); `data.bands` chooses others"]


def test_chosen_bands_and_range(tmp_path: Path) -> None:
    values = np.stack([np.full(SIZE, value, np.uint8) for value in (10, 20, 30, 40)])
    path = write(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="separate")
    assert read_image(path, reading=Reading(bands=(4, 3, 1)))[0, 0].tolist() == [40, 30, 10]
    assert read_image(path, reading=Reading(bands=(2,)))[0, 0].tolist() == [20, 20, 20]
    with pytest.raises(DataError, match=r"`data\.bands` asks for band 5, but this image has 4 bands, numbers 1 to 4"):
        read_image(path, reading=Reading(bands=(5, 1, 2)))
    grey = write(tmp_path / "b.tif", ramp(1)[0])
    assert read_image(grey)[0, -1, 0] < 5  # as the format says: white is 65535
    assert read_image(grey, reading=Reading(range=(0, 100)))[0, -1, 0] == 255
    Image.fromarray(ramp(1)[0]).save(tmp_path / "c.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "c.png", reading=Reading(range=(1, 99))), read_image(grey, reading=Reading(range=(1, 99)))
    )


def test_bands_of_common_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", reading=Reading(bands=(3, 2, 1))), pixels[:, :, ::-1])
    grey = read_image(tmp_path / "grey.png", reading=Reading(bands=(1,)))
    np.testing.assert_array_equal(grey, pixels[:, :, :1].repeat(3, axis=2))
    with pytest.raises(DataError, match=r"grey\.png: `data\.bands` asks for band 2, but this image has 1 band"):
        read_image(tmp_path / "grey.png", reading=Reading(bands=(2,)))


def test_values_that_fill_little_of_their_range_are_noted(tmp_path: Path) -> None:
    notes: list[Note] = []
    read_image(write(tmp_path / "a.tif", ramp(1)[0]), note=notes.append)
    assert "its values fill 2 % of their range, so the image is nearly black" in str(notes[0])


@pytest.mark.parametrize(("axes", "channels"), [("CYX", 3), ("TZCYX", 2), ("ZYX", 1)])
def test_ome_tiff(tmp_path: Path, axes: str, channels: int) -> None:
    sides = {"T": 2, "Z": 3, "C": channels, "Y": SIZE[0], "X": SIZE[1]}
    values = np.random.default_rng(0).integers(0, 4000, [sides[axis] for axis in axes], dtype=np.uint16)
    path = write(tmp_path / "a.ome.tif", values, metadata={"axes": axes}, ome=True)
    notes: list[Note] = []
    reading = Reading(bands=(channels,), range=(0, 100))
    image = read_image(path, reading=reading, note=notes.append)
    first = values.reshape(-1, *SIZE)[channels - 1].astype(float)
    expected = np.rint((first - first.min()) * 255 / (first.max() - first.min()))
    np.testing.assert_allclose(image[:, :, 1], expected, atol=1)
    said = " ".join(map(str, notes))
    assert ("images in this file" in said) == (axes != "CYX")
    assert ("bands are left out" in said) == (channels > 1)


def test_stacks_of_imagej(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (2, 3, *SIZE), dtype=np.uint8)
    path = write(tmp_path / "a.tif", values, imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_image(path), np.moveaxis(values[0], 0, 2))


def test_no_number_is_the_median_and_said(tmp_path: Path) -> None:
    values = ramp(2, "float32")
    values[:, 0, 0] = np.nan
    path = write(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="separate")
    notes: list[Note] = []
    image = read_image(path, note=notes.append)
    assert abs(int(image[0, 0, 0]) - 128) < 6
    assert "1 of 600 pixels hold no value" in " ".join(map(str, notes))


def test_pixels_that_are_not_numbers_become_the_median(tmp_path: Path) -> None:
    notes: list[Note] = []
    path = write(tmp_path / "a.tif", np.array([[0, np.nan, 0.5, 1]], np.float32))
    assert read_image(path, note=notes.append)[0, :, 0].tolist() == [0, 128, 128, 255]
    assert "1 of 4 pixels hold no value" in str(notes[0])
    path = write(tmp_path / "b.tif", np.array([[np.inf, np.nan]], np.float32))
    with pytest.raises(DataError, match=r"b\.tif: no pixel holds a finite value"):
        read_image(path)


def test_windows_are_parts_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tag2mask.images.levels._SAMPLED", 100)
    monkeypatch.setattr("tag2mask.images.raster._STRIP", 7)
    values = np.random.default_rng(0).gamma(2, 500, (4, *SIZE)).astype(np.float32)
    values[0, 3:5, 3:9] = np.nan
    path = write(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="separate")
    header = tiff_header(path)
    assert header is not None
    with open_raster(path, Reading(), header) as image:
        window, held = image.window(slice(2, 9), slice(5, 25))
        whole, missing = image.whole()
    np.testing.assert_array_equal(window, whole[2:9, 5:25])
    assert missing == 12 and (~held).sum() == 8


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", ramp(4), photometric="minisblack", planarconfig="separate")
    monkeypatch.setattr("tag2mask.core.extras._is_there", lambda name: name not in ("rasterio", "tifffile"))
    with pytest.raises(DataError, match=r"needs tifffile, .* pip install 'tag2mask\[tiff\]'"):
        read_image(path)
    assert image_size(path) == SIZE


@needs_rasterio
def test_both_libraries_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).gamma(2, 500, (4, *SIZE)).astype(np.float32)
    path = write(
        tmp_path / "a.tif", values, photometric="minisblack", planarconfig="separate",
        extratags=[(42113, 2, 0, "7", True)],
    )  # fmt: skip
    values[0, 0, :5] = 7
    write(path, values, photometric="minisblack", planarconfig="separate", extratags=[(42113, 2, 0, "7", True)])
    found = []
    for hidden in ("rasterio", "tifffile"):
        monkeypatch.setattr("tag2mask.core.extras._is_there", lambda name, hidden=hidden: name != hidden)
        notes: list[Note] = []
        found.append((read_image(path, reading=Reading(bands=(1, 3, 4)), note=notes.append), list(map(str, notes))))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert "5 of 600 pixels hold no value" in " ".join(found[0][1])


def test_the_cache_keeps_bands_apart_and_check_reads_bands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(4, "uint8", top=20), photometric="minisblack", planarconfig="separate")
    first = ImageCache(tmp_path / "kept", 16, Reading(bands=(1,))).read(path)
    second = ImageCache(tmp_path / "kept", 16, Reading(bands=(2,))).read(path)
    assert second.max() > 5 * first.max()
    inspected = inspect_image(ImageRecord("a.tif", path))
    assert isinstance(inspected, InspectedImage) and inspected.size == SIZE
    dark = inspect_image(ImageRecord("b.tif", write(tmp_path / "b.tif", ramp(1)[0])))
    assert isinstance(dark, InspectedImage)
    codes = {finding.code for finding in check_sizes([inspected, dark])}
    assert {"bands-left-out", "nearly-black"} <= codes


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(4), photometric="minisblack", planarconfig="separate")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"a\.tif: .*(truncated|damaged)"):
        read_image(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [({"bands": [1, 2]}, "bands"), ({"bands": [0]}, "bands"), ({"range": [99, 1]}, r"range: 99\.0 is not below 1\.0")],
)
def test_settings(value: dict[str, Any], message: str) -> None:
    assert Config().override({"data.bands": [4, 3, 2], "data.range": [2, 98]}).data.bands == (4, 3, 2)
    with pytest.raises(Exception, match=message):
        Config().override({f"data.{name}": one for name, one in value.items()})


def test_one_bit_a_pixel_is_black_and_white() -> None:
    """Fax files: NumPy has no percentiles of bits."""
    bits = np.array([[True, False, False], [False, False, True]])
    levels = Levels.measured([bits], [None], (1.0, 99.0), "fax.tif")
    np.testing.assert_array_equal(levels.applied([bits], [None])[..., 0], bits * 255)
