"""Tags from Datumaro's JSON, which CVAT exports too.

    {"categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
     "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}], "image": {"path": "a.jpg"}}]}

Labels of an item's annotations are present, the others absent. An item without annotations may not have been looked
at: it is left out.

Reference: https://openvinotoolkit.github.io/datumaro/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected Datumaro's JSON with `categories.label.labels` and `items`"


def read_datumaro(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of such a file; the name of the file is the split if it is that of one (annotations/train.json).

    Args:
        path: the file.
        index: the folder of the images.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not Datumaro's.
    """
    document = read_json(path, _EXPECTED)
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise DataError(f"{path}: no list `items`; {_EXPECTED}")
    names = _names(document.get("categories"), path)
    listing = Listing("datumaro", index, complete=True)
    split = split_of_word(path.stem)
    unread = 0
    for position, item in enumerate(items, start=1):
        where = f"{path.name}, item {position}"
        try:
            record, without = _record(item, where, names, split)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
        else:
            listing.records.append(record)
            unread += without
    if unread:
        message = f"{path.name}: {unread} annotations without a label (captions and the like) were not read"
        listing.problems.append(Problem("not read", message, path.name, "note"))
    return check_listing(listing, classes, str(path))


def _names(categories: Any, path: Path) -> list[str]:
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else None
    if not isinstance(labels, list):
        raise DataError(f"{path}: no list `categories.label.labels`; {_EXPECTED}")
    try:
        return [class_name(one.get("name") if isinstance(one, dict) else one) for one in labels]
    except RecordError as error:
        raise DataError(f"{path}: {error}") from error


def _record(item: Any, where: str, names: Sequence[str], split: str | None) -> tuple[ImageRecord, int]:
    """The record of an item, and how many of its annotations have no label."""
    if not isinstance(item, dict):
        raise RecordError(f"{shown(item)} is not an object; {_EXPECTED}")
    image = item.get("image")
    written = image.get("path") if isinstance(image, dict) else None
    name = written if isinstance(written, str) and written.strip() else item.get("id")
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"neither image.path nor id is a name; {_EXPECTED}")
    annotations = item.get("annotations")
    if not isinstance(annotations, list):
        raise RecordError(f"annotations {shown(annotations)}; expected a list")
    labelled = [one for one in annotations if not isinstance(one, dict) or one.get("label_id") is not None]
    present: set[str] = set()
    for annotation in labelled:
        number = annotation.get("label_id") if isinstance(annotation, dict) else annotation
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(names):
            raise RecordError(f"label_id {shown(number)} is not among the {len(names)} labels; add it there")
        present.add(names[number])
    tags = without_background(present) if labelled else None
    return ImageRecord(name, tags=tags, split=split, where=where), len(annotations) - len(labelled)
