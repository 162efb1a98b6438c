"""Tags from FiftyOne's exports: image classification, image detection, and samples.json of a whole dataset.

    {"classes": ["cat", "dog"],
     "labels": {"a": 0, "b": [0, 1], "c": [{"label": 1, "bounding_box": [0, 0, 1, 1]}], "d": null}}

    {"samples": [{"filepath": "data/a.jpg", "tags": ["train"],
                  "ground_truth": {"_cls": "Classification", "label": "cat"}}]}

A list that is empty says that no class is present, null that nothing is known. Of samples, the field `ground_truth` is
read, or the only one with labels.

Reference: https://docs.voxel51.com/user_guide/export_datasets.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

_EXPECTED = "expected FiftyOne's labels.json with `classes` and `labels`, or samples.json"
_LISTS = {"Classifications": "classifications", "Detections": "detections", "Polylines": "polylines"}
_ONE = frozenset({"Classification", "Detection", "Polyline"})
_FIELD = "ground_truth"


def read_fiftyone(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of an export.

    Args:
        path: the file.
        index: the folder of the images; their names may lack the suffix.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such an export.
    """
    document = read_json(path, _EXPECTED)
    if not isinstance(document, dict):
        raise DataError(f"{path}: {shown(document)} is not an object; {_EXPECTED}")
    listing = Listing("fiftyone", index, complete=True)
    if isinstance(document.get("samples"), list):
        found = _samples(document["samples"], path, listing.problems)
    else:
        found = _labels(document, path, listing.problems)
    listing.records.extend(found)
    return check_listing(listing, classes, str(path))


def _labels(document: dict[str, Any], path: Path, problems: list[Problem]) -> Iterator[ImageRecord]:
    names, labels = document.get("classes"), document.get("labels")
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(len(names))]
    if not isinstance(labels, dict) or not (names is None or isinstance(names, list)):
        raise DataError(f"{path}: no object `labels` or no list `classes`; {_EXPECTED}")
    for name, value in labels.items():
        where = f"{path.name}, {shown(name)}"
        if value is None:
            yield ImageRecord(name, where=where)
            continue
        try:
            many = value if isinstance(value, list) else [value]
            present = [_class(one, names) for one in many]
        except RecordError as error:
            problems.append(Problem("bad row", f"{where}: {error}", path.name))
        else:
            yield ImageRecord(name, tags=without_background(present), where=where)


def _class(value: Any, names: list[Any] | None) -> str:
    """The class of a label: its number, its name, or an object with one of these as `label`."""
    if isinstance(value, dict):
        value = value.get("label")
    if isinstance(value, str):
        return class_name(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or not names:
        raise RecordError(f"label {shown(value)}; expected the number or name of a class")
    if not 0 <= value < len(names) or value != int(value):
        raise RecordError(f"label {shown(value)} is not among the {len(names)} classes; add it there")
    return class_name(names[int(value)])


def _samples(samples: list[Any], path: Path, problems: list[Problem]) -> Iterator[ImageRecord]:
    known = [sample for sample in samples if isinstance(sample, dict)]
    fields = {key for sample in known for key, value in sample.items() if _kind(value) is not None}
    if len(fields) > 1 and _FIELD not in fields:
        raise DataError(
            f"{path}: several fields with labels ({', '.join(sorted(fields)[:5])}); call the one to read `{_FIELD}`, "
            "or export it alone as labels.json"
        )
    field = _FIELD if _FIELD in fields else next(iter(fields), _FIELD)
    if len(fields) > 1:
        others = ", ".join(sorted(fields - {field})[:5])
        problems.append(Problem("not read", f"{path.name}: fields with labels beside {field}: {others}", level="note"))
    for position, sample in enumerate(samples, start=1):
        where = f"{path.name}, sample {position}"
        name = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(name, str) or not name.strip():
            problems.append(Problem("bad row", f"{where}: no `filepath`; {_EXPECTED}", path.name))
            continue
        marks = sample.get("tags")
        words = [word for word in marks if isinstance(word, str)] if isinstance(marks, list) else []
        split = next((split for word in words if (split := split_of_word(word))), None)
        try:
            tags = _of_field(sample.get(field))
        except RecordError as error:
            problems.append(Problem("bad row", f"{where}: {error}", path.name))
            continue
        yield ImageRecord(name, tags=tags, split=split, where=where)


def _kind(value: Any) -> str | None:
    kind = value.get("_cls") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and (kind in _ONE or kind in _LISTS) else None


def _of_field(value: Any) -> frozenset[str] | None:
    kind = _kind(value)
    if kind is None:
        return None
    many = [value] if kind in _ONE else value.get(_LISTS[kind])
    if not isinstance(many, list):
        raise RecordError(f"{shown(value)}; expected a list `{_LISTS[kind]}`")
    return without_background(_class(one, None) for one in many)
