"""Which format a dataset is in, and its reader: one file per format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.readers.class_folders import has_class_folders, read_class_folders
from tag2mask.data.readers.coco_json import read_coco
from tag2mask.data.readers.csv_table import IMAGE_COLUMNS, column_key
from tag2mask.data.readers.csv_tags import read_csv
from tag2mask.data.readers.cvat_xml import read_cvat
from tag2mask.data.readers.json_file import parse_json
from tag2mask.data.readers.json_lines import metadata_files, read_image_folder, read_json_lines
from tag2mask.data.readers.label_studio import read_label_studio
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.parquet_folder import parquet_files, read_parquet
from tag2mask.data.readers.text import read_bytes
from tag2mask.data.readers.voc_devkit import find_devkit, read_voc
from tag2mask.data.readers.yolo_folders import has_yolo_folders, read_yolo
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import nearest

Reader = Callable[[Path, FolderIndex, Sequence[str] | None], Listing]

FILES: dict[str, Reader] = {
    "csv": read_csv,
    "coco": read_coco,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
    "jsonl": read_json_lines,
}
"""Formats of a file of tags beside a folder of images."""

FORMATS = ("auto", *FILES, "folders", "yolo", "voc", "parquet", "images")
"""All formats; those that are not in `FILES` are folders, and `jsonl` may be one too."""

_HEAD = 1 << 20


def recognise_file(path: Path) -> str:
    """The format of a file of tags, from how it begins.

    Raises:
        DataError: it cannot be read, or holds images itself.
    """
    head = read_bytes(path, "expected a file of tags, such as tags.csv", most=_HEAD)
    if head.startswith(b"PAR1"):
        raise DataError(f"{path}: a Parquet file; give the folder that it lies in as `images`, and leave out `tags`")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = head.decode(encoding, "replace").lstrip()
    if text.startswith("<"):
        return "cvat"
    if text.startswith("["):
        return "label-studio"
    if text.startswith("{"):
        return "jsonl" if path.suffix.lower() in {".jsonl", ".ndjson"} or _is_record(text) else "coco"
    return "csv"


def read_source(
    images: Path,
    tags: Path | None,
    classes: Sequence[str] | None,
    format: str,
    *,
    split: str | None = None,
    require_tags: bool = True,
    unpack: Path | None = None,
) -> Listing:
    """The images of a dataset in any format, as its source lists them; arguments as those of `Dataset.load`.

    Raises:
        DataError: the format does not fit what is there, or its reader refuses it.
    """
    if format not in FORMATS:
        raise DataError(f"format {format!r}: expected one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if tags is not None:
        if format != "auto" and format not in FILES:
            raise DataError(f"format {format!r} takes no table of tags, but {tags} was given; leave one of them out")
        reader = FILES[recognise_file(tags) if format == "auto" else format]
        return reader(tags, FolderIndex(images), classes)
    if format == "csv":
        raise DataError(f"{images}: format 'csv' needs a table of tags; give its path, such as tags.csv")
    if format in FILES and format != "jsonl":
        raise DataError(f"{images}: format {format!r} needs a file of tags; give its path as `tags`")
    devkit = find_devkit(images) if format in {"auto", "voc"} else None
    if devkit is not None:
        return read_voc(devkit, classes, split)
    if format == "voc":
        raise DataError(f"{images}: not a VOC devkit; expected the folders JPEGImages and Annotations in it")
    return _read_folder(FolderIndex(images), images, classes, format, require_tags, unpack)


def _read_folder(
    index: FolderIndex,
    images: Path,
    classes: Sequence[str] | None,
    format: str,
    require_tags: bool,
    unpack: Path | None,
) -> Listing:
    if format == "images" or (format == "auto" and not require_tags):
        if require_tags:
            raise DataError(f"{images}: format 'images' has no tags; give a table of tags")
        records = [ImageRecord(name, where=name) for name in index.images()]
        return Listing("images", index, records, refused_files(index))
    if format == "jsonl" or (format == "auto" and metadata_files(index)):
        return read_image_folder(index, classes)
    if format == "parquet" or (format == "auto" and not index.images() and parquet_files(index)):
        return read_parquet(index, classes, unpack)
    if format == "yolo" or (format == "auto" and has_yolo_folders(index)):
        return read_yolo(index, classes)
    if format == "auto" and not has_class_folders(index):
        raise DataError(f"{images}: {_no_tags(images, index)}")
    return read_class_folders(index, classes)


def _is_record(text: str) -> bool:
    """Whether a text begins with a line of JSON Lines: an object that names an image."""
    line = text.split("\n", 1)[0]
    try:
        record = parse_json(line)
    except ValueError:
        return False
    return isinstance(record, dict) and any(column_key(key) in IMAGE_COLUMNS for key in record if key != "images")


def _no_tags(images: Path, index: FolderIndex) -> str:
    if not index.images():
        return "no image in this folder; check the path"
    beside = (images / name for name in ("tags.csv", "../tags.csv", "annotations.xml", "../annotations.xml"))
    table = next((path for path in beside if path.is_file()), None)
    hint = f"; did you mean {table} as `tags`?" if table else ""
    return (
        "no tags for these images; give a table such as tags.csv (`image,tags`), or sort them into one "
        f"folder per class{hint}"
    )
