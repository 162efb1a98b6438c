"""Tags from a PASCAL VOC devkit: the objects of Annotations/*.xml, splits from ImageSets.

An object marked `difficult` says nothing: a class of which an image holds only difficult objects is
unknown there, as the challenge left them out of its scores. Boxes are not read. The masks of
SegmentationClass are attached as ground truth for evaluation, and only if the classes are VOC's twenty,
whose indices those masks hold.

Reference: Everingham et al., IJCV 2010, doi 10.1007/s11263-009-0275-4.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import ParseError

import defusedxml
import numpy as np
from defusedxml import ElementTree

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import without_background
from tag2mask.images.folder import FolderIndex, without_suffix
from tag2mask.masks.class_names import check_names
from tag2mask.masks.palette_png import read_mask

# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
"""The twenty classes in the order of their indices 1 to 20."""

_MASKS_LOOKED_AT = 8
_AFTER_NAME = re.compile(r"\s+-?[01]$")
"""What a list of one class has after the name: -1, 0 or 1."""

_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})


def find_devkit(folder: Path) -> Path | None:
    """The folder with JPEGImages and Annotations: this one, or VOC20xx or VOCdevkit/VOC20xx below it.

    Raises:
        DataError: there are several.
    """
    candidates = [folder, *sorted(folder.glob("VOC*")), *sorted(folder.glob("VOCdevkit/VOC*"))]
    found = [path for path in candidates if (path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: holds several years ({names}); choose one of these folders")
    return found[0] if found else None


def read_voc(devkit: Path, classes: Sequence[str] | None, split: str | None) -> Listing:
    """Records of a devkit.

    Args:
        devkit: folder with JPEGImages and Annotations.
        classes: the names that count, or None: all that occur; VOC's twenty if its masks hold VOC's indices.
        split: name of a list in ImageSets/Segmentation, or else in ImageSets/Main. None: all
            annotated images, each with the split (train, val, test) whose list names it.

    Raises:
        DataError: there is no such list, or nothing is annotated.
    """
    index = FolderIndex(devkit / "JPEGImages")
    listing = Listing("voc", index, complete=True)
    splits = _splits(devkit, split)
    if split is None:
        annotations = FolderIndex(devkit / "Annotations", follow_links=True)
        annotated = {name[:-4] for name in annotations.files if name.lower().endswith(".xml")}
        names = [*sorted(annotated), *(n for n in map(without_suffix, index.images()) if n not in annotated)]
    else:
        names = list(splits)
    for name in names:
        _add_record(listing, devkit, name, splits.get(name))
    found = listing.names()
    if not found:
        first = f"; {listing.problems[0].message}" if listing.problems else ""
        raise DataError(f"{devkit}: no object in any of {len(names)} annotations; check Annotations/*.xml{first}")
    twenty = found <= set(VOC_CLASSES) and (classes is not None or _masks_are_of_voc(listing.records))
    vocabulary = frozenset(VOC_CLASSES) if twenty else frozenset(found)
    check_names(sorted(vocabulary), f"{devkit / 'Annotations'}")
    listing.classes = vocabulary
    if tuple(classes or sorted(vocabulary)) != VOC_CLASSES:
        _drop_masks(listing)
    return listing


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an XML file says of its image.

    Attributes:
        present: classes with an object.
        unknown: classes with difficult objects alone.
        filename: name of the image as the file gives it, or None.
    """

    present: frozenset[str]
    unknown: frozenset[str]
    filename: str | None


def read_annotation(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the classes with an object, and of those with difficult objects alone.

    Raises:
        DataError: the file is missing or not an annotation.
    """
    found = parse_annotation(path)
    return found.present, found.unknown


def parse_annotation(path: Path) -> Annotation:
    """What an XML file says; `none` and `background` are no classes.

    Raises:
        DataError: the file is missing or not an annotation.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no annotation of this image; add one or leave the image out") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (ParseError, defusedxml.DefusedXmlException, ValueError) as error:
        raise DataError(f"{path}: not a readable XML annotation ({error}); copy it again") from error
    if root is None or root.tag != "annotation":
        raise DataError(f"{path}: not a VOC annotation, its top element is not <annotation>")
    tags: set[str] = set()
    difficult: set[str] = set()
    for element in root.findall("object"):
        name = unicodedata.normalize("NFC", (element.findtext("name") or "").strip())
        if not name:
            raise DataError(f"{path}: an object without a name; add <name> or remove the object")
        (difficult if (element.findtext("difficult") or "").strip() == "1" else tags).add(name)
    written = (root.findtext("filename") or "").strip() or None
    return Annotation(without_background(tags), without_background(difficult - tags), written)


def _add_record(listing: Listing, devkit: Path, name: str, split: str | None) -> None:
    try:
        tags, unknown = read_annotation(devkit / "Annotations" / f"{name}.xml")
    except DataError as error:
        listing.problems.append(Problem("bad annotation", str(error), name))
        return
    mask = devkit / "SegmentationClass" / f"{name}.png"
    gt_mask = mask if mask.is_file() else None
    where = f"Annotations/{name}.xml"
    listing.records.append(ImageRecord(name, tags=tags, unknown=unknown, split=split, gt_mask=gt_mask, where=where))


def _masks_are_of_voc(records: Sequence[ImageRecord]) -> bool:
    """Whether the first masks hold VOC's indices of the classes that their images have."""
    fit: list[bool] = []
    for record in [record for record in records if record.gt_mask is not None][:_MASKS_LOOKED_AT]:
        indices = {VOC_CLASSES.index(name) + 1 for name in record.present | record.unknown}
        try:
            found = set(np.unique(read_mask(record.gt_mask)).tolist()) if record.gt_mask else set()
        except DataError:
            found = {-1}
        fit.append(found <= indices | {0, IGNORE_INDEX})
    return 2 * sum(fit) > len(fit)


def _drop_masks(listing: Listing) -> None:
    masks = sum(record.gt_mask is not None for record in listing.records)
    if not masks:
        return
    listing.records = [replace(record, gt_mask=None) for record in listing.records]
    listing.problems.append(
        Problem(
            "masks not used",
            f"{masks} masks of SegmentationClass were not used: they hold the indices of VOC's twenty classes, or "
            "others of their own, and not those of these classes; give VOC's twenty as `classes`, or a folder of masks "
            "with your indices as `masks`",
            level="note",
        )
    )


def _splits(devkit: Path, wanted: str | None) -> dict[str, str]:
    """Split of each image, by its name without suffix."""
    folders = [
        folder for folder in (devkit / "ImageSets" / kind for kind in ("Segmentation", "Main")) if folder.is_dir()
    ]
    if wanted is None:
        lists = sorted(folders[0].glob("*.txt")) if folders else []
        named = [(path, split_of_word(path.stem)) for path in lists]
        return {name: split for path, split in named if split in _SPLITS for name in _names(path, empty=True)}
    if Path(wanted).name != wanted:
        raise DataError(f"split {wanted!r}: the name of a list in ImageSets was expected, such as train")
    for folder in folders:
        path = folder / f"{wanted}.txt"
        if path.is_file():
            return dict.fromkeys(_names(path), wanted)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.txt") if "_" not in path.stem})
    raise DataError(f"{devkit}: no split {wanted!r} in ImageSets; found: {', '.join(known) or 'none'}")


def _names(path: Path, *, empty: bool = False) -> Iterable[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected one image name per line") from error
    names = [without_suffix(_AFTER_NAME.sub("", line.strip())) for line in lines if line.strip()]
    if not names and not empty:
        raise DataError(f"{path}: the list is empty; expected one image name per line")
    return names
