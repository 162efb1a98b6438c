"""The whole check of a collection, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset
from tag2mask.data.checks.duplicates import check_duplicates
from tag2mask.data.checks.finding import Finding, Report, ranked
from tag2mask.data.checks.masks import check_masks
from tag2mask.data.checks.occurrence import check_tags
from tag2mask.data.checks.photographs import Photograph, look_at_all
from tag2mask.data.checks.sizes import check_readable, check_sizes
from tag2mask.data.checks.source import read_collection
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import read_classes

Progress = Callable[[int], Callable[[], None]]


def check_dataset(
    images: str | Path,
    tags: str | Path | None = None,
    *,
    classes: str | Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    against: str | Path | None = None,
    masks: str | Path | None = None,
    progress: Progress = lambda total: lambda: None,
) -> Report:
    """Say what is wrong with a collection. Nothing is changed.

    Args:
        images: as in `tag2mask.data.load_dataset`; format `images` checks images alone.
        tags: the same.
        classes: names without background in the order of their indices, or a file of them.
        format: as in `load_dataset`.
        split: check this split alone.
        against: a folder of other images, such as those of validation: none of them may be here too.
        masks: folder of masks to compare with the tags. Their indices are those of `classes`, or else of
            `classes.txt` beside the masks, or else of the sorted classes of the tags.
        progress: called with the number of images, and that of masks; returns what to call after each.

    Returns:
        The findings, worst first.

    Raises:
        DataError: a folder that is named cannot be read. What is wrong inside becomes a finding.
        ConfigError: `masks` without tags.
    """
    images, tags = Path(images), None if tags is None else Path(tags)
    chosen = Path(classes) if isinstance(classes, str) else classes
    if masks is not None and format == "images":
        raise ConfigError("--masks compares masks with tags, and --format images has none; leave one of them out")
    with TemporaryDirectory(prefix="tag2mask-") as folder:  # for images inside Parquet files
        collection, findings = read_collection(images, tags, chosen, format, split, Path(folder))
        photographs = _photographs(images, collection)
        others = [] if against is None else _others(Path(against))
        seen, unreadable = look_at_all([*photographs, *others], advance=progress(len(photographs) + len(others)))
        findings += check_readable(unreadable)
        findings += check_duplicates(seen)
        findings += check_sizes([one for one in seen if not one.photograph.other])
        if collection is not None and collection.classes and format != "images":
            findings += check_tags(collection)
        if collection is not None and masks is not None:
            findings += _masks(collection, Path(masks), chosen, progress)
    return Report(
        ranked(findings),
        images=len(photographs),
        source="images" if collection is None else collection.source,
        counts={} if collection is None else _counts(collection),
    )


def _photographs(images: Path, collection: Dataset | None) -> list[Photograph]:
    if collection is None:
        index = FolderIndex(images)
        return [Photograph(name, index.files[name]) for name in index.images()]
    tagged = collection.source != "images"
    return [Photograph(i.name, i.path, i.split, i.tags if tagged else None) for i in collection.records]


def _others(folder: Path) -> list[Photograph]:
    """Images of another folder, named with it."""
    index = FolderIndex(folder)
    if not (names := index.images()):
        raise DataError(f"{folder}: no image in this folder to check against; check the path")
    return [Photograph(f"{folder}/{name}", index.files[name], other=True) for name in names]


def _masks(collection: Dataset, masks: Path, chosen: Path | Sequence[str] | None, progress: Progress) -> list[Finding]:
    beside = masks / "classes.txt"
    names = read_classes(beside) if chosen is None and beside.is_file() else collection.classes
    return check_masks(collection.records, names, masks, advance=progress(len(collection.records)))


def _counts(collection: Dataset) -> dict[str, dict[str, int]]:
    return {
        name: {"present": count.present, "absent": count.absent, "unknown": count.unknown}
        for name, count in collection.counts().items()
    }
