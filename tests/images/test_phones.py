"""Images as phones, cameras and downloads leave them."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.images.decode import NO_END, SEVERAL, Note, image_size, read_image
from tests.images.test_decode import blocks, noise, save

HEIC = zlib.decompress(
    base64.b85decode(
        r"c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Ufw49>wIq=N0u(b+a*CjAhJwuG5(YG&l$nzcHpIn&fe{FSfN>#&27+!NR?f`KO9S&jqM|@fDif5K"
        r"QI>27V)7MamgK^f{LL&VDge@VGYgXQfpi&AnKL6ZNN56Bk=zG{KYxGxU|`^9P5|nVaA4$N{Qn=MfElEM8HD6^F*zgxCAFLw8PQ}GC^WK8d-Y`5"
        r"&K(>X1`0qSW)Q)km;_YL=E8We_&_Jn65-_hoT9wsoC=^QF9TZxP)H=RxF8kkGY2TvNX|(Fxy%6Scm)vs|Ns9FK$;0iKLF7{EKrbHkqOes%)!9{"
        r"q$Dy6a$$iC3^&$BCT7+aAbWCdN+Kwb+cg;1b3RaPC|Uad-;0t-7xOorwhsS)Bh6y5)pup{IP3pM+Y{v9zj`9y@%4KN&taK4$3F+nV>}`u)m-nY"
        r"<v!=WPBPc7nR&<WasSnuIro|U%k^2_zO(16FS#pxFXj%9`K9D%xwH9=g&w8NSKF`J{`J50&jVupwmB07&4PbkD2d2krFHe6Y+uA?0Mtm5%K"
    )
)
"""`blocks()` as pillow-heif writes it."""


@pytest.mark.parametrize("suffix", ["heic", "jpg"])
def test_heic(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pi_heif", reason="pi-heif is not installed")
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(HEIC)
    assert image_size(path) == (32, 48)
    assert np.abs(read_image(path).astype(int) - blocks()).max() <= 12
    for length in (20, 200, len(HEIC) - 20):
        path.write_bytes(HEIC[:length])
        with pytest.raises(DataError, match="truncated"):
            read_image(path)


def test_several_images_of_a_phone_in_one_file(tmp_path: Path) -> None:
    first, second = Image.fromarray(blocks()), Image.new("RGB", (16, 8), (0, 0, 255))
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    data = (tmp_path / "a.mpo").read_bytes()
    end = data.index(b"\xff\xd8\xff", 3)
    for name, content in (("a.mpo", data), ("a.jpg", data), ("cut.jpg", data[: end + 40])):
        (tmp_path / name).write_bytes(content)
        assert image_size(tmp_path / name) == (32, 48)
        assert np.abs(read_image(tmp_path / name).astype(int) - blocks()).max() <= 12
    (tmp_path / "a.jpg").write_bytes(data[: end - 100])
    with pytest.raises(DataError, match="truncated"):
        read_image(tmp_path / "a.jpg")


def test_a_padded_download_is_no_image(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", Image.fromarray(noise(60, 80)))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2] + bytes(len(data)))
    with pytest.raises(DataError, match="the file ends before the image does"):
        read_image(whole)
    notes: list[Note] = []
    whole.write_bytes(data[:-2])
    assert read_image(whole, note=notes.append).shape == (60, 80, 3)
    assert [note.kind for note in notes] == [NO_END]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_further_images_of_a_file_are_noted(tmp_path: Path, suffix: str) -> None:
    pages = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    notes: list[Note] = []
    read_image(save(tmp_path / f"one.{suffix}", pages[0]), note=notes.append)
    assert notes == []
    path = save(tmp_path / f"many.{suffix}", pages[0], save_all=True, append_images=pages[1:])
    assert read_image(path, note=notes.append).shape == (5, 7, 3)
    assert [note.kind for note in notes] == [SEVERAL]
    assert str(notes[0]) == f"{path}: only the first of the images in this file is read"
