"""Tags from COCO JSON: a class is present in an image if one of its annotations is there.

    {"images": [{"id": 7, "file_name": "a.jpg"}],
     "annotations": [{"image_id": 7, "category_id": 1}],
     "categories": [{"id": 1, "name": "cat"}]}

The categories of a panoptic annotation stand in its `segments_info`. Boxes and masks are not read. All other
categories are absent, also from an image without any annotation. Where an image has `neg_category_ids`, as in LVIS,
those are absent and the rest is unknown; the rest is unknown too where an annotation of the image cannot be read.

Reference: Lin et al., ECCV 2014, doi 10.1007/978-3-319-10602-1_48; https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tag2mask.core.constants import MAX_CLASSES
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.coco_ids import Id, Ids, identity
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.json_shape import COCO_RESULTS
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected COCO JSON with `images`, `annotations` and `categories`"
_CAPTIONS = (
    "COCO captions, which are sentences and no tags; give the file of instances (such as instances_train2017.json) as "
    "`tags`"
)
_KEPT = frozenset(
    {"images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id", "neg_category_ids"}
    | {"segments_info", "supercategory", "coco_url", "flickr_url", "path", "caption"}
)


@dataclass(slots=True)
class _Present:
    """Names of the categories of each image, by its id as the annotations write it.

    Attributes:
        names: of the annotations that could be read.
        doubtful: images with an annotation whose category could not be read.
    """

    names: dict[Id, set[str]] = field(default_factory=dict)
    doubtful: set[Id] = field(default_factory=set)


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
    if _are_captions(parts["annotations"]):
        raise DataError(f"{path}: {_CAPTIONS}")
    listing = Listing("coco", index, complete=True)
    categories = Ids(_categories(parts["categories"], path))
    present = _present(parts["annotations"], categories, listing, path)
    _add_images(parts["images"], present, categories, listing, path)
    _add_notes(parts["categories"], categories, listing, classes)
    return check_listing(listing, classes, str(path))


def _trim(value: dict[str, Any]) -> dict[str, Any]:
    """What tags need of an object: polygons and run lengths make up nearly all of a file."""
    return {key: value[key] for key in value.keys() & _KEPT}


def _list(document: Any, name: str, path: Path) -> list[Any]:
    value = document.get(name) if isinstance(document, dict) else None
    if isinstance(value, list):
        return value
    if isinstance(document, list) and any(isinstance(one, dict) and "image_id" in one for one in document[:1]):
        raise DataError(f"{path}: no list `{name}`: {COCO_RESULTS}; {_EXPECTED}")
    annotations = document.get("annotations") if isinstance(document, dict) else None
    if name == "categories" and isinstance(annotations, list) and _are_captions(annotations):
        raise DataError(f"{path}: no list `categories`: {_CAPTIONS}")
    raise DataError(f"{path}: no list `{name}`; {_EXPECTED}")


def _are_captions(annotations: list[Any]) -> bool:
    return any(isinstance(one, dict) and "caption" in one and "category_id" not in one for one in annotations[:1])


def _categories(categories: list[Any], path: Path) -> dict[Id, str]:
    names: dict[Id, str] = {}
    for position, category in enumerate(categories):
        try:
            if not isinstance(category, dict):
                raise RecordError(f"{shown(category)} is not an object")
            number = identity(category.get("id"), "id")
            name = class_name(category.get("name"))
        except RecordError as error:
            raise DataError(f"{path}, category {position + 1}: {error}") from error
        if number in names:
            raise DataError(f"{path}: category id {shown(number)} is both {names[number]!r} and {name!r}; keep one")
        names[number] = name
    if not names:
        raise DataError(f"{path}: the list `categories` is empty; {_EXPECTED}")
    return names


def _present(annotations: list[Any], categories: Ids[str], listing: Listing, path: Path) -> _Present:
    """What the annotations say of each image."""
    present = _Present()
    for position, annotation in enumerate(annotations):
        image: Id | None = None
        try:
            if not isinstance(annotation, dict):
                raise RecordError(f"{shown(annotation)} is not an object")
            image = identity(annotation.get("image_id"), "image_id")
            names = present.names.setdefault(image, set())
            for value in _category_ids(annotation):
                name = categories.get(identity(value, "category_id"))
                if name is None:
                    raise RecordError(f"category_id {shown(value)} is not among the categories; add it there")
                names.add(name)
        except RecordError as error:
            message = f"{path.name}, annotation {position + 1}: {error}"
            if image is not None:
                present.doubtful.add(image)
                message += ". Classes that its image does not have otherwise are unknown there"
            listing.problems.append(Problem("bad row", message, path.name))
    return present


def _category_ids(annotation: dict[str, Any]) -> Iterator[Any]:
    """The category of an annotation, or those of the segments of a panoptic one."""
    segments = annotation.get("segments_info")
    if segments is None:
        yield annotation.get("category_id")
        return
    if not isinstance(segments, list):
        raise RecordError(f"segments_info is {shown(segments)}; expected a list")
    for segment in segments:
        yield segment.get("category_id") if isinstance(segment, dict) else None


def _add_images(images: list[Any], present: _Present, categories: Ids[str], listing: Listing, path: Path) -> None:
    ids: dict[Id, int] = {}
    for position, image in enumerate(images):
        where = f"{path.name}, image {position + 1}"
        try:
            if not isinstance(image, dict):
                raise RecordError(f"{shown(image)} is not an object; expected id and file_name")
            ids.setdefault(identity(image.get("id"), "id"), position)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
    known = Ids(ids)
    names: dict[int, set[str]] = {}
    doubtful: set[int] = set()
    missing: list[Id] = []
    for key, some in present.names.items():
        found = known.get(key)
        if found is None:
            missing.append(key)
        else:
            names.setdefault(found, set()).update(some)
            doubtful.update({found} if key in present.doubtful else ())
    _add_records(images, ids, names, doubtful, categories, listing, path)
    if missing:
        message = (
            f"{path.name}: annotations of {len(missing)} images that are not in `images`, such as image_id "
            f"{shown(missing[0])}; export the file again"
        )
        listing.problems.append(Problem("missing image", message, path.name))
    if known.loose or categories.loose:
        message = (
            f'{path.name}: ids are numbers in one list and text in another; `7`, `7.0` and `"7"` are taken as the same'
        )
        listing.problems.append(Problem("ids of two kinds", message, level="note"))


def _add_records(
    images: list[Any],
    ids: dict[Id, int],
    names: dict[int, set[str]],
    doubtful: set[int],
    categories: Ids[str],
    listing: Listing,
    path: Path,
) -> None:
    """A record for each image that has an id; the second image of an id has no tags of its own."""
    everything = without_background(categories.values())
    occurring = without_background(name for some in names.values() for name in some)
    first = set(ids.values())
    for position, image in enumerate(images):
        where = f"{path.name}, image {position + 1}"
        try:
            if not isinstance(image, dict) or not _has_id(image):
                continue  # reported already
            tags = without_background(names.get(position, ()))
            if position not in first:
                raise RecordError(f"id {shown(image['id'])} is that of another image; each image needs its own")
            record = _record(image, where, tags, categories, everything)
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
            continue
        if position in doubtful:
            others = frozenset() if record.unknown else occurring - tags
            record = replace(record, tags=tags or None, unknown=record.unknown | others)
        listing.records.append(record)


def _has_id(image: dict[str, Any]) -> bool:
    try:
        identity(image.get("id"), "id")
    except RecordError:
        return False
    return True


def _record(
    image: dict[str, Any], where: str, tags: frozenset[str], categories: Ids[str], everything: frozenset[str]
) -> ImageRecord:
    name = _file_name(image)
    absent = image.get("neg_category_ids")
    if absent is None:
        return ImageRecord(name, tags=tags, where=where)
    if not isinstance(absent, list):
        raise RecordError(f"neg_category_ids is {shown(absent)}; expected a list of category ids")
    known = {categories.get(key) for key in absent if isinstance(key, int | str)}
    return ImageRecord(name, tags=tags, unknown=everything - tags - known, where=where)


def _file_name(image: dict[str, Any]) -> str:
    """The name of the file; where there is none, the end of the image's address, as in LVIS."""
    name = image.get("file_name")
    if name is None:
        for key in ("path", "coco_url", "flickr_url"):
            value = image.get(key)
            if isinstance(value, str) and value.strip():
                try:
                    return unquote(urlsplit(value).path).rpartition("/")[2] or value
                except ValueError:
                    return value.rpartition("/")[2]
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"file_name is {shown(name)}; expected the name of a file")
    return name


def _add_notes(entries: list[Any], categories: Ids[str], listing: Listing, classes: Sequence[str] | None) -> None:
    """Categories that no annotation has, where they are many or Roboflow's group of all classes."""
    if classes is not None:
        return
    found = listing.names()
    unused = sorted({name for name in categories.values() if name not in found})
    groups = [one["name"] for one in entries if one.get("supercategory") == "none" and one.get("name") in unused]
    if groups and len(unused) == 1:
        message = f"category {groups[0]!r} groups the others, as Roboflow writes it, and has no annotation: no class"
        listing.problems.append(Problem("unused categories", message, level="note"))
    elif found and len(categories.values()) > MAX_CLASSES and unused:
        message = (
            f"{len(found)} of {len(categories.values())} categories have annotations and are the classes; "
            f"{len(unused)} have none, such as {unused[0]!r}"
        )
        listing.problems.append(Problem("unused categories", message, level="note"))
