"""Corrected masks: found by name or in COCO JSON, checked, and assigned to their images."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.images.decode import image_size
from tag2mask.images.folder import FolderIndex, without_suffix
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.masks.formats.coco import CocoMaskError, coco_mask

_EXPECTED = "expected a folder of mask PNGs, or COCO JSON with `images`, `annotations` and `categories`"


def with_corrected(
    records: Sequence[ImageRecord],
    source: Path,
    classes: Sequence[str],
    problems: list[Problem],
    unpack: Path | None = None,
) -> list[ImageRecord]:
    """Assign corrected masks to their images; a class that such a mask shows counts as present.

    Args:
        records: of the dataset.
        source: folder of mask PNGs named like their images, or a COCO JSON file.
        classes: names in the order of their indices.
        problems: masks that cannot be used are added here.
        unpack: folder for the masks of a COCO file.

    Raises:
        DataError: no mask belongs to any image, or the source cannot be read.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; {_EXPECTED}")
    if source.is_file():
        if unpack is None:
            raise DataError(f"{source}: masks inside a file; name a folder to unpack them into as `unpack`")
        found = _from_coco(records, source, classes, problems, unpack)
    else:
        index = FolderIndex(source, follow_links=True)
        found = {without_suffix(name): path for name, path in index.files.items() if name.lower().endswith(".png")}
    known = {unicodedata.normalize("NFC", without_suffix(record.name)) for record in records}
    if not known & set(found):
        raise DataError(f"{source}: no corrected mask is of any image here; e.g. {next(iter(sorted(known)), '?')}.png")
    spare = sorted(set(found) - known)
    if spare:
        message = f"{source}: {len(spare)} masks are of no image here, such as {spare[0]}"
        problems.append(Problem("corrected mask without image", message))
    result = []
    for record in records:
        path = found.get(unicodedata.normalize("NFC", without_suffix(record.name)))
        result.append(record if path is None else _assigned(record, path, classes, problems))
    return result


def _assigned(record: ImageRecord, path: Path, classes: Sequence[str], problems: list[Problem]) -> ImageRecord:
    try:
        mask = read_mask(path)
        if mask.shape != (size := image_size(record.path)):
            raise DataError(
                f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]}, its image {size[1]} x {size[0]}; "
                "export it at the size of the image"
            )
        shows = shown_classes(mask)
        if shows and max(shows) > len(classes):
            raise DataError(f"{path}: class index {max(shows)}, but there are {len(classes)} classes")
    except DataError as error:
        problems.append(Problem("corrected mask not usable", str(error), record.name))
        return record
    names = {classes[index - 1] for index in shows}
    if extra := sorted(names - record.present - record.unknown):
        message = f"{record.name}: its corrected mask shows {', '.join(extra)}, its tags do not; the mask counts"
        problems.append(Problem("tag added from corrected mask", message, record.name, "note"))
    return replace(record, corrected=path, tags=record.present | names, unknown=record.unknown - names)


def shown_classes(mask: NDArray[np.uint8]) -> list[int]:
    """Class indices that occur in a mask, without background and `IGNORE_INDEX`."""
    return [int(index) for index in np.unique(mask) if index not in (0, IGNORE_INDEX)]


def _from_coco(
    records: Sequence[ImageRecord], path: Path, classes: Sequence[str], problems: list[Problem], unpack: Path
) -> dict[str, Path]:
    """The masks of a COCO file as PNGs in a folder named by the file's content."""
    document = read_json(path, _EXPECTED)
    parts = {name: _list(document, name, path) for name in ("images", "annotations", "categories")}
    indices = _indices(parts["categories"], classes, path)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in parts["annotations"]:
        if isinstance(annotation, dict) and _is_id(annotation.get("image_id")):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    wanted = {unicodedata.normalize("NFC", without_suffix(record.name)): record for record in records}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    found: dict[str, Path] = {}
    for image in parts["images"]:
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not _is_id(image.get("id")):
            problems.append(Problem("bad row", f"{path.name}: an image without id and file_name: {shown(image)}"))
            continue
        key = unicodedata.normalize("NFC", without_suffix(name))
        record = wanted.get(key)
        annotations = by_image.get(image["id"], [])
        if record is None:
            found[key] = path  # reported as a mask without an image
        elif not annotations and record.present:
            tags = ", ".join(sorted(record.present))
            message = f"{name}: nothing is annotated in {path.name}, but its tags are {tags}; taken as not corrected"
            problems.append(Problem("corrected mask not usable", message, record.name))
        else:
            try:
                mask = coco_mask(image_size(record.path), annotations, _checked(annotations, indices))
            except CocoMaskError as error:
                problems.append(Problem("corrected mask not usable", f"{path.name}, {name}: {error}", record.name))
                continue
            target = mask_path(unpack / f"corrected-{digest}", record.name)
            write_mask(target, mask)
            found[key] = target
    return found


def _checked(annotations: Sequence[dict[str, Any]], indices: dict[Any, int]) -> dict[Any, int]:
    for annotation in annotations:
        number = annotation.get("category_id")
        if not _is_id(number) or number not in indices:
            raise CocoMaskError(f"category_id {shown(number)} is not one of the classes")
    return indices


def _indices(categories: list[Any], classes: Sequence[str], path: Path) -> dict[Any, int]:
    """Class index of each category id; `background` is 0, other categories are left out."""
    position = {name: index for index, name in enumerate(classes, start=1)} | {"background": 0}
    found = {}
    for category in categories:
        if isinstance(category, dict) and _is_id(category.get("id")) and category.get("name") in position:
            found[category["id"]] = position[category["name"]]
    if not found:
        raise DataError(f"{path}: none of its categories is a class here ({', '.join(classes)}); check the names")
    return found


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _list(document: Any, name: str, path: Path) -> list[Any]:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{path}: no list `{name}`; {_EXPECTED}")
    return value
