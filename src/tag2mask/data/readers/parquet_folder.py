"""Tags and images from a folder of Hugging Face `datasets`: Parquet files that hold both.

    data/train-00000-of-00002.parquet, data/train-00001-of-00002.parquet, data/test-00000-of-00001.parquet

Images are read from files everywhere else, so they are unpacked once, unchanged, into a folder that the
caller names: `train-00000-of-00002/000017.jpg` is row 17 of that file. No name from inside a file is
used. A file that is there already is compared, not written again.

Needs pyarrow: pip install 'tag2mask[parquet]'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.label_rows import note
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.parquet_columns import Columns, choose_columns
from tag2mask.data.readers.records import SPLIT_WORDS, RecordError, check_listing
from tag2mask.images.folder import FolderIndex, normalise_name

UNPACKED = ".images"
"""Folder, below what a command writes, that images are unpacked into; hidden, since it holds no masks."""

_SUFFIX = ".parquet"
_ROWS = 16
_BUFFER = 1 << 20
_MOST_BYTES = 512 << 20
"""A single image file that is larger is refused."""

_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def parquet_files(index: FolderIndex) -> list[str]:
    """Names of the Parquet files of a folder and its subfolders, sorted."""
    return sorted(name for name in index.files if name.endswith(_SUFFIX))


def read_parquet(index: FolderIndex, classes: Sequence[str] | None, unpack: Path | None) -> Listing:
    """Records of a folder of Parquet files, whose images are unpacked.

    Args:
        index: the folder.
        classes: the names that count, or None: those that occur.
        unpack: folder for the images; created if there is anything to write.

    Returns:
        Records whose names are relative to `unpack`. The split is the one in the name of a file or its folder.

    Raises:
        DataError: nothing can be read, or `unpack` is None.
        MissingExtraError: pyarrow is not installed.
    """
    files = parquet_files(index)
    if not files:
        raise DataError(f"{index.root}: no .parquet file in this folder; check the path")
    if unpack is None:
        raise DataError(f"{index.root}: images inside Parquet files; name a folder to unpack them into (`unpack`)")
    require("parquet", "reading Parquet files", "pyarrow")
    records: list[ImageRecord] = []
    problems = refused_files(index)
    for name in files:
        records += _read_file(index, name, unpack, problems, classes)
    if not records:
        first = f"; {problems[0].message}" if problems else ""
        raise DataError(f"{index.root}: no image in {len(files)} Parquet files{first}")
    listing = Listing("parquet", FolderIndex(unpack), records, problems, complete=True)
    return check_listing(listing, classes, str(index.root))


def split_of(name: str) -> str | None:
    """The split that a Parquet file belongs to: `data/train-00000-of-00001.parquet`, `test/0000.parquet`."""
    path = PurePosixPath(name)
    words = (path.stem.replace("_", "-").replace(".", "-").split("-")[0], *reversed(path.parts[:-1]))
    return next((word for word in words if word in SPLIT_WORDS), None)


def _read_file(
    index: FolderIndex, name: str, unpack: Path, problems: list[Problem], classes: Sequence[str] | None
) -> Iterator[ImageRecord]:
    import pyarrow.parquet as pq

    path, split = index.files[name], split_of(name)
    folder = name[: -len(_SUFFIX)]
    with (
        _explained(path),
        pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True) as file,
    ):
        columns = choose_columns(path, file, index, classes)
        problems += [note("guessed columns", f"{name}: {text}") for text in columns.notes]
        number = 0
        for batch in file.iter_batches(_ROWS, columns=[columns.image, *columns.tags], use_threads=False):
            cells = zip(*(batch[column].to_pylist() for column in columns.tags), strict=True)
            for image, tags in zip(batch[columns.image], cells, strict=True):
                where = f"{name}, row {number}"
                try:
                    yield _record(index, image.as_py(), tags, columns, unpack, f"{folder}/{number:06d}", where, split)
                except RecordError as error:
                    problems.append(Problem("bad row", f"{where}: {error}", name))
                number += 1


def _record(
    index: FolderIndex,
    image: Any,
    tags: Sequence[Any],
    columns: Columns,
    unpack: Path,
    stem: str,
    where: str,
    split: str | None,
) -> ImageRecord:
    present, unknown = columns.names(tags)
    data = _image_bytes(image, index)
    name = stem + _suffix(data)
    _write_once(unpack / name, data)
    return ImageRecord(name, tags=present, unknown=unknown, split=split, where=where)


def _image_bytes(image: Any, index: FolderIndex) -> bytes:
    """The bytes of an image, or of the file of this folder that it names."""
    data = image.get("bytes") if isinstance(image, dict) else image
    name = image.get("path") if isinstance(image, dict) else None
    if isinstance(data, bytes) and data:
        return data
    if not isinstance(name, str) or not name:
        raise RecordError("no image; remove the row, or write the image's bytes into the file")
    try:
        normalise_name(name)
        path = index.files[index.find(name)]
        if path.stat().st_size > _MOST_BYTES:
            raise RecordError(f"{name} has more than {_MOST_BYTES >> 20} MiB; make it smaller")
        return path.read_bytes()
    except (DataError, OSError) as error:
        raise RecordError(
            f"the image is not in the file, and {error}; or put it in: map `datasets.table.embed_table_storage` over "
            "the dataset before it is written"
        ) from error


def _suffix(data: bytes) -> str:
    for signature, suffix in _SIGNATURES:
        if data.startswith(signature):
            return suffix
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    if data[4:12] == b"ftypavif":
        return ".avif"
    raise RecordError("the image is in no format that can be read; convert it to JPEG or PNG")


def _write_once(path: Path, data: bytes) -> None:
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    except OSError:
        pass  # written again below
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises into an error that names the file."""
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a readable Parquet file ({text}); download or write it again") from error
