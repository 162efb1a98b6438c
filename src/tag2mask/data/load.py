"""From a source of images and tags to a checked `Dataset`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.corrected import with_corrected
from tag2mask.data.dataset import Dataset
from tag2mask.data.image_masks import with_gt_masks
from tag2mask.data.left_out import left_out_problems
from tag2mask.data.problem import Problem, listed
from tag2mask.data.readers.layout_words import same_split
from tag2mask.data.readers.sources import FILES, read_source, reader_of, recognise_file
from tag2mask.data.resolve import class_names, resolved
from tag2mask.images.decode import Note, image_size, read_image
from tag2mask.images.folder import FolderIndex, check_mask_names
from tag2mask.masks.class_names import read_classes

_THREADS = 2


def load_dataset(
    images: str | Path,
    tags: str | Path | None = None,
    *,
    masks: str | Path | None = None,
    corrected: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    limit: int | None = None,
    strict: bool = False,
    unpack: str | Path | None = None,
    verify: bool = False,
    require_tags: bool = True,
) -> Dataset:
    """Read and check a dataset: what `Dataset.load` does, which describes the arguments and errors."""
    images, tags, unpack = Path(images), _path(tags), _path(unpack)
    chosen = None if classes is None else read_classes(Path(classes) if isinstance(classes, str) else classes)
    listing = read_source(images, tags, chosen, format, split=split, require_tags=require_tags, unpack=unpack)
    names = class_names(listing, chosen)
    problems = listing.problems
    records = resolved(listing, names, chosen=chosen is not None, require_tags=require_tags)
    said = {record.name for record in records} | {problem.file for problem in problems}
    problems += left_out_problems(listing.index, said, is_listed=listing.source in FILES)
    if split is not None and listing.source != "voc":
        records = _of_split(records, split, images)
    check_mask_names(record.name for record in records)
    records = _readable(records, verify, problems)
    if masks is not None:
        records = with_gt_masks(records, Path(masks), names, problems)
    if corrected is not None:
        records = with_corrected(records, Path(corrected), names, problems, unpack)
    dataset = Dataset(listing.index.root, names, tuple(records), tuple(problems), listing.source)
    dataset = _usable(dataset, images, strict)
    return dataset if limit is None else dataset.subset(first=limit)


def decodable(dataset: Dataset, *, strict: bool = False) -> Dataset:
    """The same dataset without the images that cannot be decoded, which are added to its problems.

    Args:
        dataset: what was loaded without `verify=True`.
        strict: raise an error instead of leaving out an image.

    Raises:
        DataError: no image can be decoded, or one cannot under `strict=True`.
    """
    problems: list[Problem] = []
    records = _readable(dataset.records, True, problems)
    found = replace(dataset, records=tuple(records), problems=(*dataset.problems, *problems))
    return _usable(found, dataset.root, strict)


def tags_of_names(
    names: Iterable[str] | None, tags: Path, classes: Sequence[str], *, where: str
) -> tuple[dict[str, ImageRecord], list[Problem]]:
    """Tags of images that lie elsewhere, such as in an object store, from a file of tags.

    Args:
        names: of the images that there are; None where that is not known: then the file's names are taken
            as they are.
        tags: the file, in one of the formats `sources.FILES`.
        classes: the names that count.
        where: what the names are relative to, for messages.

    Returns:
        Records by name, and the problems with the others.

    Raises:
        DataError: the file makes no sense, or tags contradict each other.
    """
    index = FolderIndex.of_names(Path(where), names or ())
    listing = reader_of(recognise_file(tags))(tags, index, classes)
    if names is None:
        listing.index = FolderIndex.of_names(Path(where), (record.name for record in listing.records))
    records = resolved(listing, tuple(classes), chosen=True, require_tags=True)
    return {record.name: record for record in records}, listing.problems


def _usable(dataset: Dataset, what: Path, strict: bool) -> Dataset:
    """The same dataset, if it has images and, under `strict`, nothing was left out."""
    warnings = [problem for problem in dataset.problems if problem.level == "warning"]
    if not dataset.records:
        raise DataError(f"{what}: no usable image{listed(warnings)}")
    if strict and warnings:
        raise DataError(f"{what}: {len(warnings)} problems, and strict is on{listed(warnings)}")
    return dataset


def _of_split(records: Sequence[ImageRecord], split: str, images: Path) -> list[ImageRecord]:
    kept = [record for record in records if record.split == split] or [
        record for record in records if record.split is not None and same_split(record.split, split)
    ]
    if not kept:
        found = ", ".join(sorted({record.split for record in records if record.split})) or "none (no column `split`)"
        raise DataError(f"{images}: no image of split {split!r}; splits found: {found}")
    return kept


def _readable(records: Sequence[ImageRecord], verify: bool, problems: list[Problem]) -> list[ImageRecord]:
    def trouble(record: ImageRecord) -> str | None:
        def odd(note: Note) -> None:
            problems.append(Problem(note.kind, note.message, record.name, "note"))

        try:
            if verify:
                read_image(record.path, note=odd)
            else:
                image_size(record.path)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        troubles = list(pool.map(trouble, records))
    problems.extend(
        Problem("unreadable image", text, record.name)
        for record, text in zip(records, troubles, strict=True)
        if text is not None
    )
    return [record for record, text in zip(records, troubles, strict=True) if text is None]


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
