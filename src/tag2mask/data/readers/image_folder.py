"""A folder of Hugging Face's `imagefolder`: images, and metadata.jsonl or metadata.csv beside them.

    train/metadata.csv, train/a.jpg, test/metadata.csv, test/b.jpg

Names are relative to each file of metadata. The first folder that is called like a split is the split.

Reference: https://huggingface.co/docs/datasets/image_dataset#imagefolder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.data.readers.csv_tags import check_tag_names, list_table
from tag2mask.data.readers.header_words import (
    IMAGE_COLUMNS,
    TAGS_COLUMNS,
    WEAK_MANY_COLUMNS,
    WEAK_ONE_COLUMNS,
    column_key,
)
from tag2mask.data.readers.json_lines import add_rows, read_lines
from tag2mask.data.readers.label_rows import LabelRow
from tag2mask.data.readers.layout_words import split_of_path
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import check_listing
from tag2mask.data.readers.text import read_bytes
from tag2mask.images.folder import FolderIndex

_LINES, _TABLE = "metadata.jsonl", "metadata.csv"
_HEAD = 1 << 16


def metadata_files(index: FolderIndex) -> list[str]:
    """Names of the metadata.jsonl in a folder and its subfolders, or else of the metadata.csv that hold tags."""
    lines = sorted(name for name in index.files if name.rpartition("/")[2] == _LINES)
    return lines or sorted(
        name for name in index.files if name.rpartition("/")[2] == _TABLE and _holds_tags(index, name)
    )


def read_image_folder(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of such a folder.

    Raises:
        DataError: there is no such file, or one that cannot be read.
    """
    files = metadata_files(index)
    if not files:
        raise DataError(f"{index.root}: no {_LINES} in this folder; give the file of JSON Lines as `tags`")
    if files[0].endswith(_TABLE):
        return _read_tables(index, files, classes)
    listing = Listing("jsonl", index, problems=refused_files(index))
    rows: list[LabelRow] = []
    one = False
    for name in files:
        more, single = read_lines(
            index.files[name], name, listing.problems, classes, _folder(name), split_of_path(name)
        )
        rows, one = rows + more, one or single
    add_rows(listing, rows, _LINES, classes, one=one)
    return check_listing(listing, classes, str(index.root))


def _read_tables(index: FolderIndex, files: Sequence[str], classes: Sequence[str] | None) -> Listing:
    listing = Listing("csv", index, problems=refused_files(index))
    tables: list[Listing] = []
    for name in files:
        folder, split = _folder(name), split_of_path(name)
        table, _ = list_table(index.files[name], index, classes)
        table.records = [
            replace(one, name=folder + one.name, split=one.split or split, where=folder + one.where)
            for one in table.records
        ]
        listing.problems += [
            replace(one, message=folder + one.message if one.message.startswith(_TABLE) else one.message)
            for one in table.problems
        ]
        tables.append(table)
    named = frozenset().union(*(table.classes or frozenset() for table in tables))
    for table in tables:
        missing = named - table.classes if table.classes is not None else frozenset()
        listing.records += [replace(one, unknown=one.unknown | missing) for one in table.records]
    if named:
        listing.classes, listing.complete = named, True
    if classes is None:
        check_tag_names(sorted(named or listing.names()), f"{index.root}, {_TABLE}")
    return listing


def _folder(name: str) -> str:
    return name[: len(name) - len(PurePosixPath(name).name)]


def _holds_tags(index: FolderIndex, name: str) -> bool:
    """Whether a metadata.csv has a column of image names and one of tags, or no folder may mean the class instead."""
    head = read_bytes(index.files[name], "expected a table", most=_HEAD).decode("utf-8-sig", "replace")
    keys = {column_key(cell) for cell in re.split(r"[,;\t|]", head.lstrip().split("\n", 1)[0])}
    tags = keys & (TAGS_COLUMNS | WEAK_MANY_COLUMNS | WEAK_ONE_COLUMNS)
    beside = any(_folder(other) == _folder(name) for other in index.images())
    return bool(keys & IMAGE_COLUMNS) and (bool(tags) or beside)
