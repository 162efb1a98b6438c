"""Tags from COCO JSON: a class is present in an image if one of its annotations is there.

    {"images": [{"id": 7, "file_name": "a.jpg"}],
     "annotations": [{"image_id": 7, "category_id": 1}],
     "categories": [{"id": 1, "name": "cat"}]}

Boxes and masks are not read. All other categories are absent, also from an image without any
annotation. Where an image has `neg_category_ids`, as in LVIS, those are absent and the rest is unknown.

Reference: Lin et al., ECCV 2014, doi 10.1007/978-3-319-10602-1_48; https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected COCO JSON with `images`, `annotations` and `categories`"
_KEPT = frozenset(
    {"images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id", "neg_category_ids"}
)


def read_coco(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a COCO file.

    Args:
        path: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those of the categories that occur.

    Raises:
        DataError: the file is not COCO, or its categories make no sense.
    """
    document = read_json(path, _EXPECTED, hook=_trim)
    parts = {name: _list(document, name, path) for name in ("images", "annotations", "categories")}
    names = _categories(parts["categories"], path)
    listing = Listing("coco", index, complete=True)
    present = _present(parts["annotations"], names, listing, path)
    for position, image in enumerate(parts["images"]):
        where = f"{path.name}, image {position + 1}"
        try:
            record = _record(image, where, names, present)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
        else:
            listing.records.append(record)
    if present:
        listing.problems.append(
            Problem(
                "missing image",
                f"{path.name}: annotations of {len(present)} images that are not in `images`, such as image_id "
                f"{shown(next(iter(present)))}; export the file again",
                path.name,
            )
        )
    return check_listing(listing, classes, str(path))


def _trim(value: dict[str, Any]) -> dict[str, Any]:
    """What tags need of an object: polygons and run lengths make up nearly all of a file."""
    return {key: value[key] for key in value.keys() & _KEPT}


def _list(document: Any, name: str, path: Path) -> list[Any]:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{path}: no list `{name}`; {_EXPECTED}")
    return value


def _identity(value: Any, what: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise RecordError(f"{what} is {shown(value)}; expected a number")
    return value


def _categories(categories: list[Any], path: Path) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for position, category in enumerate(categories):
        try:
            if not isinstance(category, dict):
                raise RecordError(f"{shown(category)} is not an object")
            number = _identity(category.get("id"), "id")
            name = class_name(category.get("name"))
        except RecordError as error:
            raise DataError(f"{path}, category {position + 1}: {error}") from error
        if number in names:
            raise DataError(f"{path}: category id {shown(number)} is both {names[number]!r} and {name!r}; keep one")
        names[number] = name
    if not names:
        raise DataError(f"{path}: the list `categories` is empty; {_EXPECTED}")
    return names


def _present(
    annotations: list[Any], names: dict[int | str, str], listing: Listing, path: Path
) -> dict[int | str, set[str]]:
    """Names of the categories of each image, by its id."""
    present: dict[int | str, set[str]] = {}
    for position, annotation in enumerate(annotations):
        try:
            if not isinstance(annotation, dict):
                raise RecordError(f"{shown(annotation)} is not an object")
            number = _identity(annotation.get("category_id"), "category_id")
            if number not in names:
                raise RecordError(f"category_id {shown(number)} is not among the categories; add it there")
            present.setdefault(_identity(annotation.get("image_id"), "image_id"), set()).add(names[number])
        except RecordError as error:
            message = f"{path.name}, annotation {position + 1}: {error}"
            listing.problems.append(Problem("bad row", message, path.name))
    return present


def _record(image: Any, where: str, names: dict[int | str, str], present: dict[int | str, set[str]]) -> ImageRecord:
    """The record of an image, whose entry in `present` is taken out."""
    if not isinstance(image, dict):
        raise RecordError(f"{shown(image)} is not an object; expected id and file_name")
    number = _identity(image.get("id"), "id")
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"file_name is {shown(name)}; expected the name of a file")
    tags = without_background(present.pop(number, ()))
    absent = image.get("neg_category_ids")
    if absent is None:
        return ImageRecord(name, tags=tags, where=where)
    if not isinstance(absent, list):
        raise RecordError(f"neg_category_ids is {shown(absent)}; expected a list of category ids")
    known = tags | {names[key] for key in absent if isinstance(key, int | str) and key in names}
    return ImageRecord(name, tags=tags, unknown=without_background(names.values()) - known, where=where)
