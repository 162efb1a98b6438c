"""Tags from a table, in either of two forms.

    image,tags              image,cat,dog
    a.jpg,cat dog           a.jpg,1,1
    b.jpg,?cat dog          b.jpg,,1
    c.jpg,none              c.jpg,0,0

On the left one column holds all tags, separated by spaces, commas, semicolons or bars; the
separator is recognised from the whole column. Names of classes that contain spaces need one of
the other three, or a file of classes. `?cat`: whether there is a cat is unknown. `none` or
`background`: no class is present. Under `label`, `class`, `category` or `tag` a cell without a separator is one name,
and an image may have several rows: one a box or a label.

On the right each class has a column: 1, true, yes, x for present; 0, false, no for absent; empty,
-1, ? for unknown (`csv_wide`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.csv_table import ImageNames, Row, Table, read_table
from tag2mask.data.readers.csv_wide import read_wide
from tag2mask.data.readers.header_words import column_key
from tag2mask.data.readers.headerless import with_header, without_false_header
from tag2mask.data.readers.label_rows import LabelRow, joined, note
from tag2mask.data.readers.layout_words import DOUBTFUL_WORDS, plain_word
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.table_roles import STATES, Roles, cells_of, choose_roles, split_joined, split_name
from tag2mask.data.readers.tag_cells import is_empty_word, read_cells
from tag2mask.images.decode import IMAGE_SUFFIXES
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import check_names, check_spelling


def read_csv(tags: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a table of tags.

    Args:
        tags: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those of the table.

    Raises:
        DataError: the file is not such a table, or a column or separator makes no sense.
    """
    listing, what = list_table(tags, index, classes)
    if classes is None:
        check_tag_names(sorted(listing.classes or listing.names()), what)
    return listing


def list_table(tags: Path, index: FolderIndex, classes: Sequence[str] | None) -> tuple[Listing, str]:
    """Records of a table of tags, whose names of classes are not checked, and where these names stand.

    Raises:
        DataError: see `read_csv`.
    """
    names = ImageNames(index)
    table = read_table(tags, names)
    if not table.rows:
        raise DataError(f"{tags}: the table has a header but no image")
    notes = list(table.notes)
    _refuse_tools(tags, set(map(column_key, table.header or ())))
    if table.header is None:
        table, said = with_header(table, names)
        notes.append(said)
    assert table.header is not None
    roles = choose_roles(tags, table.header, table.rows, names, classes)
    if (bare := without_false_header(table, roles.image)) is not table:
        notes.append(f"the header {','.join(table.header)[:40]!r} has fewer columns than the rows and is not used")
        table, said = with_header(bare, names)
        notes.append(said)
        assert table.header is not None
        roles = choose_roles(tags, table.header, table.rows, names, classes)
    rows, problems = _fitted(table, roles)
    if not rows:
        first = f"; {problems[0].message}" if problems else ""
        raise DataError(f"{tags}: the table has a header but no image{first}")
    table = replace(table, rows=tuple(rows))
    listing = Listing("csv", index)
    listing.problems += problems
    listing.problems += [note("guessed columns", f"{tags.name}: {text}") for text in (*notes, *roles.notes)]
    if roles.tags or roles.joined_name:
        _long(table, roles, names, classes, listing)
        return listing, _column(table, roles)
    if roles.pixels is not None:
        _pixels_alone(table, roles, classes, listing)
    else:
        read_wide(table, roles, classes, listing)
    return listing, f"{tags}, header"


def _refuse_tools(path: Path, keys: set[str]) -> None:
    """Refuse tables of tools that hold JSON of their own in a cell."""
    if {"regionshapeattributes", "regionattributes"} & keys:
        raise DataError(
            f"{path}: VIA's CSV, which is not read; export the annotations from VIA as JSON or COCO instead"
        )
    if {"externalid", "datarowid", "labeleddata"} & keys and "label" in keys and {"id", "projectname"} & keys:
        raise DataError(f"{path}: Labelbox's CSV, which is not read; export COCO JSON, or write a table `image,tags`")


def check_tag_names(names: Sequence[str], what: str) -> None:
    """Refuse names that are no classes: of files, too many, alike but for their case, or several joined.

    Raises:
        DataError: one of them cannot be a class.
    """
    if not names:
        return
    file = next((name for name in names if PurePosixPath(name[-255:]).suffix.lower() in IMAGE_SUFFIXES), None)
    if file is not None:
        raise DataError(f"{what}: {file!r} is the name of a file, not a class; name the column of tags `tags`")
    check_names(names, what)
    check_spelling(names, what)
    for separator in ":/\\&+":
        pieces = Counter(piece.strip() for name in names for piece in name.split(separator))
        for name in names:
            parts = [piece.strip() for piece in name.split(separator)]
            if len(parts) > 1 and all(part and pieces[part] > 1 for part in parts):
                raise DataError(
                    f"{what}: {name!r} looks like several tags joined by {separator!r}; separate tags by spaces, "
                    "commas, semicolons or bars, or give a file of classes if this is one class"
                )


def _fitted(table: Table, roles: Roles) -> tuple[list[Row], list[Problem]]:
    """The rows as wide as the header, and a problem for each that is left out."""
    assert table.header is not None
    width, path = len(table.header), table.path
    last = roles.tags == (width - 1,)
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, cells in table.rows:
        why = None
        if len(cells) > width and last:
            cells = (*cells[: width - 1], table.delimiter.join(cells[width - 1 :]))
        elif len(cells) > width and any(cell.strip() for cell in cells[width:]):
            why = f"{len(cells)} cells where the header has {width}; put cells that hold the delimiter in quotes"
        elif len(cells) < width and not roles.tags:
            why = f"{len(cells)} cells where the header has {width}; leave a cell empty for unknown"
        cells = (*cells[:width], *[""] * (width - len(cells)))
        if why is None and not cells[roles.image].strip():
            why = "no image name; write one or remove the line"
        if why is None:
            rows.append((number, cells))
        else:
            problems.append(Problem("bad row", f"{path.name}, line {number}: {why}", path.name))
    return rows, problems


def _long(table: Table, roles: Roles, names: ImageNames, classes: Sequence[str] | None, listing: Listing) -> None:
    assert table.header is not None
    header, path = table.header, table.path
    what = _column(table, roles)
    unused = [k for k in range(len(header)) if k not in roles.used()]
    ignored = [
        header[k] or f"column {k + 1} without a name" for k in unused if header[k] or any(cells_of(table.rows, k))
    ]
    if ignored:
        listing.problems.append(note("ignored columns", f"{path.name}: not used: {', '.join(ignored)}"))
    if roles.joined_name:
        pairs = [split_joined(cells[roles.image].strip(), names) or (cells[roles.image], "") for _, cells in table.rows]
        words: list[list[str] | None] = [[name] if name else None for _, name in pairs]
        files = [file for file, _ in pairs]
        text = f"{path.name}: the cells of {header[roles.image]!r} are the name of an image, `_` and a class"
        listing.problems.append(note("guessed columns", text))
    else:
        files = [cells[roles.image] for _, cells in table.rows]
        found = _columns(table, roles, classes, what)
        words = found[0]
        listing.problems += [note("read tags", f"{what}: {text}") for text in found[1]]
    states = _states(table, roles)
    if classes is None and roles.one and all(state is None for state in states):
        _refuse_bare_bits(table, roles, what)
    rows: list[LabelRow] = []
    parsed: dict[tuple[str, ...], tuple[frozenset[str], frozenset[str]]] = {}  # the same words come again and again
    for (number, cells), file, some, state in zip(table.rows, files, words, states, strict=True):
        where = f"{path.name}, line {number}"
        key = tuple(some or ())
        if key not in parsed:
            parsed[key] = parse_words(key, where, classes)
        present, unknown = parsed[key]
        split = split_name(roles, cells)
        record = ImageRecord(file, None, present if some is not None else None, unknown, split, where=where)
        person = cells[roles.annotator].strip() if roles.annotator is not None else ""
        rows.append(_with_state(record, state, person))
    listing.records, notes = joined(_empty_boxes(rows, table, roles, listing), path.name, classes, one=roles.one)
    listing.problems += notes + doubtful_words(words, path.name, classes)


def _column(table: Table, roles: Roles) -> str:
    assert table.header is not None
    return f"{table.path}, column {table.header[(*roles.tags, roles.image)[0]]!r}"


def _columns(
    table: Table, roles: Roles, classes: Sequence[str] | None, what: str
) -> tuple[list[list[str] | None], list[str]]:
    """The words of each row, of all its columns of tags together."""
    words: list[list[str] | None] = [None] * len(table.rows)
    notes: list[str] = []
    for column in roles.tags:
        found = read_cells([cells[column] for _, cells in table.rows], classes, what, one=roles.one)
        notes += [text for text in found.notes if text not in notes]
        for k, some in enumerate(found.words):
            if some is not None:
                words[k] = [*(words[k] or []), *some]
    return words, notes


def _states(table: Table, roles: Roles) -> list[int | None]:
    """Whether each row's class is there: 1, 0 or -1; None where the table has no such column.

    Raises:
        DataError: a column of confidences holds fractions.
    """
    if roles.state is None and roles.pixels is None:
        return [None] * len(table.rows)
    assert table.header is not None
    if roles.state is None:
        assert roles.pixels is not None
        # A line without class and pixels says nothing of single classes: `_empty_boxes`.
        filled = [
            STATES.get(cells[roles.pixels].strip().casefold()) != -1
            or (bool(roles.tags) and not any(cells[column].strip() for column in roles.tags))
            for _, cells in table.rows
        ]
        return [int(yes) for yes in filled] if not all(filled) else [None] * len(table.rows)
    states: list[int | None] = []
    for number, cells in table.rows:
        cell = cells[roles.state].strip()
        state = STATES.get(cell.casefold())
        if state is None:
            raise DataError(
                f"{table.path}, line {number}, column {table.header[roles.state]!r}: {cell[:40]!r} is neither 1 (the "
                "class is there) nor 0 (it is not). Keep the rows that count as present and remove this column"
            )
        states.append(state)
    return states if any(state == 0 for state in states) else [None if state == 1 else state for state in states]


def _with_state(record: ImageRecord, state: int | None, person: str) -> LabelRow:
    if state is None or record.tags is None:
        return LabelRow(record, None if state is None else frozenset(), person)
    if state == 1:
        return LabelRow(record, frozenset(), person)
    if state == 0:
        return LabelRow(record.with_tags(frozenset(), record.unknown), record.tags, person)
    return LabelRow(record.with_tags(frozenset(), record.tags), frozenset(), person)


def _empty_boxes(rows: list[LabelRow], table: Table, roles: Roles, listing: Listing) -> list[LabelRow]:
    """In a table of boxes or pixels, a row without these and a class says that its image shows nothing."""
    if not roles.boxes and (roles.pixels is None or roles.joined_name):
        return rows
    others = [k for k in range(len(table.header or ())) if k not in roles.used() or k == roles.pixels]
    what = "box" if roles.boxes else "class and pixels"
    found = 0
    for k, row in enumerate(rows):
        cells = table.rows[k][1]
        if row.record.tags is None and not any(cells[other].strip() for other in others):
            rows[k] = replace(row, record=replace(row.record, tags=frozenset()))
            found += 1
    if found:
        text = (
            f"{table.path.name}: {found} rows without a {what}: their images show no class, if no other row names one"
        )
        listing.problems.append(note("empty boxes", text))
    return rows


def _refuse_bare_bits(table: Table, roles: Roles, what: str) -> None:
    """Refuse a column `label` of 1 and 0 alone: two classes, or one that is there or not?"""
    found = {cells[column].strip() for _, cells in table.rows for column in roles.tags} - {""}
    if len(found) > 1 and found <= {"0", "1", "-1", "0.0", "1.0", "-1.0"}:
        raise DataError(
            f"{what}: {' and '.join(sorted(found))} alone may be two classes, or one class that is absent or present. "
            "For two, give their names in the order of the numbers as `classes`; for one, name the column after the "
            "class (`image,scratch`)"
        )


def parse_words(
    words: Sequence[str], where: str, classes: Sequence[str] | None
) -> tuple[frozenset[str], frozenset[str]]:
    """Classes that are present and unknown, from the words of a row.

    Raises:
        DataError: they contradict each other.
    """
    tags: set[str] = set()
    unknown: set[str] = set()
    for word in words:
        name = word.removeprefix("?").strip()
        if not name:
            raise DataError(f"{where}: a lone '?' in the tags; write ?name for a class that is unknown")
        (unknown if word.startswith("?") else tags).add(name)
    if tags & unknown:
        raise DataError(f"{where}: {sorted(tags & unknown)} both present and unknown; write one of the two")
    if len(tags) > 1 and any(name.casefold() == "none" for name in tags):
        raise DataError(f"{where}: 'none' beside other tags ({' '.join(words)!r}); write one or the other")
    kept = {name for name in tags if not is_empty_word(name) or name in (classes or ())}
    return frozenset(kept), frozenset(unknown)


def doubtful_words(words: Iterable[list[str] | None], what: str, classes: Sequence[str] | None) -> list[Problem]:
    """Notes on tags that were read as "no class is present", and on those that might mean it."""
    counted = Counter(word for some in words for word in some or ())
    notes = []
    for word, number in sorted(counted.items()):
        if word in (classes or ()) or word.casefold() in {"none", "background"}:
            continue
        if is_empty_word(word):
            text = f"{what}: {word!r} ({number} rows) is read as `none`: no class is present"
            notes.append(note("empty tags", f"{text}; if it is a class, list it in a file of `classes`"))
        elif plain_word(word) in DOUBTFUL_WORDS:
            text = f"{what}: {word!r} ({number} rows) is read as a class; if it means no class at all, write `none`"
            notes.append(note("doubtful tags", text))
    return notes


def _pixels_alone(table: Table, roles: Roles, classes: Sequence[str] | None, listing: Listing) -> None:
    """A table of run lengths of one class, whose name only the caller knows."""
    assert table.header is not None and roles.pixels is not None
    if classes is None or len(classes) != 1:
        raise DataError(
            f"{table.path}: run lengths in column {table.header[roles.pixels]!r} (as of Kaggle), but no column names "
            f"their class; give a file of `classes` with its one name, or add a column `class`"
        )
    name = classes[0]
    rows = [
        _with_state(
            ImageRecord(cells[roles.image], None, frozenset({name}), where=f"{table.path.name}, line {number}"),
            int(STATES.get(cells[roles.pixels].strip().casefold()) != -1),
            "",
        )
        for number, cells in table.rows
    ]
    listing.records, notes = joined(rows, table.path.name, classes, one=True)
    text = f"{table.path.name}: run lengths in a row mean that {name!r} is present, an empty cell that it is not"
    listing.problems += [*notes, note("guessed columns", text)]
