"""A table of tags, as a project has it in `tags.csv`: a line an image of which something is known, a column a class."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable

States = NDArray[np.int8]
"""`Tag` values of a row of classes, or of rows of images: 1 present, 0 absent, -1 unknown."""

_IMAGE = "image"
_CELLS: dict[int, str] = {Tag.PRESENT: "1", Tag.ABSENT: "0", Tag.UNKNOWN: ""}
_STATES = {"1": Tag.PRESENT, "0": Tag.ABSENT, "": Tag.UNKNOWN, "1.0": Tag.PRESENT, "0.0": Tag.ABSENT}


def tags_text(classes: Sequence[str], rows: Mapping[str, States]) -> str:
    r"""The content of the file, as `Dataset.load` reads it.

    Args:
        classes: names in the order of their indices.
        rows: states (C,) int8 by image; images of which nothing is known are left out.

    >>> tags_text(["cat", "red panda"], {"a.jpg": np.array([1, -1]), "b.jpg": np.array([-1, -1])})
    'image,cat,red panda\na.jpg,1,\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_IMAGE, *classes])
    for name, states in rows.items():
        if (states != Tag.UNKNOWN).any():
            writer.writerow([name, *map(_CELLS.__getitem__, states.tolist())])
    return out.getvalue()


def read_tags(path: Path) -> tuple[tuple[str, ...], dict[str, States]]:
    """Class names and states by image; nothing where there is no file. Spreadsheets' `;`, tabs and BOM are read too.

    Raises:
        DataError: the file cannot be read, or a line is none of this table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return (), {}
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: not UTF-8 text; save this table as UTF-8") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    header = [unicodedata.normalize("NFC", cell.strip()) for cell in next(lines, [])]
    if not header or header[0].casefold() != _IMAGE:
        raise DataError(f"{printable(path)}: the first column is {header[:1]}; expected `image`, then a column a class")
    rows: dict[str, States] = {}
    for cells in lines:
        if not any(cells):
            continue
        where = f"{printable(path)}, line {lines.line_num}"
        if len(cells) > len(header):
            raise DataError(f"{where}: {len(cells)} cells below {len(header)} columns; take the additional ones out")
        words = [cell.strip() for cell in cells[1:]] + [""] * (len(header) - len(cells))
        strange = next((word for word in words if word not in _STATES), None)
        if strange is not None:
            raise DataError(
                f"{where}: {strange[:40]!r} is not a tag; write 1 (present), 0 (absent) or nothing (unknown)"
            )
        rows[unicodedata.normalize("NFC", cells[0])] = np.array([_STATES[word] for word in words], np.int8)
    return tuple(header[1:]), rows
