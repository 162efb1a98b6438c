"""Tags from VIA (VGG Image Annotator), version 2 and older: attributes of an image's regions, and of its file.

    {"a.jpg1234": {"filename": "a.jpg", "size": 1234, "file_attributes": {},
                   "regions": [{"shape_attributes": {}, "region_attributes": {"type": "cat"}}]}}

or the same below `_via_img_metadata` in a project. The value of an attribute is the class: a text, or the names that
are true in {"cat": true, "dog": false}. Of several attributes the one called class, label, type, category, name or
object is read; regions go before attributes of the file. An image without any of these may not have been looked at: it
is left out.

Reference: https://www.robots.ox.ac.uk/~vgg/software/via/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.layout_words import plain_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected VIA's annotations as JSON, or its project"
_CLASS_WORDS = (
    "class",
    "classes",
    "label",
    "labels",
    "type",
    "category",
    "categories",
    "tag",
    "tags",
    "name",
    "object",
)
_FREE = frozenset({"caption", "publicdomain", "imageurl", "url", "comment", "note", "notes"})
"""Attributes that VIA's example project has and that name no class."""

_Values = dict[str, frozenset[str]]


def read_via(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a file of VIA.

    Args:
        path: the file.
        index: the folder of the images.
        classes: the names that count, among the values of all attributes, or None: those of one attribute.

    Raises:
        DataError: the file is not VIA's, or several attributes may name the classes.
    """
    document = read_json(path, _EXPECTED)
    if not isinstance(document, dict):
        raise DataError(f"{path}: {shown(document)} is not an object; {_EXPECTED}")
    images = document.get("_via_img_metadata", document)
    if not isinstance(images, dict):
        raise DataError(f"{path}: _via_img_metadata {shown(images)}; {_EXPECTED}")
    listing = Listing("via", index, complete=True)
    read: list[tuple[ImageRecord, _Values, _Values]] = []
    bare = 0
    for position, (key, value) in enumerate(images.items(), start=1):
        if key.startswith("_via_"):
            continue
        where = f"{path.name}, image {position}"
        try:
            record, regions, of_file, without = _image(value, where)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
        else:
            read.append((record, regions, of_file))
            bare += without
    if bare:
        message = f"{path.name}: {bare} regions have no attribute that names a class; they are not read"
        listing.problems.append(Problem("region without class", message, path.name))
    listing.records.extend(_decided(read, classes, path, listing.problems))
    return check_listing(listing, classes, str(path))


def _image(value: Any, where: str) -> tuple[ImageRecord, _Values, _Values, int]:
    """Record, attributes of all regions, attributes of the file, and the number of regions without any."""
    name = value.get("filename") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"{shown(value)} names no image; {_EXPECTED}")
    regions = value.get("regions") or []
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    if not isinstance(regions, list):
        raise RecordError(f"regions {shown(regions)}; expected a list")
    found: dict[str, set[str]] = {}
    bare = 0
    for region in regions:
        said = _values(region.get("region_attributes") if isinstance(region, dict) else None)
        bare += not said
        for attribute, names in said.items():
            found.setdefault(attribute, set()).update(names)
    merged = {attribute: frozenset(names) for attribute, names in found.items()}
    of_file = {
        key: names for key, names in _values(value.get("file_attributes")).items() if plain_word(key) not in _FREE
    }
    return ImageRecord(name, where=where), merged, of_file, bare


def _values(attributes: Any) -> _Values:
    if not attributes:
        return {}
    if not isinstance(attributes, dict):
        raise RecordError(f"attributes {shown(attributes)}; expected an object")
    found = {key: frozenset(class_name(name) for name in _names(value)) for key, value in attributes.items()}
    return {key: names for key, names in found.items() if names}


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() and value.strip() != "undefined" else []
    if isinstance(value, dict):
        return [name for name, chosen in value.items() if chosen is True or chosen == "true"]
    return []


def _decided(
    read: Sequence[tuple[ImageRecord, _Values, _Values]],
    classes: Sequence[str] | None,
    path: Path,
    problems: list[Problem],
) -> Iterator[ImageRecord]:
    """Records with the values of the attribute that names the classes."""
    in_regions = Counter(key for _, regions, _ in read for key in regions)
    in_files = Counter(key for _, _, of_file in read for key in of_file)
    if classes is not None:
        for record, regions, of_file in read:
            names = frozenset().union(*regions.values(), *of_file.values())
            yield replace(record, tags=without_background(names) if regions or of_file else None)
        return
    attribute = _attribute(in_regions or in_files, path)
    others = [key for key in (*in_regions, *in_files) if key != attribute]
    if others:
        message = (
            f"{path.name}: attribute {attribute!r} names the classes; not read: {', '.join(map(repr, others[:5]))}. "
            "Name all classes in `classes` to look for them in every attribute"
        )
        problems.append(Problem("not read", message, level="note"))
    for record, regions, of_file in read:
        said = (regions if in_regions else of_file).get(attribute)
        yield replace(record, tags=None if said is None else without_background(said))


def _attribute(found: Counter[str], path: Path) -> str:
    """The attribute that names the classes: the only one, or the first that is called like one."""
    if len(found) <= 1:
        return next(iter(found), "")
    by_word = {plain_word(key): key for key in found}
    for word in _CLASS_WORDS:
        if word in by_word:
            return by_word[word]
    raise DataError(
        f"{path}: several attributes may name the classes: {', '.join(sorted(map(repr, found))[:5])}; call one of them "
        "`class`, or name the classes in `classes`"
    )
