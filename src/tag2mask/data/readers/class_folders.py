"""Tags from folders: one folder per class, its images below it.

    photos/cat/a.jpg, photos/dog/2024/b.jpg, photos/none/c.jpg

The first part of the name is the tag, `none` or `background` says that no class is present. All
other classes count as absent from the image; an image with several classes needs a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.listing import BACKGROUND_WORDS, Listing, refused_files
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import nearest


def has_class_folders(index: FolderIndex) -> bool:
    """Whether the images lie in subfolders, and none beside them."""
    names = index.images()
    return bool(names) and all("/" in name for name in names)


def read_class_folders(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a folder with one subfolder per class.

    Args:
        index: the folder.
        classes: the names that count, or None: those of the subfolders. Other subfolders are left out
            and reported.

    Raises:
        DataError: there is no subfolder with images.
    """
    listing = Listing("folders", index)
    listing.problems.extend(refused_files(index))
    skipped: dict[str, int] = {}
    for name in index.images():
        parts = PurePosixPath(name).parts
        tag = parts[0]
        if len(parts) == 1:
            listing.records.append(ImageRecord(name, where=f"{name} outside the class folders"))
        elif tag.casefold() in BACKGROUND_WORDS:
            listing.records.append(ImageRecord(name, tags=frozenset(), where=f"folder {tag}"))
        elif classes is not None and tag not in classes:
            skipped[tag] = skipped.get(tag, 0) + 1
        else:
            listing.records.append(ImageRecord(name, tags=frozenset({tag}), where=f"folder {tag}"))
    for tag, number in skipped.items():
        message = f"folder {tag!r} with {number} images is not among the classes{nearest(tag, classes or ())}"
        listing.problems.append(Problem("unknown class", f"{message}; left out", tag))
    if not any(record.tags for record in listing.records):
        raise DataError(f"{index.root}: no folder with images of a class; expected one per class, such as cat/a.jpg")
    return listing
