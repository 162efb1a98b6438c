"""From a source of images and tags to a checked `Dataset`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.corrected import with_corrected
from tag2mask.data.dataset import Dataset, Problem
from tag2mask.data.readers.listing import Listing, Row
from tag2mask.data.readers.sources import FILES, read_source, recognise_file
from tag2mask.core.record import ImageRecord
from tag2mask.images.decode import image_size, read_image
from tag2mask.images.folder import (
    FolderIndex,
    check_mask_names,
    is_image_name,
    normalise_name,
    without_suffix,
)
from tag2mask.masks.class_names import nearest, read_classes

_THREADS = 2
_SHOWN = 10


def load_dataset(
    images: Path,
    tags: Path | None = None,
    *,
    masks: Path | None = None,
    corrected: Path | None = None,
    classes: Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    strict: bool = False,
    require_tags: bool = True,
    verify: bool = False,
    unpack: Path | None = None,
) -> Dataset:
    """Read and check a collection of images and tags.

    Args:
        images: folder of the images, or of all that belongs to the collection (a VOC devkit, Parquet files).
        tags: file of tags in one of the formats `sources.FILES`; None: the folder says it all.
        masks: folder of human masks for evaluation, which mirrors `images` with .png; or None.
        corrected: masks of some of the images that training believes: such a folder, or COCO JSON; or None.
        classes: names in the order of their indices, or a file of them. None: those that occur,
            sorted.
        format: one of `sources.FORMATS`; `images` has no tags; `auto`: recognised by content.
        split: keep this split alone.
        strict: a problem is an error.
        require_tags: False keeps images without tags, all classes unknown, and makes `auto` read
            subfolders as plain folders of images.
        verify: decode every image, instead of looking at its header.
        unpack: folder for images that are not files of their own (Parquet, see `parquet_folder`), and for masks of
            COCO JSON.

    Returns:
        The usable images, and the problems with the others.

    Raises:
        DataError: nothing is usable, the source makes no sense, tags contradict each other, two
            images would write the same mask, or there is a problem under `strict`.
    """
    chosen = None if classes is None else read_classes(classes)
    listing = read_source(images, tags, chosen, format, split=split, require_tags=require_tags, unpack=unpack)
    names = _class_names(listing, chosen)
    problems = listing.problems
    items = _items(listing, names, chosen is not None, require_tags, problems)
    if split is not None and listing.source != "voc":
        items = _of_split(items, split, images)
    check_mask_names(item.name for item in items)
    items = _readable(items, verify, problems)
    if masks is not None:
        items = _with_masks(items, masks, problems)
    if corrected is not None:
        items = with_corrected(items, corrected, names, problems, unpack)
    warnings = [problem for problem in problems if problem.level == "warning"]
    if not items:
        raise DataError(f"{images}: no usable image{_listed(warnings)}")
    if strict and warnings:
        raise DataError(f"{images}: {len(warnings)} problems, and strict is on{_listed(warnings)}")
    return Dataset(listing.index.root, names, tuple(items), tuple(problems), listing.source)


def decodable(collection: Dataset) -> Dataset:
    """The same without the photographs that cannot be decoded, which are among its problems then.

    Raises:
        DataError: none can be.
    """
    problems = list(collection.problems)
    items = _readable(list(collection.records), True, problems)
    if not items:
        raise DataError(f"{collection.root}: no usable image{_listed(problems)}")
    return replace(collection, records=tuple(items), problems=tuple(problems))


def tags_of_names(
    names: Iterable[str] | None, tags: Path, classes: Sequence[str], *, where: str
) -> tuple[dict[str, ImageRecord], list[Problem]]:
    """Tags of photographs that are elsewhere, such as in an object store, from a file of tags.

    Args:
        names: of the photographs that there are; None where that is not known: then the file's names are taken
            as they are.
        tags: the file, in one of the formats `sources.FILES`.
        classes: the names that count.
        where: what the names are relative to, for messages.

    Returns:
        Items by name, and the problems with the others.

    Raises:
        DataError: the file makes no sense, or tags contradict each other.
    """
    index = FolderIndex.of_names(Path(where), names or ())
    listing = FILES[recognise_file(tags)](tags, index, classes)
    if names is None:
        listing.index = FolderIndex.of_names(Path(where), (row.name for row in listing.rows))
    problems = listing.problems
    items = _items(listing, tuple(classes), True, True, problems)
    return {item.name: item for item in items}, problems


def _class_names(listing: Listing, chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    if chosen is not None:
        if listing.complete and listing.classes is not None:
            missing = [name for name in chosen if name not in listing.classes]
            if missing:
                hint = nearest(missing[0], listing.classes)
                raise DataError(f"class {missing[0]!r} does not occur in {listing.index.root}{hint}")
        return chosen
    if listing.classes is not None:
        return tuple(sorted(listing.classes))
    names = sorted({name for row in listing.rows for name in row.tags | row.unknown})
    if not names and listing.source != "images":
        raise DataError(f"{listing.index.root}: no tag in the whole source, so there is no class to learn")
    return tuple(names)


def _items(
    listing: Listing, classes: tuple[str, ...], chosen: bool, require_tags: bool, problems: list[Problem]
) -> list[ImageRecord]:
    known = frozenset(classes)
    items: dict[str, tuple[ImageRecord, Row]] = {}
    for row in listing.rows:
        name = _find(listing, row, problems)
        if name is None:
            continue
        strangers = (row.tags | row.unknown) - known
        if strangers and chosen and not listing.complete:
            stranger = sorted(strangers)[0]
            message = f"{row.where}: class {stranger!r} is not among the classes{nearest(stranger, classes)}"
            problems.append(Problem("unknown class", f"{message}; the image is left out", name))
            continue
        if not row.tagged and require_tags:
            message = f"{row.where}: {name} has no tag; add its tags, or `none` if no class is present"
            problems.append(Problem("image without tags", message, name))
            continue
        unknown = known if not row.tagged else row.unknown & known
        item = ImageRecord(name, listing.index.files[name], row.tags & known, unknown, row.split, row.gt_mask)
        if name in items:
            _merge(items[name], item, row, problems)
        else:
            items[name] = (item, row)
    _report_unlisted(listing, set(items), problems)
    return [item for item, _ in items.values()]


def _find(listing: Listing, row: Row, problems: list[Problem]) -> str | None:
    if row.name in listing.index.files:
        return row.name
    kind = "bad name"
    try:
        normalise_name(row.name)
        kind = "missing image"
        return listing.index.find(row.name)
    except DataError as error:
        problems.append(Problem(kind, f"{row.where}: {error}", row.name))
        return None


def _merge(before: tuple[ImageRecord, Row], item: ImageRecord, row: Row, problems: list[Problem]) -> None:
    first, first_row = before
    if (first.tags, first.unknown, first.split) != (item.present, item.unknown, item.split):
        raise DataError(
            f"{item.name} is listed twice and differently: {first_row.where}: {_described(first)}; "
            f"{row.where}: {_described(item)}. Keep one line per image, with all its tags"
        )
    problems.append(
        Problem("duplicate row", f"{item.name} is listed twice: {first_row.where} and {row.where}", item.name)
    )


def _described(item: ImageRecord) -> str:
    words = [*sorted(item.present), *(f"?{name}" for name in sorted(item.unknown))]
    return (" ".join(words) or "none") + (f" (split {item.split})" if item.split else "")


def _report_unlisted(listing: Listing, used: set[str], problems: list[Problem]) -> None:
    if listing.source not in FILES:
        return
    named = {problem.file for problem in problems}
    unlisted = [name for name in listing.index.images() if name not in used and name not in named]
    if unlisted:
        message = f"{len(unlisted)} images of the folder are not in the table, such as {unlisted[0]}"
        problems.append(Problem("unlisted images", message, level="note"))


def _of_split(items: Iterable[ImageRecord], split: str, images: Path) -> list[ImageRecord]:
    items = list(items)
    kept = [item for item in items if item.split == split]
    if not kept:
        found = ", ".join(sorted({item.split for item in items if item.split})) or "none (no column `split`)"
        raise DataError(f"{images}: no image of split {split!r}; splits found: {found}")
    return kept


def _readable(items: list[ImageRecord], verify: bool, problems: list[Problem]) -> list[ImageRecord]:
    def trouble(item: ImageRecord) -> str | None:
        try:
            if verify:
                read_image(item.path)
            else:
                image_size(item.path)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        troubles = list(pool.map(trouble, items))
    problems.extend(
        Problem("unreadable image", text, item.name)
        for item, text in zip(items, troubles, strict=True)
        if text is not None
    )
    return [item for item, text in zip(items, troubles, strict=True) if text is None]


def _with_masks(items: list[ImageRecord], masks: Path, problems: list[Problem]) -> list[ImageRecord]:
    index = FolderIndex(masks, follow_links=True)
    by_name = {without_suffix(name): path for name, path in index.files.items() if is_image_name(name)}
    paired = [
        replace(item, gt_mask=by_name.get(unicodedata.normalize("NFC", without_suffix(item.name)))) for item in items
    ]
    missing = [item.name for item in paired if item.gt_mask is None]
    if len(missing) == len(items) and items:
        raise DataError(f"{masks}: no mask for any image; expected e.g. {without_suffix(items[0].name)}.png")
    if missing:
        message = f"{len(missing)} images have no mask in {masks}, such as {missing[0]}"
        problems.append(Problem("missing mask", message, level="note"))
    return paired


def _listed(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    lines = [f"\n  {problem.kind}: {problem.message}" for problem in problems[:_SHOWN]]
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return ":" + "".join(lines) + more
