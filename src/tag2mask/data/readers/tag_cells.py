"""A column of tags, cell by cell: separators, lists written as text, numbers, and cells that say nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.data.readers.json_file import parse_json, shown
from tag2mask.data.readers.layout_words import EMPTY_WORDS, plain_word
from tag2mask.data.readers.listing import BACKGROUND_WORDS

BLANK_WORDS = frozenset(
    {"", "nan", "na", "n/a", "#n/a", "<na>", "null", "nil", "?", "-", "--", "nat"}
    | {"unknown", "undefined", "unlabeled", "unlabelled"}
)
"""Cells that say nothing. Compared in lower case."""

_SEPARATORS = ",;|"
_ITEM = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"|([^\s,;'\"]+)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
_WHOLE = re.compile(r"-?\d+(?:\.0*)?")
_HOT = re.compile(r"[01](?:\.0)?(?:[\s,;|]+[01](?:\.0)?)+")
_JSON_KEYS = ("choices", "tags", "label", "name", "class")
_LISTED = {"[": "]", "{": "}", "(": ")"}
_BOX_NUMBERS = 4


@dataclass(slots=True)
class Cells:
    """What the cells of a column say.

    Attributes:
        words: the tags of each cell, `?` still before those that are unknown; None where a cell says nothing.
        notes: what was guessed, for the user to check.
    """

    words: list[list[str] | None]
    notes: list[str] = field(default_factory=list)


def read_cells(cells: Sequence[str], classes: Sequence[str] | None, what: str, *, one: bool) -> Cells:
    """The tags of each cell of a column.

    Args:
        cells: the column.
        classes: the names that count, or None.
        what: file and column, for messages.
        one: the column's header is that of a single tag, so that a cell of several words is one name.

    Raises:
        DataError: the cells contradict each other, or hold something else than tags.
    """
    plain = [unicodedata.normalize("NFC", cell.strip()) for cell in cells]
    found = Cells([None] * len(plain))
    blank = [cell for cell in plain if cell and cell.casefold() in BLANK_WORDS]
    if blank:
        found.notes.append(f"{len(blank)} cells say {blank[0]!r}: read as nothing known")
    lists = {k: _listed(cell, what) for k, cell in enumerate(plain) if cell[:1] in _LISTED}
    texts = {k: cell for k, cell in enumerate(plain) if k not in lists and cell.casefold() not in BLANK_WORDS}
    hot = _multi_hot({**{k: ",".join(words) for k, words in lists.items()}, **texts}, classes, what)
    if hot is not None:
        words, note = hot
        found.notes.append(note)
    else:
        if lists:
            example = plain[next(iter(lists))]
            found.notes.append(f"{len(lists)} cells hold lists written as text, such as {shown(example)}: read as tags")
        separator, said = choose_separator(list(texts.values()), classes, what, one=one)
        found.notes += [said] if said else []
        words = {
            **lists,
            **{k: [cell] if is_empty_word(cell) else _split(cell, separator) for k, cell in texts.items()},
        }
        words = _named_numbers(words, classes, what, found.notes)
    for k, some in words.items():
        found.words[k] = some
    _check(found.words, classes, what)
    return found


def choose_separator(
    cells: Collection[str], classes: Sequence[str] | None, what: str, *, one: bool
) -> tuple[str | None, str | None]:
    """The separator of a column, and a note if cells of several words were taken for lists or for names.

    Raises:
        DataError: the column uses several separators, so that they contradict each other.
    """
    words = {word for cell in cells for word in re.split(r"[\s,;|]+", cell) if word}
    if classes is not None and all(map(_WHOLE.fullmatch, words)) and not words <= set(classes):
        classes = None  # numbers, which are named later
    separator = recognise_separator(cells, classes, what)
    several = [cell for cell in cells if len(cell.split()) > 1 and not is_empty_word(cell)]
    if separator is not None or classes is not None:
        return separator, None
    if not several:
        return "," if one else None, None
    if one and not _are_lists(several):
        return ",", (
            f"{len(several)} cells of several words, such as {shown(several[0])}, are one tag each; "
            "separate several tags by commas, semicolons or bars"
        )
    alone = {cell.removeprefix("?") for cell in cells if len(cell.split()) == 1}
    if _are_lists(several) or any(alone & set(cell.split()) for cell in several):
        return None, f"{len(several)} cells were split at spaces, such as {shown(several[0])}" if one else None
    return None, (
        f"{len(several)} cells were split at spaces, such as {shown(several[0])}; if that is the name of one class, "
        "separate tags by commas, semicolons or bars, give a file of `classes`, or name the column `label`"
    )


def recognise_separator(cells: Collection[str], classes: Sequence[str] | None, what: str) -> str | None:
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


def is_empty_word(name: str) -> bool:
    """Whether a tag says that no class is present: `none`, `background`, `No Finding`."""
    return name.casefold() in BACKGROUND_WORDS or plain_word(name) in EMPTY_WORDS


def number_base(numbers: Collection[int], classes: Sequence[str], what: str) -> int:
    """The number of the first class: 0 or 1.

    Raises:
        DataError: there are more numbers than names, or it cannot be told.
    """
    low, high = min(numbers), max(numbers)
    if low < 0 or high > len(classes) or (low == 0 and high == len(classes)):
        raise DataError(
            f"{what}: classes are numbers from {low} to {high}, but there are {len(classes)} names; give all names in "
            "the order of their numbers as `classes`"
        )
    if low > 0 and high < len(classes):
        raise DataError(
            f"{what}: classes are numbers from {low} to {high} for {len(classes)} names, so that the first may be 0 "
            "or 1; write the names themselves"
        )
    return 0 if low == 0 else 1


def _are_lists(cells: Collection[str]) -> bool:
    """Whether cells of several words must be lists: of numbers, with `?`, a word twice, or `none` among others."""
    for cell in cells:
        words = cell.split()
        if all(_WHOLE.fullmatch(word) for word in words) or len(set(words)) < len(words):
            return True
        if any(word.startswith("?") or word.casefold() in BACKGROUND_WORDS for word in words):
            return True
    return False


def _listed(cell: str, what: str) -> list[str]:
    """The words of a list that Python, NumPy or JSON wrote: `['cat', 'dog']`, `{"choices": ["cat"]}`.

    Raises:
        DataError: it is something else in brackets.
    """
    problem = f"{what}: {cell[:60]!r} is a list in a programming language that cannot be read; write `cat dog` instead"
    if not cell.endswith(_LISTED[cell[0]]) or len(cell) < 2:
        raise DataError(problem)
    try:
        value = parse_json(cell)
    except ValueError:
        value = None
    if isinstance(value, dict | list):
        found = _json_words(value)
        if found is None:
            raise DataError(problem)
        return [word for word in (word.strip() for word in found) if word]
    inner = cell[1:-1]
    if any(bracket in inner for bracket in "[]{}") or re.search(r"['\"]\s*:", inner):
        raise DataError(problem)
    words = [next(word for word in (*match.groups(), "") if word is not None) for match in _ITEM.finditer(inner)]
    quoted = inner.lstrip()[:1] in {"'", '"'}
    if not quoted and "," in inner:
        words = inner.split(",")
    return [word.strip() for word in words if word.strip()]


def _json_words(value: Any) -> list[str] | None:
    """The names in a value that Label Studio or another tool wrote as JSON; None if it holds something else."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return [str(value)]
    if isinstance(value, list):
        found = [_json_words(one) for one in value]
        return None if None in found else [word for some in found for word in some or ()]
    if isinstance(value, dict):
        inner = next((value[key] for key in value if key in _JSON_KEYS or key.endswith("labels")), None)
        return _json_words(inner) if isinstance(inner, str | list) else None
    return None


def _multi_hot(
    cells: dict[int, str], classes: Sequence[str] | None, what: str
) -> tuple[dict[int, list[str]], str] | None:
    """The words of cells such as `0,1,0`, and a note; None if they are not such cells."""
    if not cells or not all(len(cell) < 10_000 and _HOT.fullmatch(cell) for cell in cells.values()):
        return None
    rows = {k: [int(float(bit)) for bit in re.split(r"[\s,;|]+", cell)] for k, cell in cells.items()}
    widths = {len(bits) for bits in rows.values()}
    if len(widths) > 1:
        raise DataError(
            f"{what}: lists of 0 and 1 of {min(widths)} and of {max(widths)} numbers; make them equally long"
        )
    width = widths.pop()
    if classes is not None and len(classes) != width:
        raise DataError(f"{what}: lists of {width} numbers 0 and 1, but there are {len(classes)} names in `classes`")
    names = classes or [str(number) for number in range(width)]
    note = f"{len(rows)} cells hold {width} numbers 0 and 1 each: read as one class a position"
    if classes is None:
        never = [str(i) for i in range(width) if not any(bits[i] for bits in rows.values())]
        note += ", named 0, 1, ...; give their names in this order as `classes`"
        note += f"; never 1 and so no class: {', '.join(never[:8])}" if never else ""
    return {k: [names[i] for i, bit in enumerate(bits) if bit] or ["none"] for k, bits in rows.items()}, note


def _named_numbers(
    words: dict[int, list[str]], classes: Sequence[str] | None, what: str, notes: list[str]
) -> dict[int, list[str]]:
    """The same words where whole numbers have the names of `classes`, and no `.0` behind them."""
    found = {word for some in words.values() for word in some if word.casefold() not in BACKGROUND_WORDS}
    if not found or not all(_WHOLE.fullmatch(word) and len(word) < 10 for word in found):
        return words
    if classes is not None and found <= set(classes):
        return words
    number = {word: int(float(word)) for word in found}
    known = {value for value in number.values() if value >= 0}
    if classes is None:
        some_known = ", ".join(map(str, sorted(known)[:4])) + (", ..." if len(known) > 4 else "")
        notes.append(
            f"the tags are numbers ({some_known}), taken as names of classes; give the names in the order of the "
            "numbers as `classes`"
        )
        return {
            k: [str(number.get(word, word)) for word in some if number.get(word, 0) >= 0] for k, some in words.items()
        }
    base = number_base(known, classes, what) if known else 0
    notes.append(f"the tags are numbers, named by the order of `classes`: {base} is {classes[0]!r}")
    return {
        k: [classes[number[word] - base] if word in number else word for word in some if number.get(word, 0) >= 0]
        for k, some in words.items()
    }


def _check(words: Sequence[list[str] | None], classes: Sequence[str] | None, what: str) -> None:
    """Refuse what cannot be tags: boxes, fractions."""
    if classes is not None:
        return
    for some in dict.fromkeys(tuple(some) for some in words if some):
        numbers = [word for word in some if _NUMBER.fullmatch(word)]
        pieces = [piece for word in some for piece in word.split()]
        corners = sum(_NUMBER.fullmatch(piece) is not None for piece in pieces)
        if _BOX_NUMBERS <= corners < len(pieces):
            raise DataError(
                f"{what}: {', '.join(some)[:80]!r} looks like the corners of a box and a class; write one line a "
                "box below the header `image,xmin,ymin,xmax,ymax,class`"
            )
        fraction = next((word for word in numbers if not _WHOLE.fullmatch(word)), None)
        if fraction is not None:
            raise DataError(
                f"{what}: {fraction!r} is a number with a fraction, not a class; name the column of tags `tags`"
            )


def _split(cell: str, separator: str | None) -> list[str]:
    return [tag.strip() for tag in cell.split(separator) if tag.strip()]
