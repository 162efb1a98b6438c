"""Rows of a source, of which an image may have several: one a box, a label or a person who tagged it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What a row says.

    Attributes:
        record: name, tags, unknown classes and split.
        absent: classes that it says are absent, where it names them one by one: all others are unknown then.
        annotator: who said so; empty: unknown.
    """

    record: ImageRecord
    absent: frozenset[str] | None = None
    annotator: str = ""


def joined(
    rows: Sequence[LabelRow], what: str, classes: Sequence[str] | None, *, one: bool
) -> tuple[list[ImageRecord], list[Problem]]:
    """A record for each image, and a note where rows were joined.

    Args:
        rows: in the order of the source.
        what: the file, for messages.
        classes: the names that count, or None: those of the rows.
        one: a row is one label or box. Else rows are joined only where each has one tag and several images have
            several rows; other rows of one image are left as they are, and refused later if they differ.

    Raises:
        DataError: rows of one image belong to different splits.
    """
    groups: dict[str, list[LabelRow]] = {}
    for row in rows:
        groups.setdefault(_same_image(row.record.name), []).append(row)
    several = [group for group in groups.values() if len(group) > 1]
    if not one and several:
        differing = [group for group in several if len({row.record.tags for row in group}) > 1]
        one = len(differing) > 1 and all(len(row.record.present | row.record.unknown) <= 1 for row in rows)
    if one:
        rows = [group[0] if len(group) == 1 else _join(group) for group in groups.values()]
    named = frozenset(classes or ()) or frozenset(
        name for row in rows for name in row.record.present | row.record.unknown | (row.absent or frozenset())
    )
    records = [_with_unknown(row, named) for row in rows]
    notes = []
    if one and several:
        count = sum(map(len, several))
        text = f"{what}: {count} rows of {len(several)} images: the tags of an image's rows are joined"
        if any(len({row.annotator for row in group} - {""}) > 1 for group in several):
            text += "; what only some of the people who tagged it named is unknown"
        notes.append(note("joined rows", text))
    if any(row.absent is not None for row in rows) and any(row.record.unknown for row in rows) is False:
        open_ones = sum(bool(record.unknown) for record in records)
        if open_ones:
            text = f"{what}: classes are named present or absent; those not named are unknown ({open_ones} images)"
            notes.append(note("unknown classes", text))
    return records, notes


def note(kind: str, message: str, file: str | None = None) -> Problem:
    """Something that was guessed, for the user to check."""
    return Problem(kind, message, file, level="note")


def _with_unknown(row: LabelRow, named: frozenset[str]) -> ImageRecord:
    record = row.record
    if row.absent is None or record.tags is None:
        return record
    return record.with_tags(record.tags & named, named - record.present - row.absent)


def _join(group: Sequence[LabelRow]) -> LabelRow:
    first = group[0].record
    for row in group:
        if row.record.split != first.split:
            raise DataError(
                f"{first.name} is listed twice and differently: {first.where}: split {first.split}; "
                f"{row.record.where}: split {row.record.split}. An image belongs to one split"
            )
    said = [row for row in group if row.record.tags is not None]
    if not said:
        return group[0]
    present: frozenset[str] = frozenset().union(*(row.record.present for row in said))
    unknown = frozenset().union(*(row.record.unknown for row in said)) - present
    people: dict[str, frozenset[str]] = {}
    for row in said:
        people[row.annotator] = people.get(row.annotator, frozenset()) | row.record.present
    if len(people) > 1 and "" not in people:
        agreed = frozenset.intersection(*people.values())
        present, unknown = agreed, unknown | (present - agreed)
    absents = [row.absent for row in said if row.absent is not None]
    absent = frozenset().union(*absents) - present - unknown if absents else None
    return LabelRow(first.with_tags(present, unknown), absent)


def _same_image(name: str) -> str:
    """The name, without what follows the path of an address: a signature differs from row to row."""
    if "://" not in name or ("?" not in name and "#" not in name):
        return name
    try:
        parts = urlsplit(name)
    except ValueError:
        return name
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if "." in parts.path.rpartition("/")[2] else name
