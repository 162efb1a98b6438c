"""Files that are no text, known by how they begin, and what to do with them."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tag2mask.core.errors import DataError

_CSV = "in the program that wrote it, save it as CSV (in Excel: Save As, `CSV UTF-8`) and give that file"
_SHEET = "an Excel workbook ({}), which is not read; " + _CSV

_BEGINNINGS = (
    (b"PAR1", "a Parquet file; give the folder that it lies in as `images`, and leave out `tags`"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _SHEET.format(".xls")),
    (b"\x1f\x8b", "a gzip file, which is not read; unpack it (`gunzip`) and give the file of tags in it"),
    (b"BZh", "a bzip2 file, which is not read; unpack it (`bunzip2`) and give the file of tags in it"),
    (b"\xfd7zXZ\0", "an xz file, which is not read; unpack it (`unxz`) and give the file of tags in it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file, which is not read; unpack it (`unzstd`) and give the file of tags in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive, which is not read; unpack it and give the file of tags in it"),
    (b"Rar!", "a RAR archive, which is not read; unpack it and give the file of tags in it"),
    (b"%PDF", "a PDF document, not a file of tags; write a table `image,tags`"),
    (b"SQLite format 3\0", "an SQLite database, which is not read; write its table of tags as CSV"),
    (b"\x93NUMPY", "a NumPy array, which is not read; write a table `image,tags` from it"),
    (b"\x89HDF", "an HDF5 file, which is not read; write a table `image,tags` from it"),
    (b"ARROW1", "an Arrow file, which is not read; write it as Parquet (`to_parquet`) or CSV"),
    (b"FEA1", "a Feather file, which is not read; write it as CSV"),
    (b"MATLAB 5.0", "a MATLAB file, which is not read; write a table `image,tags` from it"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; fetch the file with `git lfs pull`"),
    (b"\xff\xd8\xff", "an image, not a file of tags; give the folder of images as `images` and a table as `tags`"),
    (b"\x89PNG\r\n", "an image, not a file of tags; give the folder of images as `images` and a table as `tags`"),
)
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TAR_AT = 257


def refuse_other_files(path: Path, head: bytes) -> None:
    """Refuse a file that is known not to be text.

    Args:
        path: the file.
        head: its first bytes, at least 512 of them if it has as many.

    Raises:
        DataError: it is a workbook, an archive, an image, ...; the message names what it is, and the remedy.
    """
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        raise DataError(f"{path}: {_archive(path)}")
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            raise DataError(f"{path}: {what}")
    if head[:2] in _PICKLE:
        raise DataError(f"{path}: a Python pickle, which is not read (it can run code); write a table `image,tags`")
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise DataError(f"{path}: a tar archive, which is not read; unpack it and give the file of tags in it")
    if path.suffix.lower() in {".tfrecord", ".tfrecords", ".record"} and b"\0" in head:
        raise DataError(f"{path}: a TFRecord file, which is not read; export the dataset as CSV or COCO JSON")
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError(f"{path}: a web page (perhaps a failed download), not a file of tags; download the file again")


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            kind = archive.read("mimetype")[:80] if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError):
        names, kind = [], b""
    if any(name.startswith("xl/") for name in names) or path.suffix.lower() in {".xlsx", ".xlsm", ".xlsb"}:
        return _SHEET.format(path.suffix.lower() or ".xlsx")
    if b"opendocument" in kind or path.suffix.lower() == ".ods":
        return "an OpenDocument spreadsheet (.ods), which is not read; " + _CSV
    if path.suffix.lower() == ".npz":
        return "NumPy arrays (.npz), which are not read; write a table `image,tags` from them"
    texts = [name for name in names if name.lower().endswith((".csv", ".json", ".jsonl", ".xml", ".tsv", ".txt"))]
    held = ascii(texts[0])[1:-1][:80] if texts else ""
    return "a ZIP archive, which is not read; unpack it and give the file of tags in it" + (
        f", such as {held}" if held else ""
    )
