"""Tags from Label Studio's exports JSON and JSON-MIN: choices, taxonomies, and the labels of shapes.

    [{"data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"},
      "annotations": [{"result": [{"type": "choices", "value": {"choices": ["cat", "dog"]}}]}]}]

    [{"image": "/data/local-files/?d=a.jpg", "id": 1, "tags": {"choices": ["cat", "dog"]}, "annotator": 1}]

Of each path of a taxonomy the last word is the class. A submitted annotation without a choice says that no class is
present; a task without an annotation, or only with skipped ones, says nothing and is left out. Where several people
annotated an image, a class that all of them chose is present, one that only some chose is unknown. Predictions are not
read.

Target storage has a file for each annotation, {"task": {"data": {...}}, "result": [...]}: a folder of these is read.

Reference: https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.json_shape import shape_of
from tag2mask.data.readers.label_studio_address import Addresses
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex, is_image_name

_EXPECTED = "expected Label Studio's export JSON or JSON-MIN, a list of tasks"
_LOOKED_AT = 5
_HEAD = 1 << 16

_Names = frozenset[str]


@dataclass(slots=True)
class _Found:
    """What was seen on the way.

    Attributes:
        controls: how often each class was chosen, by the name of the control.
        whole: controls for the image as a whole, not for shapes.
        together: how many annotations have classes of several controls.
        unread: results that name no class, by their type.
    """

    controls: dict[str, Counter[str]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    together: int = 0
    unread: Counter[str] = field(default_factory=Counter)


def read_label_studio(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of an export.

    Args:
        path: the file.
        index: the folder of the images. An image is the file whose path there is the longest end of its
            address, with or without what Label Studio does to an uploaded file's name.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such an export.
    """
    document = read_json(path, _EXPECTED)
    one = isinstance(document, dict) and ("task" in document or "data" in document)
    tasks = [document] if one else document
    if not isinstance(tasks, list):
        raise DataError(f"{path}: {shown(tasks)} is not a list; {_EXPECTED}")
    listing = _listing(((f"{path.name}, task {n}", task) for n, task in enumerate(tasks, start=1)), index, classes)
    if isinstance(document, dict) and "task" in document:
        message = f"{path.name} is one annotation of a target storage; give the folder of all of them as `tags`"
        listing.problems.append(Problem("one annotation", message, level="note"))
    return check_listing(listing, classes, str(path))


def storage_files(folder: FolderIndex) -> list[str]:
    """Names of the files of a target storage, whose names have no suffix or .json; empty if it is none."""
    files = [name for name in folder.files if PurePosixPath(name).suffix.lower() in {"", ".json"}]
    for name in files[:_LOOKED_AT]:
        with folder.files[name].open("rb") as stream:
            shape = shape_of(stream.read(_HEAD).decode("utf-8-sig", "replace").lstrip())
        if {"task", "result"} <= shape.keys:
            return sorted(files, key=lambda name: (len(name), name))
    return []


def read_storage(folder: FolderIndex, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a target storage, a folder with a file for each annotation; the rest as `read_label_studio`."""
    tasks: list[tuple[str, Any]] = []
    problems: list[Problem] = []
    for name in storage_files(folder):
        try:
            tasks.append((name, read_json(folder.files[name], _EXPECTED)))
        except DataError as error:
            problems.append(Problem("bad row", str(error), name))
    listing = _listing(tasks, index, classes)
    listing.problems.extend(problems)
    return check_listing(listing, classes, str(folder.root))


def file_of_address(address: str, index: FolderIndex) -> str:
    """Name of the image that Label Studio shows from an address; see `Addresses.file_of`."""
    return Addresses(index).file_of(address)


def _listing(tasks: Iterable[tuple[str, Any]], index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    listing = Listing("label-studio", index, complete=True)
    addresses, found = Addresses(index), _Found()
    opinions: dict[str, tuple[str, list[_Names]]] = {}
    predicted = 0
    for where, task in tasks:
        try:
            if not isinstance(task, dict):
                raise RecordError(f"{shown(task)} is not a task; {_EXPECTED}")
            task = _task_of_storage(task)
            data = task.get("data")
            name = _name(data if isinstance(data, dict) else task, addresses)
            said = _annotations(task, found) if isinstance(data, dict) else [_flat_choices(task, found)]
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", where.split(",")[0]))
        else:
            if not said and task.get("predictions"):
                where += ", with predictions alone, which are not read"
                predicted += 1
            opinions.setdefault(name, (where, []))[1].extend(said)
    for name, (where, sets) in opinions.items():
        record = ImageRecord(name, where=where)
        if sets:
            tags = without_background(frozenset.intersection(*sets))
            record = replace(record, tags=tags, unknown=without_background(frozenset.union(*sets)) - tags)
        listing.records.append(record)
    if predicted and not any(said for _, said in opinions.values()):
        message = (
            f"{predicted} tasks have predictions alone, which are not read; submit them as annotations and export again"
        )
        listing.problems.append(Problem("predictions alone", message))
    _add_notes(listing, found, addresses, classes)
    return listing


def _add_notes(listing: Listing, found: _Found, addresses: Addresses, classes: Sequence[str] | None) -> None:
    mixed = len(found.whole) > 1 or (len(found.controls) > 1 and found.together > 1)
    if mixed and classes is None:
        some = "; ".join(
            f"{control}: {', '.join(name for name, _ in names.most_common(4))}{', ...' if len(names) > 4 else ''}"
            for control, names in found.controls.items()
        )
        message = f"the classes come from {len(found.controls)} controls ({some}); choose some of them with `classes`"
        listing.problems.append(Problem("several controls", message, level="note"))
    if found.unread:
        counted = ", ".join(f"{kind} ({number})" for kind, number in found.unread.most_common())
        message = f"{found.unread.total()} results name no class and were not read: {counted}"
        listing.problems.append(Problem("not read", message, level="note"))
    if addresses.renamed:
        message = (
            f"{len(addresses.renamed)} images have another name in Label Studio, which renames uploaded files, such as "
            f"{min(addresses.renamed)}; they were matched by its rule"
        )
        listing.problems.append(Problem("matched by name", message, level="note"))


def _task_of_storage(task: dict[str, Any]) -> dict[str, Any]:
    """A file of a target storage, an annotation that holds its task, as a task that holds its annotation."""
    inner = task.get("task")
    if not isinstance(inner, dict) or "result" not in task:
        return task
    return {**inner, "annotations": [{key: value for key, value in task.items() if key != "task"}]}


def _name(data: dict[str, Any], addresses: Addresses) -> str:
    """The image of a task: what its data holds under `image`, or else its only address of an image."""
    found = [data["image"]] if isinstance(data.get("image"), str) else []
    if not found:
        found = [value for value in data.values() if isinstance(value, str) and _is_image_address(value)]
    if len(found) != 1:
        what = "several images" if found else "no image"
        raise RecordError(f"{what} among {shown(list(data)[:8])}; name the address of the image `image`")
    return addresses.file_of(found[0])


def _is_image_address(text: str) -> bool:
    end = PurePosixPath(text.split("?d=")[-1].split("?")[0].strip()).name
    return len(text) < 4096 and is_image_name(end)


def _annotations(task: dict[str, Any], found: _Found) -> list[_Names]:
    """What each submitted annotation of a task says is present."""
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:
        return []
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise RecordError(f"annotations {shown(annotations)}; expected a list of objects: export with annotations")
    kept = [one for one in annotations if not one.get("was_cancelled")]
    kept = [one for one in kept if one.get("ground_truth")] or kept
    return [_of_annotation(one, found) for one in kept]


def _of_annotation(annotation: dict[str, Any], found: _Found) -> _Names:
    results = annotation.get("result", [])
    if not isinstance(results, list):
        raise RecordError(f"result {shown(results)}; expected a list")
    names: set[str] = set()
    labelled: set[str] = set()
    controls: set[str] = set()
    bare: list[tuple[str, str]] = []
    for result in results:
        if not isinstance(result, dict):
            continue
        some = _labels(result.get("value"))
        kind, region = str(result.get("type", "unknown"))[:40], str(result.get("id"))
        if some is None:
            bare.append((region, kind))
            continue
        labelled.add(region)
        names.update(some)
        if some:
            controls.add(control := str(result.get("from_name"))[:40])
            found.controls.setdefault(control, Counter()).update(some)
            found.whole.update({control} if kind in {"choices", "taxonomy"} else ())
    found.together += len(controls) > 1
    found.unread.update(kind for region, kind in bare if region not in labelled or region == "None")
    return frozenset(names)


def _labels(value: Any) -> list[str] | None:
    """Names of a value such as {"choices": [...]} or {"x": 1, "rectanglelabels": [...]}; None if it names none."""
    if not isinstance(value, dict):
        return None
    lists = [value[key] for key in value if key == "choices" or key.endswith("labels")]
    names = [name for some in lists if isinstance(some, list) for name in some]
    taxonomy = value.get("taxonomy")
    if isinstance(taxonomy, list):
        lists.append(taxonomy)
        names += _ends(taxonomy)
    return [class_name(name) for name in names] if any(isinstance(some, list) for some in lists) else None


def _ends(taxonomy: list[Any]) -> list[Any]:
    """The last word of each path; a list of words is one path."""
    if taxonomy and all(isinstance(word, str) for word in taxonomy):
        return [taxonomy[-1]]
    return [path[-1] if isinstance(path, list) and path else path for path in taxonomy]


def _flat_choices(task: dict[str, Any], found: _Found) -> _Names:
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
            if isinstance(value, str) and value.strip():
                some = [class_name(value)]
            elif isinstance(value, list):
                some = [class_name(name) for name in _ends([value])]
            else:
                some = _labels(value) or []
                found.unread.update([key[:40]] if _labels(value) is None and value is not None else [])
            names += some
            if some:
                found.controls.setdefault(key[:40], Counter()).update(some)
                found.whole.update({key[:40]} if not isinstance(value, dict) or "choices" in value else ())
    return frozenset(names)
