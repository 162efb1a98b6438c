"""From what a source lists to records of images that exist: names looked up, tags checked, doubles removed."""

from __future__ import annotations

from collections.abc import Iterable

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.data.matching import match_names
from tag2mask.data.pause import garbage_collection_paused
from tag2mask.data.problem import Problem
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.sources import FILES
from tag2mask.masks.class_names import nearest, why_no_name


def class_names(listing: Listing, chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the classes in the order of their indices: those chosen, or else those that occur, sorted.

    Raises:
        DataError: a chosen class does not occur in a source with a fixed vocabulary, there is no class at all, or a
            name cannot be one.
    """
    if chosen is not None:
        if listing.complete and listing.classes is not None:
            missing = [name for name in chosen if name not in listing.classes]
            if missing:
                hint = nearest(missing[0], listing.classes)
                raise DataError(f"class {missing[0]!r} does not occur in {listing.index.root}{hint}")
        return chosen
    if listing.classes is not None:
        return _checked(listing, listing.classes)
    names = listing.names()
    if not names and listing.source != "images":
        raise DataError(
            f"{listing.index.root}: no tag in the whole source, so there is no class to learn{_why(listing)}"
        )
    return _checked(listing, names) if names else ()


def _why(listing: Listing) -> str:
    """The first problem of a source, warnings first, as the end of a message; else the first record without tags."""
    problems = sorted(listing.problems, key=lambda problem: problem.level != "warning")
    if problems:
        return f"; {printable(problems[0].message)}"
    bare = next((record for record in listing.records if record.tags is None and record.where), None)
    return f"; {printable(bare.where)}: nothing is said of {printable(bare.name)}" if bare is not None else ""


def _checked(listing: Listing, names: Iterable[str]) -> tuple[str, ...]:
    """The names, sorted, if all can be names of classes; of one that cannot, the message says where it stands."""
    ordered = tuple(sorted(names))
    for name in ordered:
        if why := why_no_name(name):
            holders = (record.where for record in listing.records if name in record.present | record.unknown)
            where = printable(next(holders, listing.index.root))
            raise DataError(f"{where}: {name!r} cannot be a class name: {why}")
    return ordered


@garbage_collection_paused()
def resolved(listing: Listing, classes: tuple[str, ...], *, chosen: bool, require_tags: bool) -> list[ImageRecord]:
    """The records of a listing with their image files; what cannot be used is added to its problems.

    Args:
        listing: what the source says.
        classes: names of the classes.
        chosen: the user named them, so that other tags are reported.
        require_tags: leave out images of which nothing is known; else they have `tags=None`, all classes unknown.

    Raises:
        DataError: an image is listed twice and differently.
    """
    known = frozenset(classes)
    records: dict[str, ImageRecord] = {}
    matches = match_names(listing.index, (record.name for record in listing.records))
    listing.problems += matches.notes
    for said in listing.records:
        if said.name in matches.failed:
            kind, message = matches.failed[said.name]
            listing.problems.append(Problem(kind, f"{said.where}: {message}", said.name))
            continue
        name = matches.found[said.name]
        others = (said.present | said.unknown) - known
        if others and chosen and not listing.complete:
            other = min(others)
            message = f"{said.where}: class {other!r} is not among the classes{nearest(other, classes)}"
            listing.problems.append(Problem("unknown class", f"{message}; the image is left out", name))
            continue
        if said.tags is None and require_tags:
            message = f"{said.where}: {name} has no tag; add its tags, or `none` if no class is present"
            listing.problems.append(Problem("image without tags", message, name))
            continue
        tags, unknown = (None, known) if said.tags is None else (said.tags & known, said.unknown & known)
        image = listing.index.files[name]
        record = ImageRecord(name, image, tags, unknown, said.split, said.gt_mask, said.corrected, where=said.where)
        if name in records:
            listing.problems.append(_double(records[name], record))
        else:
            records[name] = record
    _report_unlisted(listing, set(records))
    return list(records.values())


def _double(first: ImageRecord, again: ImageRecord) -> Problem:
    if (first.tags, first.unknown, first.split) != (again.tags, again.unknown, again.split):
        raise DataError(
            f"{again.name} is listed twice and differently: {first.where}: {_described(first)}; "
            f"{again.where}: {_described(again)}. Keep one line per image, with all its tags, or name the "
            "column `label` if each line holds one tag"
        )
    message = f"{again.name} is listed twice: {first.where} and {again.where}; remove one of them"
    return Problem("duplicate row", message, again.name)


def _described(record: ImageRecord) -> str:
    words = [*sorted(record.present), *(f"?{name}" for name in sorted(record.unknown))]
    return (" ".join(words) or "none") + (f" (split {record.split})" if record.split else "")


def _report_unlisted(listing: Listing, used: set[str]) -> None:
    if listing.source not in FILES:
        return
    named = {problem.file for problem in listing.problems}
    unlisted = [name for name in listing.index.images() if name not in used and name not in named]
    if unlisted:
        message = f"{len(unlisted)} images of the folder are not in the table, such as {unlisted[0]}"
        listing.problems.append(Problem("unlisted images", message, level="note"))
