"""Corrected masks: found by name or in COCO JSON, checked, and assigned to their images."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.image_masks import MaskOfImage, find_masks, read_all
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.images.decode import image_size
from tag2mask.images.folder import without_suffix
from tag2mask.masks import mask_path, write_label_map, write_mask
from tag2mask.masks.formats.coco import CocoMaskError, coco_mask

_NOTHING = "no corrected mask is of any image here"
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
        problems: masks that cannot be used, and what was guessed, are added here.
        unpack: folder for the masks of a COCO file.

    Raises:
        DataError: no mask belongs to any image, none can be used, all hold 0 and 255 alone, or the source cannot be
            read.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; {_EXPECTED}")
    if source.is_file():
        if unpack is None:
            raise DataError(f"{source}: masks inside a file; name a folder to unpack them into as `unpack`")
        found = _from_coco(records, source, classes, problems, unpack)
        by_name = {record.name: found[base] for record in records if (base := _base(record)) in found}
        spare = sorted(set(found) - {_base(record) for record in records})
    else:
        masks = find_masks(records, source, nothing=_NOTHING)
        problems += [Problem("masks of another tool", note, level="note") for note in masks.notes]
        refused = masks.files.refused.items()
        problems += [Problem("corrected mask not usable", f"{source / name}: {why}") for name, why in refused]
        by_name, spare = masks.paths, sorted(masks.spare)
    if not by_name:
        raise DataError(f"{source}: {_NOTHING}; its images are others")
    if spare:
        message = f"{source}: {len(spare)} masks are of no image here, such as {spare[0]}"
        problems.append(Problem("corrected mask without image", message))
    usable = read_all(records, by_name, classes, source, problems, kind="corrected mask not usable")
    return [
        _assigned(record, usable[record.name], classes, problems) if record.name in usable else record
        for record in records
    ]


def _assigned(record: ImageRecord, mask: MaskOfImage, classes: Sequence[str], problems: list[Problem]) -> ImageRecord:
    names = {classes[index - 1] for index in mask.shows}
    if extra := sorted(names - record.present - record.unknown):
        message = f"{record.name}: its corrected mask shows {', '.join(extra)}, its tags do not; the mask counts"
        problems.append(Problem("tag added from corrected mask", message, record.name, "note"))
    return replace(record, corrected=mask.path, tags=record.present | names, unknown=record.unknown - names)


def _base(record: ImageRecord) -> str:
    return unicodedata.normalize("NFC", without_suffix(record.name))


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
    folder = unpack / f"corrected-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
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
            found[key] = mask_path(folder, record.name)
            write_mask(found[key], mask)
    if folder.is_dir():
        write_label_map(folder, classes)  # so that no label map above it counts
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
        name = category.get("name") if isinstance(category, dict) else None
        if isinstance(name, str) and name in position and _is_id(category.get("id")):
            found[category["id"]] = position[name]
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
