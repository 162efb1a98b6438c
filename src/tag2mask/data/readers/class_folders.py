"""Tags from folders: one folder per class, its images below it.

    photos/cat/a.jpg, photos/dog/2024/b.jpg, photos/none/c.jpg

The first part of the name is the tag; `none`, `background`, `nothing` or `no finding` says that no class is present.
All other classes count as absent from the image; an image with several classes needs a table. Where each class has
folders of splits (cat/train/a.jpg, cat/test/b.jpg), these are splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.folder_hints import tag_file_hint
from tag2mask.data.readers.layout_words import (
    ANNOTATION_WORDS,
    DOUBTFUL_WORDS,
    EMPTY_WORDS,
    GENERIC_WORDS,
    IMAGE_WORDS,
    MASK_WORDS,
    NEVER_CLASSES,
    UNLABELLED_WORDS,
    plain_word,
    split_of_word,
)
from tag2mask.data.readers.listing import BACKGROUND_WORDS, Listing, refused_files
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import check_spelling, nearest

_Parts = tuple[str, ...]


def has_class_folders(index: FolderIndex) -> bool:
    """Whether the images lie in subfolders, and none beside them."""
    names = index.images()
    return bool(names) and all("/" in name for name in names)


def refuse_other_layouts(index: FolderIndex, classes: Sequence[str] | None) -> None:
    """Refuse folders that are no folders of classes, or may be something else.

    Args:
        index: the folder, whose images all lie in subfolders.
        classes: the names that were chosen; these are classes, whatever their words.

    Raises:
        DataError: a folder called images, one folder around all others, a folder of a split beside others.
    """
    folders = [PurePosixPath(name).parts[:-1] for name in index.images()]
    first = sorted({parts[0] for parts in folders} - set(classes or ()))
    layout = [name for name in first if name.casefold() in IMAGE_WORDS]
    if layout:
        raise DataError(f"{index.root}: {_images_folder(index, layout[0], first, folders)}{tag_file_hint(index)}")
    other = [name for name in first if name.casefold() in NEVER_CLASSES]
    if other:
        raise DataError(
            f"{index.root}: folder {other[0]!r} looks like one of masks or annotations, not a class; move it away, "
            f"or name all classes in `classes` if it is one{tag_file_hint(index)}"
        )
    splits = [name for name in first if split_of_word(name) is not None]
    if splits and len(first) > 1 and all(len(parts) > 1 for parts in folders if parts[0] in splits):
        others = ", ".join(repr(name) for name in first if name not in splits)
        raise DataError(
            f"{index.root}: folder {splits[0]!r} looks like a split and {others} like a class; expected "
            "train/CLASS/a.jpg beside val or test alone, or CLASS/a.jpg. If all are classes, name them in `classes`"
        )
    if all(len(parts) > 2 and parts[1].casefold() in IMAGE_WORDS for parts in folders) and first:
        raise DataError(
            f"{index.root}: each folder has one called {folders[0][1]!r} with further folders, such as "
            f"{'/'.join(folders[0])}; give one of these, such as {index.root / folders[0][0] / folders[0][1]}, whose "
            "folders may be classes. If the first folders are the classes, name them in `classes`"
        )
    if len({parts[0] for parts in folders}) > 1 or not first:
        return
    if all(len(parts) > 1 for parts in folders):
        raise DataError(_wrapped(index, folders))
    if first[0].casefold() in GENERIC_WORDS:
        raise DataError(
            f"{index.root}: all images lie in one folder, {first[0]!r}, which does not look like a class; expected one "
            f"folder per class, or a table of tags. If it is the class, name it in `classes`{tag_file_hint(index)}"
        )


def read_class_folders(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a folder with one subfolder per class.

    Args:
        index: the folder.
        classes: the names that count, or None: those of the subfolders. Other subfolders are left out
            and reported.

    Raises:
        DataError: there is no subfolder with images, or names differ in case alone.
    """
    listing = Listing("folders", index)
    listing.problems.extend(refused_files(index))
    names = index.images()
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    inner_splits = bool(folders) and all(len(parts) > 1 and split_of_word(parts[1]) for parts in folders)
    tags = FolderTags(classes)
    for name, parts in zip(names, folders, strict=True):
        if not parts:
            listing.records.append(ImageRecord(name, where=f"{name} outside the class folders"))
            continue
        record = tags.record(name, parts[0], f"folder {parts[0]}", split_of_word(parts[1]) if inner_splits else None)
        if record is not None:
            listing.records.append(record)
    listing.problems.extend(tags.problems())
    if not any(record.tags for record in listing.records):
        raise DataError(f"{index.root}: no folder with images of a class; expected one per class, such as cat/a.jpg")
    if classes is None:
        check_spelling(sorted(listing.names()), str(index.root))
    if inner_splits:
        message = "the folders in those of the classes were read as splits: " + ", ".join(
            sorted({p[1] for p in folders})
        )
        listing.problems.append(Problem("folders of splits", message, level="note"))
    elif (
        folders
        and all(len(parts) > 1 for parts in folders)
        and len({parts[:2] for parts in folders}) > len({parts[0] for parts in folders})
    ):
        message = (
            f"all images lie deeper than one folder, such as {names[0]}; the first folder is the class. If the second "
            f"is, give one folder that holds these, such as {index.root / folders[0][0]}"
        )
        listing.problems.append(Problem("deeper folders", message, level="note"))
    return listing


class FolderTags:
    """Tags of images from the names of their folders, with what was guessed or left out."""

    def __init__(self, classes: Sequence[str] | None) -> None:
        self._classes = classes
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._empty: Counter[str] = Counter()
        self._unlabelled: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()

    def record(self, name: str, tag: str, where: str, split: str | None) -> ImageRecord | None:
        """The record of an image in the folder `tag`; None if the folder is not among the classes chosen."""
        chosen = self._classes is not None and tag in self._classes
        word = plain_word(tag)
        if not chosen and (tag.casefold() in BACKGROUND_WORDS or word in EMPTY_WORDS):
            if tag.casefold() not in BACKGROUND_WORDS:
                self._empty[tag] += 1
            return ImageRecord(name, tags=frozenset(), split=split, where=where)
        if not chosen and tag.casefold() in UNLABELLED_WORDS:
            self._unlabelled[tag] += 1
            return ImageRecord(name, split=split, where=where)
        if self._classes is not None and not chosen:
            self._skipped[where, tag] += 1
            return None
        self._seen[tag] += 1
        return ImageRecord(name, tags=frozenset({tag}), split=split, where=where)

    def problems(self) -> list[Problem]:
        """What was left out, guessed, or may mean something else."""
        found: list[Problem] = []
        for (where, tag), number in self._skipped.items():
            shown = f"folder {tag!r}" if where == f"folder {tag}" else where
            message = f"{shown} with {number} images is not among the classes{nearest(tag, self._classes or ())}"
            found.append(Problem("unknown class", f"{message}; left out", tag))
        for tag, number in self._empty.items():
            message = (
                f"folder {tag!r} with {number} images was read as images without any class; if it is a class, name all "
                "classes in `classes`"
            )
            found.append(Problem("folder without class", message, tag, "note"))
        for tag, number in self._unlabelled.items():
            message = f"folder {tag!r} with {number} images: nothing is known of these; if it is a class, rename it"
            found.append(Problem("unlabelled folder", message, tag, "note"))
        if self._classes is None:
            found += [
                Problem(
                    "doubtful class",
                    f"folder {tag!r} with {number} images is read as a class; if it means that no class is present, "
                    "call it `none`",
                    tag,
                    "note",
                )
                for tag, number in self._seen.items()
                if self._is_doubtful(tag)
            ]
        return found

    def _is_doubtful(self, tag: str) -> bool:
        return plain_word(tag) in DOUBTFUL_WORDS or (tag == "0" and self._seen.keys() == {"0", "1"})


def _images_folder(index: FolderIndex, layout: str, first: Sequence[str], folders: Sequence[_Parts]) -> str:
    """Why a folder called images is no class, and what to do."""
    inner = {parts[1] for parts in folders if parts[0] == layout and len(parts) > 1}
    beside = sorted({name.split("/")[0] for name in index.files if "/" in name} - {layout})
    words = [name for name in beside if name.casefold() in ANNOTATION_WORDS | MASK_WORDS]
    if words:
        return (
            f"folder {layout!r} holds images and is no class; {', '.join(words)} beside it holds no annotations that "
            "are read here (PASCAL VOC XML, YOLO .txt, labelme or Supervisely JSON, one file per image; masks are no "
            "tags). Give the images and a file of tags (`tags`)"
        )
    if inner and len(first) == 1:
        return (
            f"folder {layout!r} holds images and is no class; give {index.root / layout}, whose folders may be classes"
        )
    return f"folder {layout!r} holds images and is no class; give a table of tags, or name it in `classes` if it is one"


def _wrapped(index: FolderIndex, folders: Sequence[_Parts]) -> str:
    """The message where one folder lies around all others."""
    depth = 1
    while len({parts[: depth + 1] for parts in folders}) == 1 and all(len(parts) > depth + 1 for parts in folders):
        depth += 1
    around = "/".join(folders[0][:depth])
    inside = sorted({parts[depth] for parts in folders if len(parts) > depth})
    some = ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" if len(inside) > 3 else "")
    return (
        f"{index.root}: all images lie in one folder, {around}, around the folders {some}; give {index.root / around} "
        f"if those are the classes or splits. If {folders[0][0]!r} is the only class, name it in `classes`"
    )
