"""Tags from JSON files that describe one image each and lie beside it: labelme and Supervisely.

    a.jpg, a.json                   labelme:     {"shapes": [{"label": "cat", ...}], "flags": {"blurred": false}}
    img/a.jpg, ann/a.jpg.json       Supervisely: {"objects": [{"classTitle": "cat", ...}], "tags": [{"name": "cat"}]}

Objects in the image name the classes. What is said of the image as a whole (labelme's flags, Supervisely's image tags)
names them where no image has an object, or where the classes were chosen; else it is noted with its number.

References: https://github.com/wkentaro/labelme; https://docs.supervisely.com/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.beside import Pairing, annotates, files_with_suffix, finished
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.json_shape import one_image_tool, shape_of
from tag2mask.data.readers.layout_words import split_of_path, split_of_word
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import RecordError, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected the JSON file of one image"
_LOOKED_AT = 20
_HEAD = 1 << 16
_NO_CLASS = frozenset({"_background_", "__ignore__"})
"""Labels of labelme that are no classes."""

READ = frozenset({"labelme", "supervisely"})


@dataclass(frozen=True, slots=True)
class Said:
    """What one file says: classes of objects, classes of the image as a whole, its split and the image's name."""

    objects: frozenset[str]
    image_tags: frozenset[str] = frozenset()
    split: str | None = None
    filename: str | None = None


def one_image_files(index: FolderIndex, annotations: FolderIndex) -> str | None:
    """The tool whose JSON files describe the images of a folder one by one, or None."""
    files = files_with_suffix(annotations, ".json")
    if not files or not annotates(index, files):
        return None
    tools = [_tool(annotations.files[name]) for name in files[:_LOOKED_AT]]
    return next((tool for tool in tools if tool is not None), None)


def read_one_image_files(
    tool: str, index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None
) -> Listing:
    """Records of images with one JSON file each.

    A file without any object or tag says that no class is present; an image without a file may not have been
    looked at, and is left out.

    Args:
        tool: one of `READ`.
        index: the folder of the images.
        annotations: the folder of the JSON files, which may be the same.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: no file belongs to an image, or names cannot be classes.
    """
    if tool not in READ:
        raise DataError(f"{annotations.root}: JSON files of {tool} are not read; export COCO JSON there")
    listing = Listing(tool, index, problems=refused_files(index), complete=True)
    pairing = Pairing(listing)
    found: list[tuple[ImageRecord, Said]] = []
    others = 0
    for file in files_with_suffix(annotations, ".json"):
        try:
            document = read_json(annotations.files[file], _EXPECTED, hook=_trim)
            if not isinstance(document, dict) or not document.keys() & _MARKS[tool]:
                others += 1
                continue
            said = _labelme(document) if tool == "labelme" else _supervisely(document)
        except (RecordError, DataError) as error:
            listing.problems.append(Problem("bad annotation", f"{file}: {error}; its image is left out", file))
            pairing.image_of(file)
            continue
        name = pairing.image_of(file, said.filename)
        if name is not None:
            split = said.split or split_of_path(name) or split_of_path(file)
            found.append((ImageRecord(name, split=split, where=file), said))
    listing.records.extend(decided(found, classes, listing.problems, _WHOLE[tool]))
    if others:
        message = f"{others} JSON files are not {tool}'s annotation of an image and were not read"
        listing.problems.append(Problem("other files", message, level="note"))
    return finished(pairing, ".json file", classes, annotations.root)


def decided(
    found: Sequence[tuple[ImageRecord, Said]], classes: Sequence[str] | None, problems: list[Problem], whole: str
) -> list[ImageRecord]:
    """Records with their tags: those of objects, or of whole images where there is no object.

    Args:
        found: records without tags, and what their files say.
        classes: the names that count, or None.
        problems: a note is added if the tags of whole images were not read.
        whole: what tags of whole images are called, for the note.
    """
    any_objects = any(said.objects for _, said in found)
    if classes is None and any_objects:
        unread = Counter(name for _, said in found for name in said.image_tags)
        if unread:
            names = ", ".join(f"{name!r} ({number})" for name, number in unread.most_common(5))
            message = (
                f"{whole} are not read where objects name the classes: {names}; to read them too, name all classes "
                "in `classes`"
            )
            problems.append(Problem("not read", message, level="note"))
        return [replace(record, tags=without_background(said.objects)) for record, said in found]
    return [replace(record, tags=without_background(said.objects | said.image_tags)) for record, said in found]


_MARKS = {"labelme": frozenset({"shapes", "imagePath"}), "supervisely": frozenset({"objects"})}
_WHOLE = {"labelme": "flags", "supervisely": "tags of whole images"}


def _trim(value: dict[str, Any]) -> dict[str, Any]:
    """All but coordinates, bitmaps and the image itself."""
    return {key: one for key, one in value.items() if key not in {"imageData", "points", "bitmap", "mask"}}


def _tool(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            text = stream.read(_HEAD).decode("utf-8-sig", "replace").lstrip()
    except OSError:
        return None
    return one_image_tool(shape_of(text)) if text.startswith("{") else None


def _labelme(document: dict[str, Any]) -> Said:
    shapes, flags = document.get("shapes") or [], document.get("flags") or {}
    if not isinstance(shapes, list) or not isinstance(flags, dict):
        raise RecordError(f"shapes {shown(shapes)} and flags {shown(flags)}; expected labelme's list and object")
    labels = {class_name(shape.get("label") if isinstance(shape, dict) else shape) for shape in shapes}
    written = document.get("imagePath")
    return Said(
        frozenset(labels - _NO_CLASS),
        frozenset(class_name(name) for name, value in flags.items() if value is True),
        filename=written if isinstance(written, str) and written.strip() else None,
    )


def _supervisely(document: dict[str, Any]) -> Said:
    objects, tags = document.get("objects") or [], document.get("tags") or []
    if not isinstance(objects, list) or not isinstance(tags, list):
        raise RecordError(f"objects {shown(objects)} and tags {shown(tags)}; expected lists")
    names: set[str] = set()
    split = None
    for tag in tags:
        name, value = (tag.get("name"), tag.get("value")) if isinstance(tag, dict) else (tag, None)
        if value is None and isinstance(name, str) and split_of_word(name) is not None:
            split = split_of_word(name)  # the app marks images for training and validation by tags
        else:
            names.add(class_name(value if isinstance(value, str) and value.strip() else name))
    titles = frozenset(class_name(one.get("classTitle") if isinstance(one, dict) else one) for one in objects)
    return Said(titles, frozenset(names), split)
