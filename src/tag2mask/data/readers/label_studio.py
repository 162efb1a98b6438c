"""Tags from Label Studio's exports JSON and JSON-MIN: choices, and the labels of shapes.

    [{"data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"},
      "annotations": [{"result": [{"type": "choices", "value": {"choices": ["cat", "dog"]}}]}]}]

    [{"image": "/data/local-files/?d=a.jpg", "id": 1, "tags": {"choices": ["cat", "dog"]}, "annotator": 1}]

A submitted annotation without a choice says that no class is present; a task without an annotation, or only
with skipped ones, says nothing and is left out. Where several people annotated an image, a class that all
of them chose is present, one that only some chose is unknown. Predictions are not read.

Reference: https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex, is_image_name

_EXPECTED = "expected Label Studio's export JSON or JSON-MIN, a list of tasks"
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

_Names = frozenset[str]


def read_label_studio(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of an export.

    Args:
        path: the file.
        index: the folder of the images. An image is the file whose path there is the longest end of its
            address, with or without what Label Studio puts before an uploaded file's name.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such an export.
    """
    tasks = read_json(path, _EXPECTED)
    if not isinstance(tasks, list):
        raise DataError(f"{path}: {shown(tasks)} is not a list; {_EXPECTED}")
    listing = Listing("label-studio", index, complete=True)
    opinions: dict[str, tuple[str, list[_Names]]] = {}
    for position, task in enumerate(tasks, start=1):
        where = f"{path.name}, task {position}"
        try:
            if not isinstance(task, dict):
                raise RecordError(f"{shown(task)} is not a task; {_EXPECTED}")
            data = task.get("data")
            name = _name(data if isinstance(data, dict) else task, index)
            found = _annotations(task) if isinstance(data, dict) else [_flat_choices(task)]
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
        else:
            opinions.setdefault(name, (where, []))[1].extend(found)
    for name, (where, sets) in opinions.items():
        record = ImageRecord(name, where=where)
        if sets:
            tags = without_background(frozenset.intersection(*sets))
            record = replace(record, tags=tags, unknown=without_background(frozenset.union(*sets)) - tags)
        listing.records.append(record)
    return check_listing(listing, classes, str(path))


def file_of_address(address: str, index: FolderIndex) -> str:
    """Name of the image that Label Studio shows from an address.

    The longest end of the address's path that is an image of the folder, or else its last part.

    Raises:
        RecordError: the address names no file.
    """
    try:
        parts = urlsplit(address.strip())
        local = parse_qs(parts.query).get("d") if parts.path.rstrip("/").endswith("local-files") else None
    except ValueError as error:
        raise RecordError(f"{shown(address)} is not an address ({error})") from error
    whole = local[0] if local else unquote(parts.path)
    pieces = [piece for piece in whole.replace("\\", "/").split("/") if piece not in {"", "."}]
    if not pieces:
        raise RecordError(f"{shown(address)} names no file")
    if ".." in pieces:
        return whole  # refused where names are looked up
    plain = _UPLOAD.sub("", pieces[-1], count=1)
    for start in range(max(0, len(pieces) - 32), len(pieces)):
        for last in (pieces[-1], plain):
            if (name := "/".join([*pieces[start:-1], last])) in index.files:
                return name
    return plain


def _name(data: dict[str, Any], index: FolderIndex) -> str:
    """The image of a task: what its data holds under `image`, or else its only address of an image."""
    found = [data["image"]] if isinstance(data.get("image"), str) else []
    if not found:
        found = [value for value in data.values() if isinstance(value, str) and _is_image_address(value)]
    if len(found) != 1:
        what = "several images" if found else "no image"
        raise RecordError(f"{what} among {shown(list(data)[:8])}; name the address of the image `image`")
    return file_of_address(found[0], index)


def _is_image_address(text: str) -> bool:
    end = PurePosixPath(text.split("?d=")[-1].split("?")[0].strip()).name
    return len(text) < 4096 and is_image_name(end)


def _annotations(task: dict[str, Any]) -> list[_Names]:
    """What each submitted annotation of a task says is present."""
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:
        return []
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise RecordError(f"annotations {shown(annotations)}; expected a list of objects: export with annotations")
    kept = [one for one in annotations if not one.get("was_cancelled")]
    kept = [one for one in kept if one.get("ground_truth")] or kept
    return [frozenset(name for result in _results(one) for name in _labels(result)) for one in kept]


def _results(annotation: dict[str, Any]) -> list[Any]:
    results = annotation.get("result", [])
    if not isinstance(results, list):
        raise RecordError(f"result {shown(results)}; expected a list")
    return [result.get("value") for result in results if isinstance(result, dict)]


def _labels(value: Any) -> list[str]:
    """Names of a value such as {"choices": [...]} or {"x": 1, "rectanglelabels": [...]}."""
    if not isinstance(value, dict):
        return []
    found = [value[key] for key in value if key == "choices" or key.endswith("labels")]
    names = [name for some in found if isinstance(some, list) for name in some]
    return [class_name(name) for name in names]


def _flat_choices(task: dict[str, Any]) -> _Names:
    """What a task of JSON-MIN says is present.

    Its results stand between the keys `id` and `annotator`; a single choice is a bare text there.
    """
    keys = list(task)
    if "annotator" not in keys:
        raise RecordError(f"neither `data` nor `annotator` among {shown(keys[:8])}; {_EXPECTED}")
    first = keys.index("id") + 1 if "id" in keys else 0
    names: list[str] = []
    for key in keys[first : keys.index("annotator")]:
        values = task[key] if isinstance(task[key], list) else [task[key]]
        for value in values:
            names += [class_name(value)] if isinstance(value, str) and value.strip() else _labels(value)
    return frozenset(names)
