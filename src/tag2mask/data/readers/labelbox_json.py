"""Tags from Labelbox: its export as NDJSON, a data row a line, a list of these, or the older list of labels.

    {"data_row": {"external_id": "a.jpg"}, "projects": {"c1": {"labels": [{"annotations": {
        "objects": [{"name": "cat", "bounding_box": {...}}],
        "classifications": [{"name": "weather", "radio_answer": {"name": "sun"}}]}}]}}}
    [{"External ID": "a.jpg", "Label": {"objects": [{"title": "cat"}], "classifications": [...]}}]

The names of objects are the tags. Answers to questions are tags where no image has an object, or where they are among
the chosen classes. A label without either says that no class is present; a data row without a label was not looked at.
What only some of several labels of an image say is unknown.

Reference: https://docs.labelbox.com/reference/label-export.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import parse_json, shown
from tag2mask.data.readers.label_rows import note
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected a data row of Labelbox a line"


@dataclass(slots=True)
class _Row:
    """An image with the objects and the answers of each of its labels."""

    record: ImageRecord
    labels: list[tuple[frozenset[str], frozenset[str]]]


def read_labelbox(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of an export.

    Args:
        path: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is no such export, or names no image.
    """
    listing = Listing("labelbox", index)
    rows: list[_Row] = []
    for where, entry in _entries(path):
        try:
            if isinstance(entry, ValueError):
                raise RecordError(f"not JSON ({entry}); {_EXPECTED}")
            if not isinstance(entry, dict):
                raise RecordError(f"{shown(entry)} is not an object; expected a data row of Labelbox")
            rows.append(_row(entry, where))
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
    answers = {name for row in rows for _, some in row.labels for name in some}
    objects = any(some for row in rows for some, _ in row.labels)
    read = answers & set(classes or ()) if objects else answers
    if unread := sorted(answers - read):
        text = f"{path.name}: {len(unread)} answers to questions, such as {unread[0]!r}, were not read beside objects"
        listing.problems.append(note("read tags", f"{text}; name them in `classes` if they are classes"))
    for row in rows:
        listing.records.append(_tagged(row, read))
    return check_listing(listing, classes, str(path))


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    text = read_text(path, "JSON", "expected Labelbox's export as NDJSON")
    if text.lstrip().startswith("["):
        try:
            document = parse_json(text)
        except ValueError as error:
            yield path.name, error
            return
        yield from ((f"{path.name}, data row {k}", entry) for k, entry in enumerate(document, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path.name}, line {number}", parse_json(line)
            except ValueError as error:
                yield f"{path.name}, line {number}", error


def _row(entry: dict[str, Any], where: str) -> _Row:
    if "data_row" not in entry:
        return _older(entry, where)
    about = _object(entry, "data_row")
    names = [about.get(key) for key in ("external_id", "row_data", "global_key")]
    name = next((name for name in names if isinstance(name, str) and name.strip()), None)
    if name is None:
        raise RecordError("a data row without `external_id`, `global_key` and `row_data`, which name the image")
    labels = []
    for project in _object(entry, "projects").values():
        for label in _list(project, "labels"):
            said = _object(label, "annotations")
            found = frozenset(class_name(one.get("name")) for one in _dicts(said, "objects"))
            labels.append((found, frozenset(_answers(said, "name"))))
    return _Row(ImageRecord(name, split=_split(entry), where=where), labels)


def _older(entry: dict[str, Any], where: str) -> _Row:
    names = [entry.get(key) for key in ("External ID", "Labeled Data")]
    name = next((name for name in names if isinstance(name, str) and name.strip()), None)
    if name is None:
        raise RecordError(f"no `External ID` among {shown(sorted(map(str, entry))[:6])}; export the project again")
    label = entry.get("Label")
    record = ImageRecord(name, where=where)
    if entry.get("Skipped") is True or not isinstance(label, dict) or not {"objects", "classifications"} & label.keys():
        return _Row(record, [])
    found = frozenset(class_name(one.get("title")) for one in _dicts(label, "objects"))
    return _Row(record, [(found, frozenset(_answers(label, "title")))])


def _answers(said: dict[str, Any], key: str) -> Iterator[str]:
    """The choices among the answers; free text is none."""
    for one in _dicts(said, "classifications"):
        single = (one.get(word) for word in ("radio_answer", "answer"))
        for answer in [
            *(answer for answer in single if isinstance(answer, dict)),
            *_dicts(one, "checklist_answers"),
            *_dicts(one, "answers"),
        ]:
            yield class_name(answer.get(key))


def _tagged(row: _Row, read: set[str]) -> ImageRecord:
    if not row.labels:
        return row.record
    said = [without_background(objects | (answers & read)) for objects, answers in row.labels]
    agreed = frozenset.intersection(*said)
    return row.record.with_tags(agreed, frozenset().union(*said) - agreed)


def _split(entry: dict[str, Any]) -> str | None:
    fields = entry.get("metadata_fields")
    for one in fields if isinstance(fields, list) else ():
        if isinstance(one, dict) and str(one.get("schema_name", "")).casefold() == "split":
            value = one.get("value")
            return split_of_word(value) or value if isinstance(value, str) else None
    return None


def _object(holder: Any, key: str) -> dict[str, Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, dict):
        raise RecordError(f"`{key}` is {shown(value)}; expected an object")
    return value


def _list(holder: Any, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise RecordError(f"`{key}` is {shown(value)}; expected a list")
    return value


def _dicts(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RecordError(f"`{key}` is {shown(value)}; expected a list of objects")
    return value
