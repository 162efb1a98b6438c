"""Reading a table of text: encoding, delimiter, header or none, and rows. What its columns mean: `table_roles`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.readers.header_words import (
    FLAG_SPLITS,
    IMAGE_COLUMNS,
    PIXEL_COLUMNS,
    SPLIT_COLUMNS,
    TAGS_COLUMNS,
    column_key,
)
from tag2mask.data.readers.text import read_text
from tag2mask.data.readers.workbook import is_workbook, workbook_rows
from tag2mask.images.decode import IMAGE_SUFFIXES
from tag2mask.images.folder import FolderIndex, is_image_name, without_suffix

EXPECTED = "expected a header such as `image,tags`, or `image,cat,dog` with 1 and 0 below the class names"

Row = tuple[int, tuple[str, ...]]
"""Number of the line, and its cells."""

_DELIMITERS = ",\t;|"
_SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t|]*\s*', re.IGNORECASE)
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_LIST_LINE = re.compile(rf"\s*[\"']?(?P<name>.+?\.(?:{_SUFFIXES}))[\"']?(?:[\s,;|:=]+(?P<rest>.*?))?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a table.

    Attributes:
        path: the file.
        header: cells of the header as written; None where the first line is a row like the others.
        rows: all other lines, as wide as they are.
        delimiter: between cells; a space where lines were split at white space.
        notes: what of the file was not read.
    """

    path: Path
    header: tuple[str, ...] | None
    rows: tuple[Row, ...]
    delimiter: str
    notes: tuple[str, ...] = ()


class ImageNames:
    """Whether a cell may be the name of an image, judged by its suffix or by the files of the folder."""

    def __init__(self, index: FolderIndex) -> None:
        self._known = {word.casefold() for name in index.images() for word in _ends(name)}

    def named_by(self, cell: str) -> bool:
        """Whether the folder holds an image of this name, or its suffix is that of an image."""
        end = re.split(r"[?#]", cell.strip())[0].replace("\\", "/").rpartition("/")[2]
        if len(end) > 1024:
            return False
        return is_image_name(end) or self.listed(cell)

    def listed(self, cell: str) -> bool:
        """Whether the folder holds an image of this name."""
        end = re.split(r"[?#]", cell.strip())[0].replace("\\", "/").rpartition("/")[2]
        return bool(end) and (end.casefold() in self._known or without_suffix(end).casefold() in self._known)


def read_table(path: Path, names: ImageNames) -> Table:
    """Read a table of images.

    The delimiter is a comma, tab, semicolon or bar, the one that splits the first line into most columns; where none
    does, white space. A first line that names an image and no column is no header.

    Raises:
        DataError: the file cannot be read or is not such a table.
    """
    if is_workbook(path):
        rows, notes = workbook_rows(path)
        return replace(_table(path, rows, ",", names), notes=tuple(notes))
    text = read_text(path, "CSV", EXPECTED)
    lines_of_text = re.split(r"[\r\n]+", text)
    first = next((line for line in lines_of_text if any(map(str.isalnum, line))), None)
    if first is None:
        raise DataError(f"{path}: the file is empty; {EXPECTED}")
    said = _SEP_LINE.fullmatch(first)
    if said is not None:
        lines = _parse(path, text, said[1])[1:]
        if not lines:
            raise DataError(f"{path}: nothing below the line {first.strip()[:20]!r}; {EXPECTED}")
        return _table(path, lines, said[1], names)
    delimiter = _delimiter(first, names)
    if delimiter is not None:
        return _table(path, _parse(path, text, delimiter), delimiter, names)
    return _split_at_spaces(path, text, first, names)


def _table(path: Path, lines: Sequence[Row], delimiter: str, names: ImageNames) -> Table:
    first = tuple(cell.strip() for cell in lines[0][1])
    if _is_header(first, names):
        return Table(path, first, tuple(lines[1:]), delimiter)
    return Table(path, None, tuple(lines), delimiter)


def _is_header(cells: Sequence[str], names: ImageNames) -> bool:
    """Whether a first line is a header: a known word, or nothing in it that names an image."""
    keys = {column_key(cell) for cell in cells}
    if keys & (IMAGE_COLUMNS | TAGS_COLUMNS | PIXEL_COLUMNS | SPLIT_COLUMNS | FLAG_SPLITS.keys()):
        return not any(is_image_name(cell) for cell in cells if len(cell) < 1024)
    return not any(names.named_by(cell) for cell in cells)


def _delimiter(first: str, names: ImageNames) -> str | None:
    def columns(delimiter: str) -> tuple[bool, int]:
        try:
            cells = next(csv.reader([first], delimiter=delimiter))
        except (csv.Error, StopIteration):  # a cell of more than 128 KiB
            return False, 0
        known = any(column_key(cell) in IMAGE_COLUMNS or names.named_by(cell) for cell in cells)
        return known, len(cells)

    best = max(_DELIMITERS, key=lambda delimiter: (columns(delimiter)[1] > 1, columns(delimiter)))
    known, count = columns(best)
    if count < 2 or (not known and _LIST_LINE.fullmatch(first)):
        return None
    return best


def _split_at_spaces(path: Path, text: str, first: str, names: ImageNames) -> Table:
    """A table without delimiter: `path label` lists, or columns with spaces between them."""
    words = first.split()
    if (counted := _counted(path, text, names)) is not None:
        return counted
    if len(words) > 1 and names.named_by(words[-1]) and not names.named_by(words[0]) and not names.listed(first):
        ends = [(number, line.rsplit(maxsplit=1)) for number, line in _lines(text)]
        return Table(path, None, tuple((number, (end[-1], *" ".join(end[:-1]).split())) for number, end in ends), " ")
    if len(words) < 2 or not (names.named_by(words[0]) or _LIST_LINE.fullmatch(first)):
        if len(words) > 1 and any(column_key(word) in IMAGE_COLUMNS for word in words):
            lines = [(number, tuple(line.split())) for number, line in _lines(text)]
            return Table(path, lines[0][1], tuple(lines[1:]), " ")
        if len(words) == 1 and names.named_by(first) and column_key(first) not in IMAGE_COLUMNS:
            raise DataError(
                f"{path}: no header, and names of images alone (first: {first.strip()[:80]!r}), so there are no tags; "
                "write the tags of each image beside its name, below a line `image,tags`"
            )
        if column_key(first) in IMAGE_COLUMNS:
            raise DataError(f"{path}: only one column ({first.strip()!r}), so there are no tags; {EXPECTED}")
        raise DataError(f"{path}: {no_image_column((first.strip(),))}")
    rows: list[Row] = []
    for number, line in _lines(text):
        match = _LIST_LINE.fullmatch(line) if len(line) < 100_000 else None
        name, rest = (match["name"], match["rest"]) if match else [*line.split(maxsplit=1), ""][:2]
        rows.append((number, (name, *(rest or "").split())))
    return Table(path, None, tuple(rows), " ")


def _counted(path: Path, text: str, names: ImageNames) -> Table | None:
    """CelebA's lists: the number of images, the names of all columns but the first, and one line an image."""
    lines = [(number, tuple(line.split())) for number, line in _lines(text)]
    if len(lines) < 3 or len(lines[0][1]) != 1 or not lines[0][1][0].isdecimal():
        return None
    header, first = lines[1][1], lines[2][1]
    if len(first) != len(header) + 1 or not names.named_by(first[0]):
        return None
    return Table(path, ("image", *header), tuple(lines[2:]), " ")


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1) if line.strip()]


def _parse(path: Path, text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[Row] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, tuple(cells)))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: cannot be read as a table ({error}); is a quote left open?"
        ) from error
    return lines


def no_image_column(header: Sequence[str]) -> str:
    """Why a table without a column of image names is refused."""
    return f"no column of image names among {', '.join(repr(cell) for cell in header)[:200]}; {EXPECTED}"


def _ends(name: str) -> tuple[str, str]:
    base = name.rpartition("/")[2]
    return base, without_suffix(base)
