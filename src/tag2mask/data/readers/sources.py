"""Which format a dataset is in, and its reader: one file per format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.pause import garbage_collection_paused
from tag2mask.data.problem import Problem
from tag2mask.data.readers.beside import annotates, covered, files_with_suffix, read_voc_beside, voc_files
from tag2mask.data.readers.class_folders import has_class_folders, read_class_folders, refuse_other_layouts
from tag2mask.data.readers.coco_folders import coco_files, read_coco_folders
from tag2mask.data.readers.coco_json import read_coco
from tag2mask.data.readers.csv_tags import read_csv
from tag2mask.data.readers.cvat_xml import read_cvat
from tag2mask.data.readers.datumaro_json import read_datumaro
from tag2mask.data.readers.fiftyone_json import read_fiftyone
from tag2mask.data.readers.folder_hints import tag_file_hint, unread_folders, unread_tag_files
from tag2mask.data.readers.header_words import IMAGE_COLUMNS, column_key
from tag2mask.data.readers.image_folder import metadata_files, read_image_folder
from tag2mask.data.readers.json_file import parse_json
from tag2mask.data.readers.json_lines import read_json_lines
from tag2mask.data.readers.json_shape import Shape, one_image_tool, refusal_of, shape_of, tool_of
from tag2mask.data.readers.label_studio import read_label_studio, read_storage, storage_files
from tag2mask.data.readers.labelbox_json import read_labelbox
from tag2mask.data.readers.layout_words import LAYOUT_WORDS
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.one_image_json import one_image_files, read_one_image_files
from tag2mask.data.readers.parquet_folder import parquet_files, read_parquet
from tag2mask.data.readers.plain_json import read_plain_json
from tag2mask.data.readers.plugins import Reader, plugins, require_plugin
from tag2mask.data.readers.signatures import refuse_other_files
from tag2mask.data.readers.text import read_bytes
from tag2mask.data.readers.text_beside import has_tag_texts, read_tag_texts
from tag2mask.data.readers.via_json import read_via
from tag2mask.data.readers.voc_devkit import find_devkit, read_voc
from tag2mask.data.readers.vott_json import read_vott
from tag2mask.data.readers.workbook import is_workbook
from tag2mask.data.readers.yolo_boxes import has_yolo_labels, read_yolo_boxes
from tag2mask.data.readers.yolo_folders import has_yolo_folders, read_yolo
from tag2mask.images.folder import FolderIndex, no_image
from tag2mask.masks.class_names import nearest

FILES: dict[str, Reader] = {
    "csv": read_csv,
    "coco": read_coco,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
    "jsonl": read_json_lines,
    "json": read_plain_json,
    "fiftyone": read_fiftyone,
    "vott": read_vott,
    "via": read_via,
    "datumaro": read_datumaro,
    "labelbox": read_labelbox,
}
"""Formats of a file of tags beside a folder of images; `readers.plugins` adds those of other packages."""

FORMATS = ("auto", *FILES, "folders", "yolo", "voc", "labelme", "supervisely", "txt", "parquet", "images")
"""All formats; those that are not in `FILES` are folders, and `jsonl` may be one too."""

_BESIDE = ("voc", "yolo", "labelme", "supervisely", "txt")
"""Formats with one annotation file per image, which may lie in a folder of their own."""

_COCO_KEYS = frozenset({"images", "annotations", "categories", "info", "licenses"})
_ONE_IMAGE = (
    "annotation of one image; give the folder that holds images and annotations as `images`, without `tags`, or the "
    "folder of all annotations as `tags`"
)
_PAIRS = re.compile(r"\[\s*\[\s*\"")
_HEAD = 1 << 20
_LINE = 1 << 16
_FEW = 0.5
"""With annotation files for a smaller share of the images, folders are taken for classes."""


def recognise_file(path: Path) -> str:
    """The format of a file of tags, from how it begins.

    Raises:
        DataError: it cannot be read, holds images itself, or is of a tool whose files are not read.
    """
    head = read_bytes(path, "expected a file of tags, such as tags.csv", most=_HEAD)
    for name, plugin in plugins().items():
        if plugin.recognise(path, head):
            return name
    if is_workbook(path):
        return "csv"
    refuse_other_files(path, head[:1024])
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = head.decode(encoding, "replace").lstrip()
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        raise DataError(
            f"{path}: a YAML file, as YOLO has it; give the folder that holds images and labels as `images`, without "
            "`tags`"
        )
    if text.startswith("<"):
        return "cvat"
    if text.startswith("{") and suffix in {".jsonl", ".ndjson"} and tool_of(shape_of(text[:_LINE])) != "labelbox":
        return "jsonl"
    return _recognise_json(path, text) if text.startswith(("[", "{")) else "csv"


def reader_of(format: str) -> Reader:
    """The reader of a format of a file of tags, ours or another package's."""
    return FILES[format] if format in FILES else plugins()[format].read


def _recognise_json(path: Path, text: str) -> str:
    shape = shape_of(text)
    if (format := tool_of(shape)) is not None:
        return format
    if (tool := one_image_tool(shape)) is not None:
        raise DataError(f"{path}: {tool}'s {_ONE_IMAGE}")
    if (why := refusal_of(shape)) is not None:
        raise DataError(f"{path}: {why}")
    if not shape.array and _is_record(text):
        return "jsonl"
    return _by_default(shape, text)


def _by_default(shape: Shape, text: str) -> str:
    if shape.array:
        return "json" if shape.inner or _PAIRS.match(text) else "label-studio"
    return "json" if shape.keys - _COCO_KEYS else "coco"


@garbage_collection_paused()
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
        require_plugin(format)
    formats = (*FORMATS, *plugins())
    if format not in formats:
        raise DataError(f"format {format!r}: expected one of {', '.join(formats)}{nearest(format, formats)}")
    if tags is not None:
        if tags.is_dir() and format in {"auto", "label-studio", *_BESIDE}:
            return _read_folder_of_tags(FolderIndex(images), tags, classes, format)
        if format != "auto" and format not in FILES and format not in plugins():
            raise DataError(f"format {format!r} takes no table of tags, but {tags} was given; leave one of them out")
        reader = reader_of(recognise_file(tags) if format == "auto" else format)
        return reader(tags, FolderIndex(images), classes)
    if format == "csv":
        raise DataError(f"{images}: format 'csv' needs a table of tags; give its path, such as tags.csv")
    if format in {*FILES, *plugins()} - {"jsonl"}:
        raise DataError(f"{images}: format {format!r} needs a file of tags; give its path as `tags`")
    devkit = find_devkit(images) if format in {"auto", "voc"} else None
    if devkit is not None:
        return read_voc(devkit, classes, split)
    return _read_folder(FolderIndex(images), images, classes, format, require_tags, unpack)


def _read_folder_of_tags(index: FolderIndex, tags: Path, classes: Sequence[str] | None, format: str) -> Listing:
    """Images in one folder and their annotations, a file per image, in another."""
    annotations = FolderIndex(tags)
    if format in {"auto", "label-studio"} and storage_files(annotations):
        return read_storage(annotations, index, classes)
    found = _annotations_beside(index, annotations) if format == "auto" else format
    if found is None or format == "label-studio":
        raise DataError(
            f"{tags}: this is a folder; the file of tags was expected, such as tags.csv, or a folder of annotations "
            "with the names of the images (VOC XML, YOLO .txt, labelme or Supervisely JSON)"
        )
    return _read_beside(found, index, annotations, classes)


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
    beside = _annotations_beside(index, index) if format in {"auto", "yolo"} else None
    if format in {"labelme", "supervisely", "txt"} or (format == "voc" and index.images() and voc_files(index)):
        beside = format
    if format == "voc" and beside is None:
        raise DataError(
            f"{images}: not a VOC devkit; expected the folders JPEGImages and Annotations in it, or an XML file with "
            "the name of each image"
        )
    unread: list[Problem] = []
    if beside is not None and format == "auto" and has_class_folders(index) and _are_classes_without(index, beside):
        unread, beside = [_few_annotations(beside)], None
    if beside is not None and format in {"auto", beside}:
        listing = _read_beside(beside, index, index, classes)
        listing.problems += unread_folders(index) if format == "auto" else []
        return listing
    if format == "auto" and coco_files(index):
        return read_coco_folders(index, classes)
    if format == "yolo" or (format == "auto" and has_yolo_folders(index)):
        listing = read_yolo(index, classes, strict=format == "yolo")
    else:
        if format == "auto" and not has_class_folders(index):
            raise DataError(f"{images}: {_no_tags(index)}")
        if format == "auto":
            refuse_other_layouts(index, classes)
        listing = read_class_folders(index, classes)
    listing.problems += [*unread, *unread_tag_files(index)]
    return listing


def _are_classes_without(index: FolderIndex, beside: str) -> bool:
    """Whether folders look like classes, and annotation files are there for a few of the images alone."""
    suffix = {"voc": ".xml", "yolo": ".txt"}.get(beside, ".json")
    words = {part.casefold() for name in index.files for part in name.split("/")[:-1]}
    return not words & LAYOUT_WORDS and covered(index, files_with_suffix(index, suffix)) < _FEW


def _few_annotations(beside: str) -> Problem:
    message = (
        f"annotation files ({beside}) of less than half of the images were not read, since the folders look like "
        f"classes; `format={beside!r}` reads them instead"
    )
    return Problem("not read", message, level="note")


def _annotations_beside(index: FolderIndex, annotations: FolderIndex) -> str | None:
    """The format of annotation files with the names of the images, or None."""
    files = voc_files(annotations)
    if files and annotates(index, files):
        return "voc"
    tool = one_image_files(index, annotations)
    if tool is not None:
        return tool
    if has_yolo_labels(index, annotations):
        return "yolo"
    return "txt" if has_tag_texts(index, annotations) else None


def _read_beside(format: str, index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None) -> Listing:
    if format == "voc":
        return read_voc_beside(index, annotations, classes)
    if format == "yolo":
        return read_yolo_boxes(index, annotations, classes)
    if format == "txt":
        return read_tag_texts(index, annotations, classes)
    return read_one_image_files(format, index, annotations, classes)


def _is_record(text: str) -> bool:
    """Whether a text begins with a line of JSON Lines: an object that names an image."""
    line = text.split("\n", 1)[0]
    try:
        record = parse_json(line)
    except ValueError:
        return False
    return isinstance(record, dict) and any(column_key(key) in IMAGE_COLUMNS for key in record if key != "images")


def _no_tags(index: FolderIndex) -> str:
    if not index.images():
        return f"{no_image(index)}{tag_file_hint(index)}"
    beside = [name for name in index.images() if "/" not in name]
    if 2 * len(beside) < len(index.images()):
        return (
            f"no tags for these images: {len(beside)} lie beside the folders, such as {beside[0]}; move them away, or "
            f"`format='folders'` leaves them out{tag_file_hint(index)}"
        )
    return (
        "no tags for these images; give a table such as tags.csv (`image,tags`), or sort them into one "
        f"folder per class{tag_file_hint(index)}"
    )
