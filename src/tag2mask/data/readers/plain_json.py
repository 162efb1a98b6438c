"""Tags from JSON that people write themselves, and from tools whose files are as simple.

    {"a.jpg": ["cat", "dog"], "b.jpg": "cat", "c.jpg": {"cat": 1, "dog": 0}, "d.jpg": []}
    {"cat": ["a.jpg", "b.jpg"], "dog": ["a.jpg"]}
    [{"image": "a.jpg", "tags": ["cat", "dog"]}, ...]
    [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {}}]}, ...]     Create ML, BDD100K

Any of these may stand below the names of splits, {"train": ..., "val": ...}. `[]` says that no class is present, `null`
that nothing is known; with {"cat": 1} every class that is not named is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.header_words import IMAGE_COLUMNS, SPLIT_COLUMNS, TAGS_COLUMNS, column_key
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex, is_image_name, without_suffix

_EXPECTED = (
    'expected {"a.jpg": ["cat", "dog"], ...}, a list of {"image": "a.jpg", "tags": ["cat"]}, or a tool\'s export'
)
_OBJECTS = frozenset({"annotations", "annotation", "objects", "regions", "instances", "boxes", "shapes", "detections"})
_NAMES = ("label", "category", "class", "name", "tag", "classname", "categoryname", "classtitle", "title", "labelname")
_IMAGES = IMAGE_COLUMNS | {"imagefilename", "imagename"}
_SEPARATORS = ",;|"


@dataclass(slots=True)
class _Tags:
    """Classes that are present, unknown and, where they are named one by one, absent."""

    present: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    absent: set[str] | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    value: Any
    split: str | None
    where: str


def read_plain_json(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of such a file.

    Args:
        path: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: it is another kind of JSON, or names no image.
    """
    listing = Listing("json", index)
    document = read_json(path, _EXPECTED)
    entries = list(_entries(document, index, None, path, listing.problems))
    read: list[tuple[ImageRecord, _Tags | None]] = []
    for entry in entries:
        try:
            tags = _tags(entry.value)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{entry.where}: {error}", path.name))
            continue
        read.append((ImageRecord(entry.name, split=entry.split, where=entry.where), tags))
    named = frozenset(
        classes or {name for _, tags in read if tags for name in tags.present | tags.unknown | (tags.absent or set())}
    )
    for record, tags in read:
        if tags is not None:
            present = without_background(tags.present)
            unknown = without_background(tags.unknown)
            if tags.absent is not None:
                unknown |= without_background(named) - present - tags.absent
            record = replace(record, tags=present, unknown=unknown - present)
        listing.records.append(record)
    return check_listing(listing, classes, str(path))


def _entries(
    document: Any, index: FolderIndex, split: str | None, path: Path, problems: list[Problem]
) -> Iterator[_Entry]:
    """Images and what is said of each, in one of the forms."""
    if isinstance(document, dict) and document and all(split_of_word(key) for key in document):
        for key, value in document.items():
            yield from _entries(value, index, split_of_word(key), path, problems)
        return
    if isinstance(document, dict):
        lists = [
            value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        names = _images_among(document, index)
        if 2 * len(names) < len(document) and len(lists) == 1:
            document = lists[0]
        else:
            yield from _of_object(document, names, index, split, path)
            return
    if not isinstance(document, list):
        raise DataError(f"{path}: {shown(document)}; {_EXPECTED}")
    for position, value in enumerate(document, start=1):
        where = f"{path.name}, record {position}"
        try:
            yield _of_record(value, split, where)
        except RecordError as error:
            problems.append(Problem("bad row", f"{where}: {error}", path.name))


def _of_object(
    document: dict[str, Any], names: Sequence[str], index: FolderIndex, split: str | None, path: Path
) -> Iterator[_Entry]:
    if names and 2 * len(names) >= len(document):
        for key, value in document.items():
            yield _Entry(key, value, split, f"{path.name}, {shown(key)}")
        return
    listed = {key: value for key, value in document.items() if isinstance(value, list)}
    images = {str(name) for value in listed.values() for name in value if isinstance(name, str)}
    known = _images_among(images, index)
    if not listed or len(listed) < len(document) or 2 * len(known) < len(images) or not known:
        keys = ", ".join(shown(key, 30) for key in list(document)[:6])
        raise DataError(f"{path}: JSON of an unknown kind, with the keys {keys or '(none)'}; {_EXPECTED}")
    of_image: dict[str, list[str]] = {}
    for key, value in listed.items():
        for name in value:
            if isinstance(name, str):
                of_image.setdefault(name, []).append(key)
    for name, tags in of_image.items():
        yield _Entry(name, tags, split, f"{path.name}, {shown(name)}")


def _images_among(names: Any, index: FolderIndex) -> list[str]:
    """Those that are names of images: by their suffix, or because a file has that name without its suffix."""
    stems = {without_suffix(name).rpartition("/")[2] for name in index.images()}
    return [name for name in names if is_image_name(name) or name.rpartition("/")[2] in stems]


def _of_record(value: Any, split: str | None, where: str) -> _Entry:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        return _Entry(value[0], value[1], split, where)
    if not isinstance(value, dict):
        raise RecordError(f"{shown(value)} is not an object; {_EXPECTED}")
    found = [key for key in value if column_key(key) in _IMAGES]
    found = [key for key in found if column_key(key) not in {"name", "id"}] or found
    name = next((value[key] for key in found if isinstance(value[key], str) and value[key].strip()), None)
    if name is None:
        raise RecordError(f"no image name among {shown(list(value)[:8])}; {_EXPECTED}")
    part = next((value[key] for key in value if column_key(key) in SPLIT_COLUMNS), None)
    split = part.strip() or split if isinstance(part, str) else split
    keys = [key for key in value if column_key(key) in TAGS_COLUMNS] or [
        key for key in value if column_key(key) in _OBJECTS
    ]
    if not keys:
        raise RecordError(f"no tags among {shown(list(value)[:8])}; {_EXPECTED}")
    if len(keys) > 1:
        raise RecordError(f"{' and '.join(map(repr, keys[:3]))} mean the same; keep one of them")
    return _Entry(name, value[keys[0]], split, where)


def _tags(value: Any) -> _Tags | None:
    """What a value says of an image; None if nothing."""
    if value is None:
        return None
    if isinstance(value, dict):
        return _states(value)
    if isinstance(value, str):
        words = [value]
        for separator in _SEPARATORS:
            words = [word for part in words for word in part.split(separator)]
        names = [class_name(word) for word in words if word.strip()]
    elif isinstance(value, list):
        names = [class_name(_name_of(one)) for one in value]
    else:
        raise RecordError(f'tags {shown(value)}; expected the names of classes, such as ["cat", "dog"]')
    unknown = {class_name(name[1:]) for name in names if name.startswith("?")}
    present = {name for name in names if not name.startswith("?")}
    if present & unknown:
        raise RecordError(f"{sorted(present & unknown)} both present and unknown; write one of the two")
    return _Tags(present, unknown)


def _states(value: dict[str, Any]) -> _Tags | None:
    if value and all(one is None or (isinstance(one, int | float) and one in (1, 0, -1)) for one in value.values()):
        known = {class_name(key): one for key, one in value.items()}
        present = {name for name, one in known.items() if one == 1}
        return _Tags(present, absent={name for name, one in known.items() if one == 0})
    keys = [key for key in value if column_key(key) in TAGS_COLUMNS] or [
        key for key in value if column_key(key) in _OBJECTS
    ]
    if len(keys) != 1 or isinstance(value[keys[0]], dict):
        raise RecordError(f"tags {shown(value)}; expected names of classes, or 1 (present) and 0 (absent) for each")
    return _tags(value[keys[0]])


def _name_of(one: Any) -> Any:
    """The class of an object: {"label": "cat", "coordinates": {}}."""
    if not isinstance(one, dict):
        return one
    by_key = {column_key(key): value for key, value in one.items()}
    return next((by_key[key] for key in _NAMES if isinstance(by_key.get(key), str)), one)
