"""Tags from YOLO's labels of boxes and polygons: one .txt per image, names of the classes in data.yaml.

    images/train/a.jpg, labels/train/a.txt, data.yaml          Ultralytics
    train/images/a.jpg, train/labels/a.txt, data.yaml          Roboflow
    a.jpg, a.txt, classes.txt                                  LabelImg

Each line of a label file is the number of a class and coordinates, which are not read. An empty file says that no
class is present. An image without a label file is one without objects, as YOLO reads it, and their number is noted;
where a whole split has no label file, nothing is known of its images.

Reference: https://docs.ultralytics.com/datasets/detect/.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.beside import Pairing, annotates, files_with_suffix, finished
from tag2mask.data.readers.layout_words import pairing_key, split_of_path
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import RecordError, class_name, without_background
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

_LISTS = frozenset({"classes.txt", "names.txt", "obj.names", "_darknet.labels", "predefined_classes.txt", "labels.txt"})
_OTHERS = frozenset({"train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt"})
_EXPECTED = "expected lines such as `0 0.5 0.5 0.2 0.3`: the number of a class and coordinates"
_LOOKED_AT = 20
_MOST_NUMBER = 100_000
_MOST_BYTES = 1 << 20
"""A larger YAML file is no list of names."""


def label_files(index: FolderIndex) -> list[str]:
    """Names of the .txt files that may be labels of images: no list of classes, no README."""
    return [name for name in files_with_suffix(index, ".txt") if not _is_other(name.rpartition("/")[2])]


def has_yolo_labels(index: FolderIndex, annotations: FolderIndex) -> bool:
    """Whether .txt files beside the images hold YOLO's labels."""
    files = label_files(annotations)
    if not files or not annotates(index, files):
        return False
    keys = {pairing_key(name) for name in index.images()}
    near = [name for name in files if pairing_key(name) in keys] or files
    read = [_is_label(annotations.files[name]) for name in near[:_LOOKED_AT]]
    known = [answer for answer in read if answer is not None]
    return any(known) or (not known and len(near) == len(files) and bool(_files_of_names(annotations)))


def read_yolo_boxes(index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of images with YOLO's label files.

    Args:
        index: the folder of the images.
        annotations: the folder of the label files and of data.yaml, which may be the same.
        classes: the names that count, or None: those that occur. Where there is no list of names, it is the list.

    Raises:
        DataError: there is no list of names, or no label file belongs to an image.
    """
    listing = Listing("yolo", index, problems=refused_files(index), complete=True)
    pairing = Pairing(listing)
    names = _names(index, annotations, classes, listing)
    for file in label_files(annotations):
        try:
            present = _labels(annotations.files[file], file, names)
        except (RecordError, DataError) as error:
            listing.problems.append(Problem("bad annotation", f"{file}: {error}; its image is left out", file))
            pairing.image_of(file)
            continue
        name = pairing.image_of(file)
        if name is not None:
            listing.records.append(
                ImageRecord(name, tags=present, split=split_of_path(name) or split_of_path(file), where=file)
            )
    finished(pairing, "label file", classes, annotations.root)
    _without_labels(listing, pairing)
    return listing


def _without_labels(listing: Listing, pairing: Pairing) -> None:
    """Images without a label file have no object, if others of their split have one."""
    labelled = {split_of_path(name) for name in pairing.paired}
    bare = {name for name in pairing.images if name not in pairing.paired and split_of_path(name) in labelled}
    if not bare:
        return
    listing.records = [
        replace(record, tags=frozenset()) if record.name in bare else record for record in listing.records
    ]
    message = (
        f"{len(bare)} images have no label file, such as {min(bare)}; as YOLO does, they are read as images without "
        "any class. Move them away if nobody has looked at them"
    )
    listing.problems.append(Problem("images without label file", message, level="note"))


def _labels(path: Path, shown_name: str, names: dict[int, str]) -> frozenset[str]:
    present: set[str] = set()
    for number, line in enumerate(read_text(path, "text", _EXPECTED).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        index = _numbers(words)
        if index is None:
            raise RecordError(f"line {number}: {line[:60]!r}; {_EXPECTED}")
        if index not in names:
            raise RecordError(f"line {number}: class {index} is not among the {len(names)} names; add it there")
        present.add(names[index])
    return without_background(present)


def _numbers(words: Sequence[str]) -> int | None:
    """The number of the class of a line of numbers, or None where it is something else."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    first = values[0]
    right = math.isfinite(first) and first >= 0 and first == int(first) and first < _MOST_NUMBER
    return int(first) if right and len(values) != 2 and all(map(math.isfinite, values)) else None


def _is_label(path: Path) -> bool | None:
    """Whether a file holds labels; None where it is empty."""
    try:
        with path.open("rb") as stream:
            text = stream.read(4096).decode("utf-8-sig", "replace")
    except OSError:
        return None
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return None if not lines else len(lines[0]) >= 5 and _numbers(lines[0]) is not None


def _is_other(name: str) -> bool:
    return name.casefold() in _LISTS | _OTHERS or name.casefold().startswith(("readme", "license", "requirements"))


def _files_of_names(index: FolderIndex) -> list[str]:
    """Files that may list the names: YAML first, then lists; those nearest to the root first."""
    yamls = [name for suffix in (".yaml", ".yml") for name in files_with_suffix(index, suffix)]
    yamls = [name for name in yamls if index.files[name].stat().st_size <= _MOST_BYTES]
    lists = [name for name in index.files if name.rpartition("/")[2].casefold() in _LISTS]
    return [*sorted(yamls, key=_depth), *sorted(lists, key=_depth)]


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _names(
    index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None, listing: Listing
) -> dict[int, str]:
    """Names of the classes by their numbers."""
    for folder in {id(one): one for one in (annotations, index)}.values():
        for name in _files_of_names(folder):
            names = _names_of(folder.files[name], name)
            if names:
                return names
    above = [path for folder in (annotations, index) for path in _beside_root(folder.root)]
    for path in above:
        names = _names_of(path, path.name)
        if names:
            message = f"names of the classes are those of {path}, beside the folder"
            listing.problems.append(Problem("names of classes", message, level="note"))
            return names
    if classes is not None:
        message = "no data.yaml or classes.txt: class 0 of the label files is the first of `classes`, and so on"
        listing.problems.append(Problem("names of classes", message, level="note"))
        return dict(enumerate(classes))
    raise DataError(
        f"{annotations.root}: YOLO's label files hold numbers of classes, and no data.yaml or classes.txt names them; "
        "put data.yaml there, or give the names in the order of their numbers as `classes`"
    )


def _beside_root(root: Path) -> list[Path]:
    names = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
    return [path for path in (root.parent / name for name in names) if path.is_file()]


def _names_of(path: Path, shown_name: str) -> dict[int, str]:
    """The names that a YAML file or a list of names gives; empty where it gives none."""
    text = read_text(path, "text", "expected names of classes")
    if path.suffix.casefold() not in {".yaml", ".yml"}:
        lines = [line.strip() for line in text.splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        return {number: class_name_of(line, shown_name) for number, line in enumerate(lines)}
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML ({str(error).splitlines()[0]}); write the file again") from error
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    return {_number(key, shown_name): class_name_of(value, shown_name) for key, value in names.items()}


def _number(key: Any, shown_name: str) -> int:
    if isinstance(key, bool) or not isinstance(key, int | str) or not str(key).strip().isdecimal() or len(str(key)) > 9:
        raise DataError(f"{shown_name}: {str(key)[:40]!r} among `names`; expected the number of a class")
    return int(key)


def class_name_of(value: Any, shown_name: str) -> str:
    """The name of a class in a list of names, which YAML may have read as a number or as true.

    Raises:
        DataError: it cannot be a name.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        what = "yes, no, on or off without quotes" if isinstance(value, bool) else type(value).__name__
        raise DataError(f"{shown_name}: a name of a class is {what}; write a text, in quotes")
    try:
        return class_name(str(value))
    except RecordError as error:
        raise DataError(f"{shown_name}: {error}") from error
