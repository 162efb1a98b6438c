"""From a source of images and tags to a checked `Collection`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tag2mask.collection.class_folders import has_class_folders, read_class_folders
from tag2mask.collection.classes import nearest, read_classes
from tag2mask.collection.collection import Collection, Problem
from tag2mask.collection.csv_tags import read_csv
from tag2mask.collection.listing import Listing, Row, refused_files
from tag2mask.collection.names import (
    FolderIndex,
    check_mask_names,
    is_image_name,
    normalise_name,
    without_suffix,
)
from tag2mask.collection.voc_devkit import find_devkit, read_voc
from tag2mask.errors import DataError
from tag2mask.images import image_size, read_image
from tag2mask.types import Item

FORMATS = ("auto", "csv", "folders", "voc", "images")
_THREADS = 2
_SHOWN = 10


def load_collection(
    images: Path,
    tags: Path | None = None,
    *,
    masks: Path | None = None,
    classes: Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    strict: bool = False,
    require_tags: bool = True,
    verify: bool = False,
) -> Collection:
    """Read and check a collection of images and tags.

    Args:
        images: folder of the images (csv, folders, images) or a VOC devkit.
        tags: table of tags; see `tag2mask.collection.csv_tags`. None: folders or devkit.
        masks: folder of human masks for evaluation, which mirrors `images` with .png; or None.
        classes: names in the order of their indices, or a file of them. None: those that occur,
            sorted.
        format: `csv`, `folders` (one per class), `voc`, `images` (no tags); `auto`: a table if `tags`
            is given, else a devkit or folders if `images` looks like that.
        split: keep this split alone.
        strict: a problem is an error.
        require_tags: False keeps images without tags, all classes unknown, and makes `auto` read
            subfolders as plain folders of images.
        verify: decode every image, instead of looking at its header.

    Returns:
        The usable images, and the problems with the others.

    Raises:
        DataError: nothing is usable, the source makes no sense, tags contradict each other, two
            images would write the same mask, or there is a problem under `strict`.
    """
    if format not in FORMATS:
        raise DataError(f"format {format!r}: expected one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    chosen = None if classes is None else read_classes(classes)
    listing = _read(images, tags, chosen, format, split, require_tags)
    names = _class_names(listing, chosen)
    problems = listing.problems
    items = _items(listing, names, chosen is not None, require_tags, problems)
    if split is not None and listing.source != "voc":
        items = _of_split(items, split, images)
    check_mask_names(item.name for item in items)
    items = _readable(items, verify, problems)
    if masks is not None:
        items = _with_masks(items, masks, problems)
    warnings = [problem for problem in problems if problem.level == "warning"]
    if not items:
        raise DataError(f"{images}: no usable image{_listed(warnings)}")
    if strict and warnings:
        raise DataError(f"{images}: {len(warnings)} problems, and strict is on{_listed(warnings)}")
    return Collection(listing.index.root, names, tuple(items), tuple(problems), listing.source)


def _read(
    images: Path,
    tags: Path | None,
    classes: Sequence[str] | None,
    format: str,
    split: str | None,
    require_tags: bool,
) -> Listing:
    if tags is not None and format not in {"auto", "csv"}:
        raise DataError(f"format {format!r} takes no table of tags, but {tags} was given; leave one of them out")
    if tags is not None:
        return read_csv(tags, FolderIndex(images), classes)
    if format == "csv":
        raise DataError(f"{images}: format 'csv' needs a table of tags; give its path, such as tags.csv")
    devkit = find_devkit(images) if format in {"auto", "voc"} else None
    if devkit is not None:
        return read_voc(devkit, classes, split)
    if format == "voc":
        raise DataError(f"{images}: not a VOC devkit; expected the folders JPEGImages and Annotations in it")
    if format == "images" or (format == "auto" and not require_tags):
        if require_tags:
            raise DataError(f"{images}: format 'images' has no tags; give a table of tags")
        index = FolderIndex(images)
        rows = [Row(name, name, tagged=False) for name in index.images()]
        return Listing("images", index, rows, refused_files(index))
    index = FolderIndex(images)
    if format == "auto" and not has_class_folders(index):
        raise DataError(f"{images}: {_no_tags(images, index)}")
    return read_class_folders(index, classes)


def _no_tags(images: Path, index: FolderIndex) -> str:
    if not index.images():
        return "no image in this folder; check the path"
    table = next((path for path in (images / "tags.csv", images.parent / "tags.csv") if path.is_file()), None)
    hint = f"; did you mean {table}?" if table else ""
    return (
        "no tags for these images; give a table such as tags.csv (`image,tags`), or sort them into one "
        f"folder per class{hint}"
    )


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
) -> list[Item]:
    known = frozenset(classes)
    items: dict[str, tuple[Item, Row]] = {}
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
        item = Item(listing.index.files[name], name, row.tags & known, unknown, row.split, row.gt_mask)
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


def _merge(before: tuple[Item, Row], item: Item, row: Row, problems: list[Problem]) -> None:
    first, first_row = before
    if (first.tags, first.unknown, first.split) != (item.tags, item.unknown, item.split):
        raise DataError(
            f"{item.name} is listed twice and differently: {first_row.where}: {_described(first)}; "
            f"{row.where}: {_described(item)}. Keep one line per image, with all its tags"
        )
    problems.append(
        Problem("duplicate row", f"{item.name} is listed twice: {first_row.where} and {row.where}", item.name)
    )


def _described(item: Item) -> str:
    words = [*sorted(item.tags), *(f"?{name}" for name in sorted(item.unknown))]
    return (" ".join(words) or "none") + (f" (split {item.split})" if item.split else "")


def _report_unlisted(listing: Listing, used: set[str], problems: list[Problem]) -> None:
    if listing.source != "csv":
        return
    named = {problem.file for problem in problems}
    unlisted = [name for name in listing.index.images() if name not in used and name not in named]
    if unlisted:
        message = f"{len(unlisted)} images of the folder are not in the table, such as {unlisted[0]}"
        problems.append(Problem("unlisted images", message, level="note"))


def _of_split(items: Iterable[Item], split: str, images: Path) -> list[Item]:
    items = list(items)
    kept = [item for item in items if item.split == split]
    if not kept:
        found = ", ".join(sorted({item.split for item in items if item.split})) or "none (no column `split`)"
        raise DataError(f"{images}: no image of split {split!r}; splits found: {found}")
    return kept


def _readable(items: list[Item], verify: bool, problems: list[Problem]) -> list[Item]:
    def trouble(item: Item) -> str | None:
        try:
            if verify:
                read_image(item.image)
            else:
                image_size(item.image)
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


def _with_masks(items: list[Item], masks: Path, problems: list[Problem]) -> list[Item]:
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
