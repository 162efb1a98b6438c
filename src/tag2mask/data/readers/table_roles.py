"""What the columns of a table are: the image, its tags, its split, boxes, or one column per class.

A header word decides where it is known (`header_words`), the cells where it is not or where several are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.readers.csv_table import ImageNames, Row, no_image_column
from tag2mask.data.readers.header_words import (
    ANNOTATOR_COLUMNS,
    BOX_COLUMNS,
    FLAG_SPLITS,
    IMAGE_COLUMNS,
    MANY_TAGS_COLUMNS,
    ONE_TAG_COLUMNS,
    OTHER_COLUMNS,
    PIXEL_COLUMNS,
    PLAIN_WORDS,
    SPLIT_COLUMNS,
    STATE_COLUMNS,
    TAGS_COLUMNS,
    WEAK_MANY_COLUMNS,
    WEAK_ONE_COLUMNS,
    column_key,
    is_identifier,
    is_index_name,
    unnumbered_key,
)
from tag2mask.data.readers.layout_words import split_of_word

STATES = {
    **dict.fromkeys(
        ("1", "1.0", "true", "t", "yes", "y", "x", "ja", "oui", "si", "sí", "wahr", "vrai", "verdadero"), 1
    ),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n", "nein", "non", "falsch", "faux"), 0),
    **dict.fromkeys(("", "-1", "-1.0", "?", "nan", "na", "n/a", "null", "unknown", "#n/a", "<na>"), -1),
}
"""Words for present (1), absent (0) and unknown (-1)."""

ANSWERS = frozenset({"present", "absent", "positive", "negative", "pos", "neg"})
"""Words that answer whether a class is there, and so are no names of classes."""

_SAMPLE = 500
_BOX = 4


@dataclass(frozen=True, slots=True)
class Roles:
    """Positions of the columns.

    Attributes:
        image: of image names.
        tags: of tags; none: each class has a column.
        one: the header is that of a single tag a row.
        split: of splits, or None.
        split_of_flag: the split that yes means in that column, or None.
        state: whether the row's class is there, or None.
        pixels: run lengths, empty where the class is not there, or None.
        annotator: who tagged the row, or None.
        boxes: a row is a box.
        joined_name: the names of images end in `_` and the row's class.
        notes: what was guessed.
    """

    image: int
    tags: tuple[int, ...] = ()
    one: bool = False
    split: int | None = None
    split_of_flag: str | None = None
    state: int | None = None
    pixels: int | None = None
    annotator: int | None = None
    boxes: bool = False
    joined_name: bool = False
    notes: tuple[str, ...] = field(default=())

    def used(self) -> set[int | None]:
        """Positions of all columns that have a role."""
        return {self.image, *self.tags, self.split, self.state, self.pixels, self.annotator}


def choose_roles(
    path: Path, header: Sequence[str], rows: Sequence[Row], names: ImageNames, classes: Collection[str] | None
) -> Roles:
    """The roles of the columns of a table.

    Args:
        path: the file, for messages.
        header: words above the columns.
        rows: lines and cells.
        names: of the images of the folder.
        classes: the names that count, or None.

    Raises:
        DataError: there is no column of images, or several columns could hold images or tags.
    """
    keys = [column_key(cell) for cell in header]
    notes: list[str] = []
    image = _image_column(path, header, rows, names, notes)
    if image is None:
        raise DataError(f"{path}: {no_image_column(header)}")
    split, flag = _split_column(header, keys, image)
    if (columns := _columns_of(header, rows, image, classes)) is not None:
        return Roles(image) if split in columns else Roles(image, split=split, split_of_flag=flag)
    roles = Roles(
        image,
        split=split,
        split_of_flag=flag,
        pixels=_first(keys, PIXEL_COLUMNS, {image, split}),
        annotator=_first(keys, ANNOTATOR_COLUMNS, {image, split}),
        boxes=sum(key in BOX_COLUMNS for key in keys) >= _BOX or bool({"bbox", "box", "bboxes", "boxes"} & set(keys)),
    )
    tags = _tag_columns(path, header, rows, roles, classes, notes) or _only_texts(header, rows, roles, classes, notes)
    one = bool(tags) and not any(_is_many(header[k]) for k in tags)
    roles = replace(roles, tags=tags, one=one, joined_name=_names_joined(rows, image, names, roles, tags, keys))
    if roles.joined_name:
        values = [k for k in tags if set(states_of(rows, k)) <= {0, 1}]
        roles = replace(roles, tags=(), one=True, state=values[0] if values else _state_column(keys, roles))
    elif tags:
        roles = replace(roles, state=_state_column(keys, roles))
        roles = _state_beside_names(header, rows, roles, notes)
    return replace(roles, notes=(*_guessed_words(header, roles, notes), *notes))


def _columns_of(
    header: Sequence[str], rows: Sequence[Row], image: int, classes: Collection[str] | None
) -> set[int] | None:
    """Columns of the chosen classes, where each has one of its very name with states alone: `label` may be a class."""
    by_name = {unicodedata.normalize("NFC", cell.strip()): k for k, cell in enumerate(header) if k != image}
    if not classes or not by_name.keys() >= set(classes):
        return None
    found = {by_name[name] for name in classes}
    return found if all(state is not None for k in found for state in states_of(rows, k)) else None


def _guessed_words(header: Sequence[str], roles: Roles, notes: Sequence[str]) -> list[str]:
    """A note on columns found by a word that is not one of the plain ones, if none says it yet."""
    named: dict[str, list[int | None]] = {
        "image names": [roles.image],
        "tags": list(roles.tags),
        "splits": [roles.split],
    }
    said = [
        f"{what} from {' and '.join(repr(header[k]) for k in found if k is not None)}"
        for what, found in named.items()
        if any(k is not None and unnumbered_key(header[k]) not in PLAIN_WORDS for k in found)
        and not any(repr(header[k]) in one for one in notes for k in found if k is not None)
    ]
    return [f"columns: {', '.join(said)}"] if said else []


def cells_of(rows: Sequence[Row], column: int) -> list[str]:
    """The stripped cells of a column; empty where a row is too short."""
    return [row[column].strip() if column < len(row) else "" for _, row in rows]


def states_of(rows: Sequence[Row], column: int) -> list[int | None]:
    """Each cell of a column as a state, None where it is none."""
    return [STATES.get(cell.casefold()) for cell in cells_of(rows, column)]


def split_name(roles: Roles, cells: Sequence[str]) -> str | None:
    """The split of a row, in the words `train`, `val` and `test` where it is one of them."""
    if roles.split is None or not (text := cells[roles.split].strip()):
        return None
    if roles.split_of_flag is not None:
        state = STATES.get(text.casefold())
        other = "val" if roles.split_of_flag == "train" else "train"
        return roles.split_of_flag if state == 1 else other if state == 0 else None
    return split_of_word(text) or text


def is_row_numbers(header: str, rows: Sequence[Row], column: int) -> bool:
    """Whether a column holds the row numbers that a spreadsheet or pandas put there, or nothing at all."""
    cells = cells_of(rows, column)
    if not header.strip() and not any(cells):
        return True
    named = column == 0 or header.strip().casefold().startswith("unnamed")
    if not (named and is_index_name(header)):
        return False
    whole = all(cell.removesuffix(".0").isdecimal() and len(cell) < 19 for cell in cells)
    return whole and (len(set(cells)) == len(cells) or not header.strip() or column_key(header).startswith("unnamed"))


def _image_column(
    path: Path, header: Sequence[str], rows: Sequence[Row], names: ImageNames, notes: list[str]
) -> int | None:
    known = [k for k, cell in enumerate(header) if column_key(cell) in IMAGE_COLUMNS]
    sample = rows[:: max(1, len(rows) // _SAMPLE)]

    def share(column: int) -> float:
        cells = [cell for cell in cells_of(sample, column) if cell]
        return sum(map(names.named_by, cells)) / len(cells) if cells else 0.0

    if len(known) == 1 and (len(header) == 1 or share(known[0]) > 0 or len(header) > 64):
        return known[0]
    shares = {k: share(k) for k in (known if len(header) > 64 else range(len(header)))}
    best = [k for k in shares if shares[k] >= 0.5 and shares[k] == max(shares.values())]
    if known and not best:
        plain = [k for k in known if column_key(header[k]) not in {"name", "id"}] or known
        if len(plain) == 1:
            return plain[0]
        best = plain
    best = [k for k in best if k in known] or best
    if len(best) > 1:
        best = [k for k in best if column_key(header[k]) not in {"name", "id"}] or best
    if len(best) > 1:
        exact = [k for k in best if any(names.listed(cell) and "." in cell for cell in cells_of(sample, k))]
        best = exact if len(exact) == 1 else best
    if len(best) > 1:
        both = " and ".join(repr(header[k]) for k in best[:3])
        raise DataError(f"{path}: columns {both} mean the same; keep one of them")
    if not best:
        samples = {k: [cell for cell in cells_of(sample, k) if cell] for k in range(min(len(header), 64))}
        best = [k for k, cells in samples.items() if cells and all(split_joined(cell, names) for cell in cells)][:1]
    if best and best[0] not in known:
        notes.append(f"column {header[best[0]]!r} is read as the image names, as its cells are")
    return best[0] if best else None


def _split_column(header: Sequence[str], keys: Sequence[str], image: int) -> tuple[int | None, str | None]:
    found = _first(keys, SPLIT_COLUMNS, {image})
    if found is not None:
        return found, None
    flag = _first(keys, FLAG_SPLITS.keys(), {image})
    return flag, None if flag is None else FLAG_SPLITS[keys[flag]]


def _tag_columns(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    roles: Roles,
    classes: Collection[str] | None,
    notes: list[str],
) -> tuple[int, ...]:
    free = [k for k in range(len(header)) if k not in roles.used()]
    strong = [k for k in free if unnumbered_key(header[k]) in TAGS_COLUMNS]
    found = strong
    if not strong:
        if classes is not None and any(header[k] in set(classes) for k in free):
            return ()
        found = [k for k in free if unnumbered_key(header[k]) in WEAK_MANY_COLUMNS | WEAK_ONE_COLUMNS]
        named = [k for k in found if None in states_of(rows, k)]
        if not named:
            return ()  # a column `target` of 1 and 0 is that of a class
        if any({0, 1} <= set(states_of(rows, k)) for k in found if k not in named):
            raise DataError(_several(path, header, rows, found))
    found = _numbered_together(header, found)
    if len(found) > 1 and len({unnumbered_key(header[k]) for k in found}) > 1:
        found = _one_kind(path, header, rows, found, classes, notes)
    return tuple(found)


def _only_texts(
    header: Sequence[str], rows: Sequence[Row], roles: Roles, classes: Collection[str] | None, notes: list[str]
) -> tuple[int, ...]:
    """The only column of words that occur again and again, in a table without any column of tags or classes."""
    free = [k for k in range(len(header)) if k not in roles.used() and not is_row_numbers(header[k], rows, k)]
    free = [k for k in free if not (is_other(header[k]) or names_no_class(header[k]))]
    if len(free) != 1 or roles.pixels is not None or (classes is not None and header[free[0]] in classes):
        return ()
    cells = {cell.casefold() for cell in cells_of(rows, free[0])} - {""}
    if cells & ANSWERS or any(cell in STATES or any(map(_is_number, cell.split())) for cell in cells):
        return ()
    if not 2 <= len(cells) <= len(rows) // 2:
        return ()
    notes.append(f"column {header[free[0]]!r} is read as the tags, as its cells are words that occur again and again")
    return (free[0],)


def _numbered_together(header: Sequence[str], found: list[int]) -> list[int]:
    """`tag1, tag2, tag3` are one kind; a column with a number that has no sister is none of tags beside others."""
    plain = [k for k in found if column_key(header[k]) == unnumbered_key(header[k])]
    return found if len(plain) <= 1 else plain


def _one_kind(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    found: list[int],
    classes: Collection[str] | None,
    notes: list[str],
) -> list[int]:
    """Of several columns of tags those with names rather than numbers, or with names of the file of classes."""
    kept = found
    if classes is not None:
        wanted = set(classes)
        kept = [k for k in found if wanted & {word for cell in cells_of(rows, k) for word in (cell, *cell.split())}]
    if len(kept) != 1:
        kept = [k for k in found if not all(_is_number(cell) for cell in cells_of(rows, k))]
    if len(kept) != 1:
        raise DataError(_several(path, header, rows, found))
    others = ", ".join(repr(header[k]) for k in found if k not in kept)
    notes.append(f"the tags are read from column {header[kept[0]]!r}, not from {others}")
    return kept


def _several(path: Path, header: Sequence[str], rows: Sequence[Row], found: Sequence[int]) -> str:
    shown = [f"{header[k]!r} ({', '.join(sorted(set(cells_of(rows, k)))[:3])[:40]})" for k in found[:4]]
    both = " and ".join(repr(header[k]) for k in found[:3])
    return (
        f"{path}: columns {both} mean the same; keep one of them, or give a file of `classes` with the names of one: "
        f"{'; '.join(shown)}"
    )


def _state_column(keys: Sequence[str], roles: Roles) -> int | None:
    """The column that says whether the row's class is there, if one does."""
    taken = roles.used()
    for k, key in enumerate(keys):
        if k not in taken and key in STATE_COLUMNS:
            return k
    return None


def _state_beside_names(header: Sequence[str], rows: Sequence[Row], roles: Roles, notes: list[str]) -> Roles:
    """A column `label` of 1 and 0 beside one of names says whether they are there, unless it numbers the names."""
    if roles.state is not None or len(roles.tags) != 1 or not roles.one:
        return roles
    words = TAGS_COLUMNS | WEAK_ONE_COLUMNS
    for k, cell in enumerate(header):
        if k in roles.used() or column_key(cell) not in words or set(states_of(rows, k)) != {0, 1}:
            continue
        pairs = set(zip(cells_of(rows, roles.tags[0]), states_of(rows, k), strict=True))
        if len(pairs) > len({name for name, _ in pairs}):
            notes.append(
                f"column {cell!r} of 1 and 0 says whether the tag of column {header[roles.tags[0]]!r} is there"
            )
            return replace(roles, state=k)
    return roles


def _names_joined(
    rows: Sequence[Row], image: int, names: ImageNames, roles: Roles, tags: tuple[int, ...], keys: Sequence[str]
) -> bool:
    """Whether names are `a.jpg_cat`: an image and a class of it."""
    if tags and not all(set(states_of(rows, k)) <= {0, 1} for k in tags):
        return False
    if roles.pixels is None and not tags and not any(key in STATE_COLUMNS for key in keys):
        return False
    cells = [cell for cell in cells_of(rows[:: max(1, len(rows) // _SAMPLE)], image) if cell]
    return bool(cells) and all(not names.listed(cell) and split_joined(cell, names) is not None for cell in cells)


def split_joined(cell: str, names: ImageNames) -> tuple[str, str] | None:
    """Image and class of `a.jpg_cat`: the longest beginning before a `_` that names an image."""
    at = len(cell)
    for _ in range(16):
        at = cell.rfind("_", 0, at)
        if at <= 0:
            return None
        if cell[at + 1 :] and names.named_by(cell[:at]):
            return cell[:at], cell[at + 1 :]
    return None


def _first(keys: Sequence[str], words: Collection[str], taken: set[int | None]) -> int | None:
    return next((k for k, key in enumerate(keys) if key in words and k not in taken), None)


def _is_many(header: str) -> bool:
    return unnumbered_key(header) in MANY_TAGS_COLUMNS | WEAK_MANY_COLUMNS


def _is_number(cell: str) -> bool:
    return not cell or cell.removeprefix("-").replace(".", "", 1).isdecimal()


def is_other(header: str) -> bool:
    """Whether a column of this name is no class where its cells are not 1 and 0."""
    return column_key(header) in OTHER_COLUMNS


def names_no_class(header: str) -> bool:
    """Whether a column of this name is no class whatever its cells: identifiers."""
    return is_identifier(header) and column_key(header) not in ONE_TAG_COLUMNS
