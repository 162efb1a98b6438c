"""Tags from YOLO's layout for classification: one folder per split, one per class in it.

    data/train/cat/a.jpg, data/train/dog/b.jpg, data/val/cat/c.jpg

An image has the one class of its folder; all others are absent from it. Hugging Face's `imagefolder` looks
the same. Folders of splits are called train, val, valid, validation or test.

Reference: https://docs.ultralytics.com/datasets/classify/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.listing import BACKGROUND_WORDS, Listing, refused_files
from tag2mask.data.readers.records import SPLIT_WORDS
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import check_names, nearest

_EXPECTED = "expected train/CLASS/a.jpg and, if you like, val/CLASS/b.jpg and test/CLASS/c.jpg"
_BOXES = frozenset({"images", "labels"})


def has_yolo_folders(index: FolderIndex) -> bool:
    """Whether all images lie in folders of splits, `train` among them."""
    first = {PurePosixPath(name).parts[0] for name in index.images()}
    return "train" in first and first <= SPLIT_WORDS


def read_yolo(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a folder in the layout for classification.

    Args:
        index: the folder.
        classes: the names that count, or None: those of the folders. Other folders are left out and reported.

    Raises:
        DataError: it is not laid out like that.
    """
    listing = Listing("yolo", index, problems=refused_files(index))
    skipped: dict[str, int] = {}
    for name in index.images():
        parts = PurePosixPath(name).parts
        if parts[0] not in SPLIT_WORDS:
            raise DataError(f"{index.root}: {name} is in no folder of a split; {_EXPECTED}")
        if len(parts) == 2:
            where = f"{name} outside the class folders"
            listing.records.append(ImageRecord(name, split=parts[0], where=where))
            continue
        tag = parts[1]
        where = f"folder {parts[0]}/{tag}"
        if tag.casefold() in BACKGROUND_WORDS:
            listing.records.append(ImageRecord(name, tags=frozenset(), split=parts[0], where=where))
        elif classes is not None and tag not in classes:
            skipped[where] = skipped.get(where, 0) + 1
        else:
            listing.records.append(ImageRecord(name, tags=frozenset({tag}), split=parts[0], where=where))
    for where, number in skipped.items():
        tag = where.rpartition("/")[2]
        message = f"{where} with {number} images is not among the classes{nearest(tag, classes or ())}; left out"
        listing.problems.append(Problem("unknown class", message, tag))
    found = listing.names()
    if found and found <= _BOXES:
        raise DataError(
            f"{index.root}: YOLO's layout for boxes or masks (folders images and labels), not for classification; "
            f"{_EXPECTED}, or export the labels as COCO JSON and give that file as `tags`"
        )
    if not found:
        raise DataError(f"{index.root}: no folder with images of a class; {_EXPECTED}")
    if classes is None:
        check_names(sorted(found), str(index.root))
    return listing
