"""Tags from folders of splits with folders of classes in them, as in YOLO's layout for classification.

    data/train/cat/a.jpg, data/train/dog/b.jpg, data/val/cat/c.jpg

An image has the one class of its folder; all others are absent from it. Hugging Face's `imagefolder` looks
the same. Folders of splits are called train, val, valid, validation or test, in any case, also training, testing,
seg_train, train_set and the like. The folder of a split without folders of classes is unlabelled.

Reference: https://docs.ultralytics.com/datasets/classify/.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.class_folders import FolderTags
from tag2mask.data.readers.folder_hints import tag_file_hint
from tag2mask.data.readers.layout_words import IMAGE_WORDS, LAYOUT_WORDS, MASK_WORDS, split_of_word
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import check_names, check_spelling

_EXPECTED = "expected train/CLASS/a.jpg and, if you like, val/CLASS/b.jpg and test/CLASS/c.jpg"


def has_yolo_folders(index: FolderIndex) -> bool:
    """Whether the images lie in folders of splits: all of them, or all but those of folders beside several splits."""
    folders: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for name in index.images():
        parts = PurePosixPath(name).parts
        folders[parts[0] if len(parts) > 1 else ""].append(parts[1:-1])
    splits = {folder: split_of_word(folder) for folder in folders}
    if not folders or None not in splits.values():
        return bool(folders)
    found = {split for split in splits.values() if split is not None}
    train = [inner for folder, split in splits.items() if split == "train" for inner in folders[folder]]
    return len(found) > 1 and bool(train) and all(train) and "" not in folders


def read_yolo(index: FolderIndex, classes: Sequence[str] | None, *, strict: bool = True) -> Listing:
    """Records of a folder in the layout for classification.

    Args:
        index: the folder.
        classes: the names that count, or None: those of the folders. Other folders are left out and reported.
        strict: refuse images outside the folders of splits; else they are left out and reported.

    Raises:
        DataError: it is not laid out like that.
    """
    listing = Listing("yolo", index, problems=refused_files(index))
    tags, beside = FolderTags(classes), Counter[str]()
    wrappers = _wrappers(index)
    images_folder = False
    deeper: dict[str, set[str]] = defaultdict(set)
    for name in index.images():
        parts = PurePosixPath(name).parts
        split = split_of_word(parts[0]) if len(parts) > 1 else None
        if split is None:
            if strict:
                raise DataError(f"{index.root}: {name} is in no folder of a split; {_EXPECTED}")
            beside[parts[0]] += 1
            continue
        inner = parts[1:-1]
        if inner and inner[0] == wrappers.get(parts[0]):
            images_folder = images_folder or inner[0].casefold() in IMAGE_WORDS
            inner = inner[1:]
        if not inner:
            listing.records.append(ImageRecord(name, split=split, where=f"{name} outside the class folders"))
        elif (record := tags.record(name, inner[0], f"folder {parts[0]}/{inner[0]}", split)) is not None:
            listing.records.append(record)
            deeper[inner[0]].add(inner[1] if len(inner) > 1 else "")
    listing.problems.extend(tags.problems())
    _check(listing, classes, images_folder)
    _check_depth(listing, classes, deeper)
    _leave_out_unlabelled(listing)
    _add_notes(listing, beside)
    return listing


def _wrappers(index: FolderIndex) -> dict[str, str]:
    """The only folder in that of a split, if its name is that of a split or of images: train/train/cat/a.jpg."""
    inner: dict[str, set[str]] = defaultdict(set)
    for name in index.images():
        parts = PurePosixPath(name).parts
        if len(parts) > 1:
            inner[parts[0]].add(parts[1] if len(parts) > 2 else "")
    only = {folder: next(iter(names)) for folder, names in inner.items() if len(names) == 1}
    return {folder: name for folder, name in only.items() if split_of_word(name) or name.casefold() in IMAGE_WORDS}


def _check(listing: Listing, classes: Sequence[str] | None, images_folder: bool) -> None:
    root, found = listing.index.root, listing.names()
    if (images_folder and not found) or (found and {name.casefold() for name in found} <= LAYOUT_WORDS | MASK_WORDS):
        raise DataError(
            f"{root}: YOLO's layout for boxes or masks (folders images and labels), not for classification; "
            f"{_EXPECTED}, the label files beside the images with data.yaml, or COCO JSON as `tags`"
            f"{tag_file_hint(listing.index)}"
        )
    if not found:
        raise DataError(f"{root}: no folder with images of a class; {_EXPECTED}{tag_file_hint(listing.index)}")
    if classes is None:
        check_names(sorted(found), str(root))
        check_spelling(sorted(found), str(root))


def _check_depth(listing: Listing, classes: Sequence[str] | None, deeper: dict[str, set[str]]) -> None:
    """Refuse one folder around all others in the splits; note where all images lie deeper than the class."""
    inside = set().union(*deeper.values())
    if classes is not None or not deeper or "" in inside or inside == {next(iter(inside))}:
        return
    some = ", ".join(sorted(inside)[:3])
    if len(deeper) == 1:
        around = next(iter(deeper))
        raise DataError(
            f"{listing.index.root}: all images of the splits lie in one folder, {around}, around the folders {some}; "
            f"move these up if they are the classes. If {around!r} is the only class, name it in `classes`"
        )
    message = f"all images lie deeper than the folder of the class, in folders such as {some}, which were not read"
    listing.problems.append(Problem("deeper folders", message, level="note"))


def _leave_out_unlabelled(listing: Listing) -> None:
    """A folder of a split without any tag is left out with one note, instead of a problem for each image."""
    labelled = {record.name.split("/")[0] for record in listing.records if record.tags is not None}
    bare: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in listing.records:
        folder = record.name.split("/")[0]
        if folder not in labelled and record.split != "train":
            bare[folder].append(record)
    listing.records = [record for record in listing.records if record.name.split("/")[0] not in bare]
    for folder, records in bare.items():
        message = (
            f"{len(records)} images of the folder {folder}, such as {records[0].name}, have no folder of a class: "
            "unlabelled, left out"
        )
        listing.problems.append(Problem("unlabelled split", message, folder, "note"))


def _add_notes(listing: Listing, beside: Counter[str]) -> None:
    for folder, number in beside.items():
        masks = folder.casefold() in MASK_WORDS
        message = f"folder {folder!r} with {number} images is no split and was left out"
        if masks:
            listing.problems.append(Problem("masks not used", f"{message}: masks", folder, "note"))
        else:
            listing.problems.append(Problem("outside the splits", f"{message}; {_EXPECTED}", folder))
    names = {record.name.split("/")[0]: record.split for record in listing.records}
    renamed = [f"{folder} as {split}" for folder, split in names.items() if folder != split]
    if renamed:
        message = f"folders read as splits, not as classes: {', '.join(renamed)}"
        listing.problems.append(Problem("folders of splits", message, level="note"))
    train = {name for record in listing.records if record.split == "train" for name in record.present}
    for split in sorted({record.split for record in listing.records if record.split} - {"train"}) if train else ():
        only = {name for record in listing.records if record.split == split for name in record.present} - train
        if only:
            message = f"{len(only)} classes have images in {split} and none in train, such as {min(only)!r}"
            listing.problems.append(Problem("classes not in train", message, level="note"))
