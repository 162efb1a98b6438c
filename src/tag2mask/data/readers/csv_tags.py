"""Tags from a table, in either of two forms.

    image,tags              image,cat,dog
    a.jpg,cat dog           a.jpg,1,1
    b.jpg,?cat dog          b.jpg,,1
    c.jpg,none              c.jpg,0,0

On the left one column holds all tags, separated by spaces, commas, semicolons or bars; the
separator is recognised from the whole column. Names of classes that contain spaces need one of
the other three, or a file of classes. `?cat`: whether there is a cat is unknown. `none` or
`background`: no class is present.

On the right each class has a column: 1, true, yes, x for present; 0, false, no for absent; empty,
-1, ? for unknown.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection as Names
from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.csv_table import Table, read_table
from tag2mask.data.readers.listing import BACKGROUND_WORDS, Listing
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import check_names, check_spelling

_SEPARATORS = ",;|"
_PRESENT = frozenset({"1", "1.0", "true", "t", "yes", "y", "x"})
_ABSENT = frozenset({"0", "0.0", "false", "f", "no", "n"})
_UNKNOWN = frozenset({"", "-1", "-1.0", "?", "nan", "na", "n/a", "null", "unknown"})


def read_csv(tags: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a table of tags.

    Args:
        tags: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those of the table.

    Raises:
        DataError: the file is not such a table, or a column or separator makes no sense.
    """
    table = read_table(tags)
    if not table.rows:
        first = f"; {table.problems[0].message}" if table.problems else ""
        raise DataError(f"{tags}: the table has a header but no image{first}")
    listing = _wide(table, index, classes) if table.tags is None else _long(table, index, classes)
    listing.problems[:0] = table.problems
    return listing


def recognise_separator(cells: Names[str], classes: Sequence[str] | None, what: str) -> str | None:
    """The one separator of a column of tags: a comma, semicolon or bar, or None for white space.

    With `classes` it is the one that leaves the fewest names outside them.

    Raises:
        DataError: the column uses several, so that they contradict each other.
    """
    present = [separator for separator in _SEPARATORS if any(separator in cell for cell in cells)]
    if classes is not None:
        known = {*classes, *BACKGROUND_WORDS}

        def others(separator: str | None) -> int:
            return sum(
                count
                for name, count in Counter(tag for cell in cells for tag in _split(cell, separator)).items()
                if name.removeprefix("?") not in known
            )

        # A comma in a column without commas keeps each cell whole: a single name with spaces.
        return min((*present, None, ","), key=others)
    if not present:
        return None
    if len(present) > 1:
        used = " and ".join(repr(separator) for separator in present)
        raise DataError(f"{what}: cells use {used}; use one separator everywhere, or give a file of classes")
    separator = present[0]
    names = {tag for cell in cells for tag in _split(cell, separator)}
    mixed = next((name for name in sorted(names) if " " in name and set(name.split()) <= names), None)
    if mixed is not None:
        raise DataError(
            f"{what}: some cells separate tags by {separator!r}, others by spaces ({mixed!r}); "
            "use one separator everywhere, or give a file of classes"
        )
    return separator


def _long(table: Table, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    assert table.tags is not None
    what = f"{table.path}, column {table.header[table.tags]!r}"
    listing = Listing("csv", index)
    used = {table.image, table.tags, table.split}
    ignored = [name for k, name in enumerate(table.header) if k not in used]
    if ignored:
        listing.problems.append(
            Problem("ignored columns", f"{table.path.name}: not used: {', '.join(ignored)}", level="note")
        )
    cells = [unicodedata.normalize("NFC", row[table.tags].strip()) for _, row in table.rows]
    quoted = next((cell for cell in cells if cell.startswith(("[", "{", "("))), None)
    if quoted is not None:
        raise DataError(f"{what}: {quoted[:60]!r} is a list in a programming language; write `cat dog` instead")
    separator = recognise_separator(cells, classes, what)
    for (number, row), cell in zip(table.rows, cells, strict=True):
        where = f"{table.path.name}, line {number}"
        tags, unknown = _parse_cell(cell, separator, where)
        known = tags if cell else None
        listing.records.append(
            ImageRecord(row[table.image], tags=known, unknown=unknown, split=_split_name(table, row), where=where)
        )
    if classes is None:
        found = sorted(listing.names())
        if found:
            check_names(found, what)
            check_spelling(found, what)
            _check_separators(found, what)
    return listing


def _check_separators(names: Sequence[str], what: str) -> None:
    """Refuse names that look like several, joined by a separator that is not recognised."""
    for separator in ":/\\&+":
        pieces = Counter(piece.strip() for name in names for piece in name.split(separator))
        for name in names:
            parts = [piece.strip() for piece in name.split(separator)]
            if len(parts) > 1 and all(part and pieces[part] > 1 for part in parts):
                raise DataError(
                    f"{what}: {name!r} looks like several tags joined by {separator!r}; separate tags by spaces, "
                    "commas, semicolons or bars, or give a file of classes if this is one class"
                )


def _split(cell: str, separator: str | None) -> list[str]:
    return [tag.strip() for tag in cell.split(separator) if tag.strip()]


def _parse_cell(cell: str, separator: str | None, where: str) -> tuple[frozenset[str], frozenset[str]]:
    tags: set[str] = set()
    unknown: set[str] = set()
    words = _split(cell, separator)
    for word in words:
        name = word.removeprefix("?").strip()
        if not name:
            raise DataError(f"{where}: a lone '?' in the tags; write ?name for a class that is unknown")
        (unknown if word.startswith("?") else tags).add(name)
    if tags & unknown:
        raise DataError(f"{where}: {sorted(tags & unknown)} both present and unknown; write one of the two")
    said_none = {name for name in tags if name.casefold() == "none"}
    if said_none and len(tags) > 1:
        raise DataError(f"{where}: 'none' beside other tags ({cell!r}); write one or the other")
    tags = {name for name in tags if name.casefold() not in BACKGROUND_WORDS}
    return frozenset(tags), frozenset(unknown)


def _wide(table: Table, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    columns = {
        unicodedata.normalize("NFC", name): k
        for k, name in enumerate(table.header)
        if k not in {table.image, table.split} and name.casefold() not in BACKGROUND_WORDS
    }
    others = len(table.header) - 1 - (table.split is not None)
    background = sum(name.casefold() in BACKGROUND_WORDS for name in table.header)
    if len(columns) + background < others:
        raise DataError(f"{table.path}: two columns have the same name; remove one ({', '.join(table.header)})")
    if not columns:
        raise DataError(f"{table.path}: none of the columns {', '.join(table.header)} is a column of tags")
    listing = Listing("csv", index, classes=frozenset(columns), complete=True)
    if classes is None:
        check_names(list(columns), f"{table.path}, header")
        check_spelling(columns, f"{table.path}, header")
    else:
        columns = {name: k for name, k in columns.items() if name in set(classes)}
    for number, row in table.rows:
        where = f"{table.path.name}, line {number}"
        tags = frozenset(name for name, k in columns.items() if _value(row[k], name, table, number) == 1)
        unknown = frozenset(name for name, k in columns.items() if _value(row[k], name, table, number) == -1)
        known = tags if len(unknown) < len(columns) else None
        listing.records.append(
            ImageRecord(row[table.image], tags=known, unknown=unknown, split=_split_name(table, row), where=where)
        )
    return listing


def _value(cell: str, name: str, table: Table, number: int) -> int:
    text = cell.strip().casefold()
    for words, value in ((_PRESENT, 1), (_ABSENT, 0), (_UNKNOWN, -1)):
        if text in words:
            return value
    raise DataError(
        f"{table.path}, line {number}, column {name!r}: {cell.strip()[:40]!r} is not a tag; expected 1 "
        "(present), 0 (absent) or nothing (unknown). Remove columns that are not classes, name the column "
        "of tags `tags`, or give a file of classes"
    )


def _split_name(table: Table, row: Sequence[str]) -> str | None:
    return (row[table.split].strip() or None) if table.split is not None else None
