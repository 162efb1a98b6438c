"""Tables without a header: the cells show what the columns are, and a header is made for them.

photos/a.jpg,1,2,30,40,cat         the corners of a box and its class, as of keras-retinanet
a.jpg 0                            a list of images and labels
a.jpg<tab>0,1,0                    1 and 0 for each class
a.jpg 1,2,30,40,0 5,6,7,8,1        boxes and numbers of classes, as of keras-yolo3
TRAIN,gs://bucket/a.jpg,cat        as of Google's AutoML
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.readers.csv_table import ImageNames, Row, Table
from tag2mask.data.readers.header_words import MANY_TAGS_COLUMNS, column_key
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.table_roles import cells_of

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_BOX_AND_CLASS = re.compile(r"(?:[+-]?\d+(?:\.\d+)?,){4}(\d+)")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_WRITE = (
    "write a line above it that names the columns, such as `image,tags`, `image,cat,dog` or "
    "`image,xmin,ymin,xmax,ymax,class`"
)
_SAMPLE = 500


def with_header(table: Table, names: ImageNames) -> tuple[Table, str]:
    """The same table with a header made from its cells, and a note that says what it was taken for.

    Raises:
        DataError: the cells do not tell what the columns are; the message says which header to write.
    """
    if table.delimiter == " ":
        return _list_of_labels(table)
    width = max(len(cells) for _, cells in table.rows)
    rows = [
        (number, tuple(cell.strip() for cell in (*cells, *[""] * (width - len(cells))))) for number, cells in table.rows
    ]
    image = _image(table.path, rows, width, names)
    kinds = {k: _kind(cells_of(rows, k)) for k in range(width) if k != image}
    header = [""] * width
    header[image] = "image"
    for k in (split := [k for k, kind in kinds.items() if kind == "split"][:1]):
        header[k] = "split"
    texts = [k for k, kind in kinds.items() if kind == "text" or (kind == "split" and k not in split)]
    numbers = [k for k, kind in kinds.items() if kind in {"number", "bit"}]
    first = ", ".join(cell for cell in rows[0][1] if cell)[:80]
    start = f"no header (the first line is {first!r})"
    if texts and not numbers:
        for k in texts:
            header[k] = "label" if len(texts) == 1 else f"labels{k}"
        what = "images and tags"
    elif len(texts) == 1 and (len(numbers) >= len(_CORNERS) or all(kinds[k] == "number" for k in numbers)):
        boxes = len(numbers) >= len(_CORNERS)
        for position, k in enumerate(numbers):
            header[k] = _CORNERS[position] if boxes and position < len(_CORNERS) else f"number{k + 1}"
        header[texts[0]] = "class"
        what = "one box a line, with its class" if boxes else "images, their class, and a number that is not used"
    elif len(numbers) == 2 and not texts and (label := _beside_row_numbers(rows, numbers)) is not None:
        header[label] = "label"
        what = "row numbers, images and the number of a class"
    elif len(numbers) == 1 and not texts:
        header[numbers[0]] = "label"
        what = "images and the number of a class"
    elif len(numbers) > 1 and not texts and all(kinds[k] == "bit" for k in numbers):
        for position, k in enumerate(numbers):
            header[k] = str(position)
        what = f"images, and 1 and 0 for each of {len(numbers)} classes"
    else:
        raise DataError(f"{table.path}: {start}, and what its {width} columns mean cannot be told; {_WRITE}")
    kept = [k for k in range(width) if header[k]]
    made = Table(
        table.path,
        tuple(header[k] for k in kept),
        tuple((number, tuple(cells[k] for k in kept)) for number, cells in rows),
        table.delimiter,
    )
    return made, f"{start}: read as {what}"


def without_false_header(table: Table, image: int) -> Table:
    """The same table without its header, where that has fewer columns than all rows and these hold boxes.

    Such is a table of boxes to which somebody wrote the header `image,tags`.
    """
    assert table.header is not None
    widths = {len(cells) for _, cells in table.rows}
    if len(widths) != 1 or (width := widths.pop()) < len(table.header) + 3:
        return table
    if not any(column_key(cell) in MANY_TAGS_COLUMNS for cell in table.header):
        return table
    kinds = [_kind(cells_of(table.rows, k)) for k in range(width) if k != image]
    if kinds.count("text") != 1 or sum(kind in {"number", "bit"} for kind in kinds) < 4:
        return table
    return Table(table.path, None, table.rows, table.delimiter)


def _list_of_labels(table: Table) -> tuple[Table, str]:
    """A list whose lines were split at spaces: an image, then its label or labels."""
    first = " ".join(table.rows[0][1])[:80]
    start = f"no header (the first line is {first!r})"
    rests = [cells[1:] for _, cells in table.rows]
    if not any(rests):
        raise DataError(
            f"{table.path}: {start}, and names of images alone, so there are no tags; write the tags of each image "
            "beside its name, below a line `image,tags`"
        )
    boxes = all(all(_BOX_AND_CLASS.fullmatch(word) for word in rest) for rest in rests)
    if boxes:
        rests = [tuple(word.rpartition(",")[2] for word in rest) or ("none",) for rest in rests]
    elif any(sum(_NUMBER.fullmatch(word) is not None for word in rest) >= 4 for rest in rests):
        bits = all(set(rest) <= {"0", "1"} for rest in rests) and len({len(rest) for rest in rests}) == 1
        whole = all(word.isdecimal() for rest in rests for word in rest)
        if not bits and (not whole or any(len(rest) >= 5 for rest in rests)):
            raise DataError(f"{table.path}: {start}, and what its numbers mean cannot be told; {_WRITE}")
    alone = {rest[0] for rest in rests if len(rest) == 1}
    lists = boxes or any(len(rest) > 1 and alone & set(rest) for rest in rests)
    rows = tuple((number, (cells[0], " ".join(rest))) for (number, cells), rest in zip(table.rows, rests, strict=True))
    what = "images and boxes with the number of their class" if boxes else "images and tags"
    return Table(table.path, ("image", "tags" if lists else "label"), rows, " "), f"{start}: read as {what}"


def _beside_row_numbers(rows: Sequence[Row], numbers: Sequence[int]) -> int | None:
    """Of two columns of numbers the one that is none of row numbers, if the other is."""
    cells = {k: cells_of(rows, k) for k in numbers}
    counts = [k for k in numbers if all(map(str.isdecimal, cells[k])) and len(set(cells[k])) == len(cells[k])]
    others = [k for k in numbers if k not in counts]
    return others[0] if len(others) == 1 else None


def _image(path: Path, rows: Sequence[Row], width: int, names: ImageNames) -> int:
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    named = [sum(names.named_by(cell) for cell in cells_of(sample, k) if cell) for k in range(min(width, 64))]
    best = max(range(len(named)), key=lambda k: named[k])
    several = [k for k, count in enumerate(named) if count and 2 * count > named[best]]
    if len(several) > 1:
        raise DataError(f"{path}: no header, and {len(several)} columns hold names of images; {_WRITE}")
    return best


def _kind(cells: Sequence[str]) -> str:
    """What a column holds: `none`, `split`, `bit`, `number` or `text`."""
    filled = {cell for cell in cells if cell}
    if not filled:
        return "none"
    if filled <= {"0", "1"}:
        return "bit"
    if all(len(cell) < 64 and _NUMBER.fullmatch(cell) for cell in filled):
        return "number"
    words = {cell.casefold() for cell in filled}
    if all(split_of_word(word) or word == "unassigned" for word in words):
        return "split"
    return "text"
