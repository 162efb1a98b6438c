"""Reading a table of text: encoding, delimiter, header and rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.data.problem import Problem
from tag2mask.data.readers.text import read_text
from tag2mask.images.decode import IMAGE_SUFFIXES

IMAGE_COLUMNS = frozenset(
    {"image", "images", "img", "imagename", "imagefile", "imagepath", "imageid", "name", "id"}
    | {"filename", "filenames", "file", "files", "filepath", "path"}
)
TAGS_COLUMNS = frozenset({"tags", "tag", "labels", "label", "classes", "class", "categories", "category"})
SPLIT_COLUMNS = frozenset({"split", "subset", "partition", "fold"})
_DELIMITERS = ",\t;|"
_EXPECTED = "expected a header such as `image,tags`, or `image,cat,dog` with 1 and 0 below the class names"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column of names is known.

    Attributes:
        path: the file.
        header: cells of the header as written.
        image: position of the column of image names.
        tags: position of the column of tags, or None: the other columns are classes.
        split: position of the column of splits, or None.
        rows: (line number, cells), each with as many cells as the header.
        problems: rows that were left out.
    """

    path: Path
    header: tuple[str, ...]
    image: int
    tags: int | None
    split: int | None
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    problems: tuple[Problem, ...]


def read_table(path: Path) -> Table:
    """Read a table of images.

    The delimiter is a comma, tab, semicolon or bar, the one that splits the header into most
    columns. If the tags are the last column, further cells of a row are more tags.

    Raises:
        DataError: the file cannot be read or is not such a table.
    """
    text = read_text(path, "CSV", _EXPECTED)
    lines_of_text = re.split(r"[\r\n]+", text)
    first = next((line for line in lines_of_text if any(map(str.isalnum, line))), None)
    if first is None:
        raise DataError(f"{path}: the file is empty; {_EXPECTED}")
    delimiter = _delimiter(path, first)
    lines = _parse(path, text, delimiter)
    header = tuple(cell.strip() for cell in lines[0][1])
    image = _column(path, header, IMAGE_COLUMNS)
    if image is None:
        raise DataError(f"{path}: {_no_image_column(header)}")
    tags = _column(path, header, TAGS_COLUMNS)
    split = _column(path, header, SPLIT_COLUMNS)
    rows: list[tuple[int, tuple[str, ...]]] = []
    problems: list[Problem] = []
    for number, cells in lines[1:]:
        row, why = _fit(cells, len(header), tags, delimiter)
        if why is None and not row[image].strip():
            why = "no image name; write one or remove the line"
        if why is None:
            rows.append((number, row))
        else:
            problems.append(Problem("bad row", f"{path.name}, line {number}: {why}", path.name))
    return Table(path, header, image, tags, split, tuple(rows), tuple(problems))


def _delimiter(path: Path, first: str) -> str:
    def columns(delimiter: str) -> tuple[bool, int]:
        try:
            cells = next(csv.reader([first], delimiter=delimiter))
        except csv.Error:  # a cell of more than 128 KiB
            return False, 0
        return any(column_key(cell) in IMAGE_COLUMNS for cell in cells), len(cells)

    best = max(_DELIMITERS, key=columns)
    known, count = columns(best)
    if count < 2:
        if known:
            raise DataError(f"{path}: only one column ({first.strip()!r}), so there are no tags; {_EXPECTED}")
        raise DataError(f"{path}: {_no_image_column((first.strip(),))}")
    return best


def _parse(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: cannot be read as a table ({error}); is a quote left open?"
        ) from error
    return lines


def _fit(cells: Sequence[str], width: int, tags: int | None, delimiter: str) -> tuple[tuple[str, ...], str | None]:
    if len(cells) > width and tags == width - 1:
        return (*cells[: width - 1], delimiter.join(cells[width - 1 :])), None
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        return (
            (),
            f"{len(cells)} cells where the header has {width}; put cells that hold the delimiter in quotes",
        )
    if len(cells) < width and tags is None:
        return (), f"{len(cells)} cells where the header has {width}; leave a cell empty for unknown"
    return (*cells[:width], *[""] * (width - len(cells))), None


def column_key(cell: str) -> str:
    """A word of a header as it is compared with those known: without case, spaces, `_` and quotes."""
    return "".join(character for character in cell.casefold() if character not in " _-\t\"'")


def _column(path: Path, header: Sequence[str], names: frozenset[str]) -> int | None:
    found = [k for k, cell in enumerate(header) if column_key(cell) in names]
    if len(found) > 1:
        # `name` and `id` may also mean something else: the more specific word wins.
        plain = [k for k in found if column_key(header[k]) not in {"name", "id"}]
        if len(plain) != 1:
            both = " and ".join(repr(header[k]) for k in found)
            raise DataError(f"{path}: columns {both} mean the same; keep one of them")
        found = plain
    return found[0] if found else None


def _no_image_column(header: Sequence[str]) -> str:
    if any(PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES for cell in header):
        return f"no header: the first line is {', '.join(header)[:80]!r}; add a line `image,tags` above it"
    return f"no column of image names among {', '.join(repr(cell) for cell in header)[:200]}; {_EXPECTED}"
