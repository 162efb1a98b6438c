"""Tags from a table with a column per class: 1, 0, or nothing where it is unknown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.readers.csv_table import Table
from tag2mask.data.readers.header_words import BOX_COLUMNS, column_key
from tag2mask.data.readers.label_rows import LabelRow, joined, note
from tag2mask.data.readers.layout_words import UNLABELLED_WORDS, plain_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.table_roles import (
    ANSWERS,
    STATES,
    Roles,
    cells_of,
    is_other,
    is_row_numbers,
    names_no_class,
    split_name,
)
from tag2mask.data.readers.tag_cells import is_empty_word


def read_wide(table: Table, roles: Roles, classes: Sequence[str] | None, listing: Listing) -> None:
    """Add the records of a table with a column per class to a listing.

    Raises:
        DataError: two columns have one name, a chosen class has no column, or a cell is no tag.
    """
    assert table.header is not None
    columns = _named_columns(table, roles, classes, listing)
    empty = {name: k for name, k in columns.items() if is_empty_word(name) and name not in (classes or ())}
    unlabelled = [
        k for name, k in columns.items() if plain_word(name) in UNLABELLED_WORDS and name not in (classes or ())
    ]
    candidates = {name: k for name, k in columns.items() if name not in empty and k not in unlabelled}
    if classes is not None:
        listing.classes = frozenset(candidates)
        candidates = {name: k for name, k in candidates.items() if name in set(classes)}
    else:
        candidates = _class_columns(table, candidates, roles, listing)
        listing.classes = frozenset(candidates)
    listing.complete = True
    said = [name for name in empty if name.casefold() not in {"none", "background"}]
    if said:
        text = f"{table.path.name}: column {said[0]!r} is read as `none`: 1 says that no class is present"
        listing.problems.append(note("empty tags", text))
    if unlabelled:
        text = f"{table.path.name}: column {table.header[unlabelled[0]]!r} is no class: 1 says that nothing is known"
        listing.problems.append(note("empty tags", text))
    values = {name: _values(table, name, k, listing) for name, k in candidates.items()}
    _minus_one(values, table, listing)
    blank = [any(STATES.get(cells[k].strip().casefold()) == 1 for k in empty.values()) for _, cells in table.rows]
    rows: list[LabelRow] = []
    for position, (number, cells) in enumerate(table.rows):
        where = f"{table.path.name}, line {number}"
        tags = frozenset(name for name, column in values.items() if column[position] == 1)
        unknown = frozenset(name for name, column in values.items() if column[position] == -1)
        if blank[position] and not tags:
            unknown = frozenset()
        known = tags if len(unknown) < len(values) else None
        if not tags and any(STATES.get(cells[k].strip().casefold()) == 1 for k in unlabelled):
            known, unknown = None, frozenset()
        split = split_name(roles, cells)
        rows.append(LabelRow(ImageRecord(cells[roles.image], tags=known, unknown=unknown, split=split, where=where)))
    if roles.boxes:
        listing.records, notes = joined(rows, table.path.name, classes, one=True)
        listing.problems += notes
    else:
        listing.records = [row.record for row in rows]


def _named_columns(table: Table, roles: Roles, classes: Sequence[str] | None, listing: Listing) -> dict[str, int]:
    """Columns that may be classes, by name."""
    assert table.header is not None
    columns: dict[str, int] = {}
    dropped: list[str] = []
    for k, cell in enumerate(table.header):
        name = unicodedata.normalize("NFC", cell)
        chosen = classes is not None and name in classes
        if k in {roles.image, roles.split} or (k in roles.used() and not chosen):
            continue
        box = roles.boxes and column_key(name) in BOX_COLUMNS
        if not chosen and (box or is_row_numbers(cell, table.rows, k) or names_no_class(cell)):
            dropped += [name or "the first column, of row numbers"] if name or any(cells_of(table.rows, k)) else []
        elif name in columns:
            raise DataError(f"{table.path}: two columns have the same name; remove one ({', '.join(table.header)})")
        else:
            columns[name] = k
    if dropped:
        text = f"{table.path.name}: not used: {', '.join(dropped)} (row numbers, identifiers, boxes)"
        listing.problems.append(note("ignored columns", text))
    if not [name for name in columns if not is_empty_word(name) or name in (classes or ())]:
        raise DataError(f"{table.path}: none of the columns {', '.join(table.header)} is a column of tags")
    if classes is not None and not set(classes) & set(columns):
        numbers = {int(name): name for name in columns if name.isdecimal() and len(name) < 6}
        if len(numbers) == len(columns) == len(classes):
            text = f"{table.path.name}: columns {min(numbers)} to {max(numbers)} are named by the order of `classes`"
            listing.problems.append(note("named numbers", text))
            return {name: columns[numbers[number]] for name, number in zip(classes, sorted(numbers), strict=True)}
    return columns


def _class_columns(table: Table, columns: dict[str, int], roles: Roles, listing: Listing) -> dict[str, int]:
    """The columns that are classes: not those of texts, where others hold 1 and 0."""
    kinds = {name: _kind(name, cells_of(table.rows, k)) for name, k in columns.items()}
    if any(kind in {"tag", "count"} for kind in kinds.values()):
        texts = [name for name, kind in kinds.items() if kind == "text"]
        if texts:
            shown = ", ".join(f"{name!r} ({_example(table, columns[name])!r})" for name in texts[:20])
            text = f"{table.path.name}: {len(texts)} columns hold neither 1 nor 0 and are not used: {shown}"
            listing.problems.append(note("ignored columns", text))
        return {name: k for name, k in columns.items() if kinds[name] != "text"}
    if roles.boxes:
        raise DataError(
            f"{table.path}: boxes, but no column of their classes among {', '.join(table.header or ())[:200]}; add a "
            "column `class`"
        )
    return columns


def _kind(name: str, cells: Sequence[str]) -> str:
    """What a column holds: `tag` (1, 0, nothing), `count` (more than 1 too), `text`, or `other`."""
    words = {cell.casefold() for cell in cells}
    strange = [word for word in words if word not in STATES]
    if not strange:
        return "tag"
    if is_other(name):
        return "text"
    if all(_is_count(word) for word in strange) and words & {"0", "0.0", "1", "1.0"} and not words & {"-1", "-1.0"}:
        return "count"
    numbers = any(word.replace(".", "", 1).replace("-", "", 1).isdecimal() for word in strange)
    return "text" if len(strange) == len(words - {""}) and not numbers and not words & ANSWERS else "other"


def _is_count(word: str) -> bool:
    whole = word.removesuffix(".0")
    return whole.isdecimal() and len(whole) < 7


def _values(table: Table, name: str, column: int, listing: Listing) -> list[int]:
    """Each cell of a class as a state.

    Raises:
        DataError: a cell is no tag.
    """
    cells = cells_of(table.rows, column)
    counts = _kind(name, cells) == "count"
    values: list[int] = []
    larger = 0
    for (number, _), cell in zip(table.rows, cells, strict=True):
        state = STATES.get(cell.casefold())
        if state is None and counts and _is_count(cell):
            state, larger = 1, larger + 1
        if state is None:
            raise DataError(f"{table.path}, line {number}, column {name!r}: {_no_tag(table, cell, cells)}")
        values.append(state)
    if larger:
        text = f"{table.path.name}, column {name!r}: {larger} numbers above 1 are read as counts: the class is present"
        listing.problems.append(note("counts", text))
    return values


def _no_tag(table: Table, cell: str, cells: Sequence[str]) -> str:
    try:
        fractions = all(0 <= float(one.replace(",", ".")) <= 1 for one in cells if one.casefold() not in STATES)
    except ValueError:
        fractions = False
    if fractions:
        return (
            f"{cell[:40]!r} is not a tag but a fraction, such as a probability. Decide from which value on the class "
            "is present, and write 1 (present), 0 (absent) or nothing (unknown)"
        )
    assert table.header is not None
    classes = [
        name for k, name in enumerate(table.header) if all(one.casefold() in STATES for one in cells_of(table.rows, k))
    ]
    listed = f" ({', '.join(classes[:12])})" if classes else ""
    return (
        f"{cell[:40]!r} is not a tag; expected 1 (present), 0 (absent) or nothing (unknown). Remove columns that are "
        f"not classes, name the column of tags `tags`, or give a file of classes{listed}"
    )


def _minus_one(values: dict[str, list[int]], table: Table, listing: Listing) -> None:
    """Where -1 stands beside 1, and neither 0 nor an empty cell does, -1 says absent, as in CelebA."""
    assert table.header is not None
    words = {
        cells[k].strip().casefold() for _, cells in table.rows for k, name in enumerate(table.header) if name in values
    }
    if not words or not words <= {"1", "-1", "1.0", "-1.0"} or not words & {"-1", "-1.0"}:
        return
    for name, column in values.items():
        values[name] = [0 if value == -1 else value for value in column]
    text = f"{table.path.name}: the cells are 1 and -1 alone, never 0: -1 is read as absent (an empty cell is unknown)"
    listing.problems.append(note("minus one", text))


def _example(table: Table, column: int) -> str:
    return next((cell[:20] for cell in cells_of(table.rows, column) if cell), "")
