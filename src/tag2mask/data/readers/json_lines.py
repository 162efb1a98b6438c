"""Tags from JSON Lines, one image per line.

    {"image": "a.jpg", "tags": ["cat", "dog"]}
    {"image": "b.jpg", "tags": ["cat", "?dog"]}         dog unknown
    {"image": "c.jpg", "tags": []}                      no class is present
    {"image": "d.jpg", "tags": {"cat": 1, "dog": 0}}    every class that is not named is unknown
    {"file_name": "e.jpg", "label": "cat"}              as in Hugging Face's metadata.jsonl

`null` or no tags at all: nothing is known, and the image is left out. A `split` may be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.header_words import IMAGE_COLUMNS, SPLIT_COLUMNS, TAGS_COLUMNS, column_key
from tag2mask.data.readers.json_file import parse_json, shown
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import SPLIT_WORDS, RecordError, check_listing, class_name, without_background
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

METADATA = "metadata.jsonl"
"""Name of such a file in a folder for Hugging Face's `imagefolder`."""

_EXPECTED = 'expected one object per line, such as {"image": "a.jpg", "tags": ["cat", "dog"]}'
_Lines = list[tuple[ImageRecord, frozenset[str] | None]]
"""Records, each with the classes that it names as absent, or None where it lists the classes that are present."""


def read_json_lines(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a file of JSON Lines.

    Args:
        path: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such a file, or names no image.
    """
    listing = Listing("jsonl", index)
    listing.records = _records(_read(path, path.name, listing.problems), classes)
    return check_listing(listing, classes, str(path))


def metadata_files(index: FolderIndex) -> list[str]:
    """Names of the `metadata.jsonl` in a folder and its subfolders."""
    return sorted(name for name in index.files if PurePosixPath(name).name == METADATA)


def read_image_folder(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a folder of Hugging Face's `imagefolder`, whose names are relative to each `metadata.jsonl`.

    The first folder is the split, if it is called train, val, valid, validation or test.

    Raises:
        DataError: there is no such file, or one that cannot be read.
    """
    files = metadata_files(index)
    if not files:
        raise DataError(f"{index.root}: no {METADATA} in this folder; give the file of JSON Lines as `tags`")
    listing = Listing("jsonl", index, problems=refused_files(index))
    lines: _Lines = []
    for name in files:
        parts = PurePosixPath(name).parts[:-1]
        split = parts[0] if parts and parts[0] in SPLIT_WORDS else None
        folder = "".join(f"{part}/" for part in parts)
        lines += _read(index.files[name], name, listing.problems, folder, split)
    listing.records = _records(lines, classes)
    return check_listing(listing, classes, str(index.root))


def _read(path: Path, shown_name: str, problems: list[Problem], folder: str = "", split: str | None = None) -> _Lines:
    lines: _Lines = []
    for number, line in enumerate(read_text(path, "JSON Lines", _EXPECTED).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{shown_name}, line {number}"
        try:
            lines.append(_record(line, where, folder, split))
        except RecordError as error:
            problems.append(Problem("bad row", f"{where}: {error}", shown_name))
    return lines


def _records(lines: _Lines, classes: Sequence[str] | None) -> list[ImageRecord]:
    """The records; where one names classes one by one, those that it leaves out are unknown."""
    named = frozenset(
        classes or {name for one, absent in lines for name in one.present | one.unknown | (absent or set())}
    )
    records: list[ImageRecord] = []
    for record, absent in lines:
        if absent is not None:
            record = replace(record, tags=record.present & named, unknown=named - record.present - absent)
        records.append(record)
    return records


def _record(line: str, where: str, folder: str, split: str | None) -> tuple[ImageRecord, frozenset[str] | None]:
    """A record, and the classes that it names as absent if it names them one by one."""
    try:
        entry = parse_json(line)
    except ValueError as error:
        raise RecordError(f"not JSON ({error}); {_EXPECTED}") from error
    if not isinstance(entry, dict):
        raise RecordError(f"{shown(entry)} is not an object; {_EXPECTED}")
    name = _value(entry, IMAGE_COLUMNS)
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"no image name; {_EXPECTED}" if name is None else f"image {shown(name)}; expected a name")
    part = _value(entry, SPLIT_COLUMNS)
    if part is not None and not isinstance(part, str):
        raise RecordError(f"split {shown(part)}; expected a text such as train")
    tags = _value(entry, TAGS_COLUMNS)
    record = ImageRecord(f"{folder}{name}", split=(part or "").strip() or split, where=where)
    if tags is None:
        return record, None
    if isinstance(tags, dict):
        states = {class_name(key): _state(value, key) for key, value in tags.items()}
        chosen = {state: without_background(key for key in states if states[key] == state) for state in (1, 0)}
        return replace(record, tags=chosen[1]), chosen[0]
    if not isinstance(tags, str | list):
        raise RecordError(f'tags {shown(tags)}; expected the names of classes, such as ["cat", "dog"]')
    words = [tags] if isinstance(tags, str) else tags
    names = [class_name(word) for word in words]
    unknown = frozenset(class_name(name[1:]) for name in names if name.startswith("?"))
    present = without_background(name for name in names if not name.startswith("?"))
    if present & unknown:
        raise RecordError(f"{sorted(present & unknown)} both present and unknown; write one of the two")
    return replace(record, tags=present, unknown=unknown), None


def _state(value: Any, name: str) -> int:
    if value is None or (isinstance(value, int | float) and value in (1, 0, -1)):
        return -1 if value is None else int(value)
    raise RecordError(f"{name!r} is {shown(value)}; expected 1 (present), 0 (absent) or null (unknown)")


def _value(entry: dict[str, Any], keys: frozenset[str]) -> Any:
    """The value under the one of some keys that an object has; the more specific word wins over `name` and `id`."""
    found = [key for key in entry if column_key(key) in keys]
    plain = [key for key in found if column_key(key) not in {"name", "id"}] or found
    if len(plain) > 1:
        raise RecordError(f"{' and '.join(map(repr, plain[:3]))} mean the same; keep one of them")
    return entry[plain[0]] if plain else None
