"""Files of tags that are no text are refused by their name, with the remedy."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import load_dataset
from tests.helpers import write_images


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, b"application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tags.xlsx", archive("xl/workbook.xml"), r"an Excel workbook \(\.xlsx\).* save it as CSV"),
        ("tags.csv", archive("xl/workbook.xml", "[Content_Types].xml"), "an Excel workbook"),
        ("tags.xlsx", b"PK\x03\x04", "an Excel workbook"),
        ("tags.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"an Excel workbook \(\.xls\)"),
        ("tags.ods", archive("mimetype", "content.xml"), r"an OpenDocument spreadsheet \(\.ods\).* save it as CSV"),
        ("export.zip", archive("a.jpg", "sub/tags.csv"), r"a ZIP archive.* unpack it .* such as sub/tags\.csv"),
        ("export.zip", b"PK\x05\x06" + bytes(18), "a ZIP archive, which is not read; unpack it"),
        ("tags.csv.gz", b"\x1f\x8b\x08" + bytes(20), r"a gzip file.*`gunzip`"),
        ("tags.tar", bytes(257) + b"ustar" + bytes(300), "a tar archive"),
        ("tags.pkl", b"\x80\x04\x95" + bytes(20), "a Python pickle, which is not read"),
        ("tags.npy", b"\x93NUMPY\x01\x00", "a NumPy array"),
        ("a.tfrecord", b"\x10\0\0\0\0\0\0\0abc", "a TFRecord file"),
        ("tags.csv", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS.*`git lfs pull`"),
        ("tags.csv", b"\n<!DOCTYPE html><html>", "a web page"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "an image, not a file of tags"),
        ("tags.parquet", b"PAR1xxxx", "a Parquet file; give the folder"),
    ],
)
def test_named_with_the_remedy(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    images = write_images(tmp_path / "images", ["a.png"])
    path = tmp_path / name
    path.write_bytes(content)
    for format in ("auto", "csv"):
        with pytest.raises(DataError, match=message):
            load_dataset(images, path, format=format)
