"""What is seen of an image, and that no truncated file passes for a whole one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.record import ImageRecord
from tag2mask.data.checks import images
from tag2mask.data.checks.images import InspectedImage, UnreadableImage, inspect_image, inspect_images
from tag2mask.images.jpeg_end import jpeg_is_whole
from tests.data.checks.generated import clouds

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("jpg", {"format": "JPEG", "quality": 90}),
    "progressive": ("jpg", {"format": "JPEG", "progressive": True}),
    "restarts": ("jpg", {"format": "JPEG", "restart_marker_rows": 1}),
    "png": ("png", {"format": "PNG"}),
    "webp": ("webp", {"format": "WEBP"}),
    "lossless webp": ("webp", {"format": "WEBP", "lossless": True}),
    "tiff": ("tif", {"format": "TIFF"}),
    "lzw tiff": ("tif", {"format": "TIFF", "compression": "tiff_lzw"}),
    "bmp": ("bmp", {"format": "BMP"}),
    "ppm": ("ppm", {"format": "PPM"}),
}


def encoded(options: dict[str, Any], size: tuple[int, int] = (60, 80)) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(clouds(1, size)).save(stream, **options)
    return stream.getvalue()


def look(path: Path, data: bytes) -> InspectedImage | UnreadableImage:
    path.write_bytes(data)
    return inspect_image(ImageRecord(path.name, path))


@pytest.mark.parametrize("name", FORMATS)
def test_whole_passes_and_truncated_does_not(name: str, tmp_path: Path) -> None:
    suffix, options = FORMATS[name]
    data = encoded(options)
    whole = look(tmp_path / f"a.{suffix}", data)
    assert isinstance(whole, InspectedImage)
    assert whole.size == (60, 80)
    for share in (0.02, 0.3, 0.6, 0.9, 0.97):
        cut = look(tmp_path / f"a.{suffix}", data[: int(share * len(data))])
        assert isinstance(cut, UnreadableImage), f"{share} of the file passed"
        assert f"a.{suffix}" in cut.reason
    assert isinstance(look(tmp_path / f"a.{suffix}", data[: len(data) // 2]), UnreadableImage)


@pytest.mark.parametrize("name", ["baseline", "progressive", "restarts"])
def test_download_padded_with_zeros_is_truncated(name: str, tmp_path: Path) -> None:
    data = encoded(FORMATS[name][1])
    cut = len(data) * 2 // 3
    broken = look(tmp_path / "a.jpg", data[:cut] + bytes(len(data) - cut))
    assert isinstance(broken, UnreadableImage)
    assert broken.truncated


@pytest.mark.parametrize("name", ["baseline", "progressive", "restarts"])
@pytest.mark.parametrize("padding", [0, 3000])
@pytest.mark.parametrize("reduced", [False, True])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_read(
    name: str, padding: int, reduced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reduced:
        monkeypatch.setattr(images, "REDUCED_ABOVE", 1)
    data = encoded(FORMATS[name][1])
    whole = look(tmp_path / "a.jpg", data)
    ended = look(tmp_path / "a.jpg", data[:-2] + bytes(padding))
    assert isinstance(whole, InspectedImage)
    assert isinstance(ended, InspectedImage)
    assert not whole.notes
    [note] = ended.notes
    assert "a.jpg: this JPEG lacks its end marker and nothing else" in note.message
    assert ended.pixel_hash == whole.pixel_hash
    for missing in range(3, 40):
        cut = look(tmp_path / "a.jpg", data[:-missing] + bytes(padding))
        assert isinstance(cut, UnreadableImage), f"{missing} bytes are missing"
        assert "the file ends before the image does" in cut.reason or "truncated" in cut.reason


def test_a_progressive_jpeg_cut_between_scans_is_truncated(tmp_path: Path) -> None:
    data = encoded(FORMATS["progressive"][1])
    scans = [k for k in range(len(data) - 1) if data[k : k + 2] == b"\xff\xda"]
    tables = [max(data.rfind(b"\xff\xc4", 0, k), 0) for k in scans]
    assert len(scans) > 3
    for scan, table in list(zip(scans, tables, strict=True))[1:]:
        for end in (scan, table):
            assert isinstance(look(tmp_path / "a.jpg", data[:end] + bytes(99)), UnreadableImage)


def test_end_of_a_preview_is_not_the_end_of_the_file() -> None:
    preview = encoded(FORMATS["baseline"][1], (20, 30))
    data = encoded(FORMATS["baseline"][1])
    segment = b"\xff\xe1" + (len(preview) + 2).to_bytes(2) + preview
    assert jpeg_is_whole(data[:2] + segment + data[2:])
    assert not jpeg_is_whole(data[:2] + segment + data[2:-2])
    assert jpeg_is_whole(data + b"what a camera appends")


def test_large_jpeg_is_reduced_and_still_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(FORMATS["baseline"][1], (1200, 1600))
    whole = look(tmp_path / "a.jpg", data)
    monkeypatch.setattr(images, "REDUCED_ABOVE", 1_000_000)
    reduced = look(tmp_path / "a.jpg", data)
    assert isinstance(whole, InspectedImage)
    assert isinstance(reduced, InspectedImage)
    assert (whole.reduced, reduced.reduced) == (False, True)
    assert reduced.size == whole.size == (1200, 1600)
    assert int((whole.hash != reduced.hash).sum()) <= 5
    assert isinstance(look(tmp_path / "a.jpg", data[: int(0.97 * len(data))]), UnreadableImage)


def test_turned_by_exif_is_seen_as_displayed(tmp_path: Path) -> None:
    upright = clouds(2)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(upright).save(tmp_path / "upright.png")
    seen, unreadable = inspect_images([ImageRecord(n, tmp_path / n) for n in ("turned.png", "upright.png")])
    assert not unreadable
    turned, plain = seen
    assert (turned.turned, plain.turned) == (True, False)
    assert turned.size == plain.size == (60, 80)
    assert turned.pixel_hash == plain.pixel_hash
    assert turned.file_hash != plain.file_hash
