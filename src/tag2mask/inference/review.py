"""The queue of review: how uncertain each mask of a folder is, beside the masks."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.method.uncertainty import Doubt

TABLE = "uncertainty.csv"
COLUMNS = ("image", "uncertainty", "streams", "views", "tags")


class ReviewTable:
    """Writes a line a mask as it is made, so that an interruption loses none."""

    def __init__(self, folder: Path):
        """Begin, or go on with, the table of a folder; lines cut off by an interruption go."""
        self.path = folder / TABLE
        before = read_review(folder) if self.path.is_file() else {}
        write_text(self.path, _line(COLUMNS) + "".join(_row(name, doubt) for name, doubt in before.items()))

    def add(self, name: str, doubt: Doubt) -> None:
        """Add a photograph's line; of several the last one counts.

        Raises:
            DataError: the disk is full, or the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_row(name, doubt))
        except OSError as error:
            raise DataError(f"{self.path}: writing failed ({error.strerror}); check space and permissions") from error


def read_review(folder: Path) -> dict[str, Doubt]:
    """The doubt about each photograph by name; lines that are damaged are left out.

    Raises:
        DataError: there is no such table, or it cannot be read.
    """
    path = folder / TABLE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise DataError(
            f"{path}: no table of uncertainty; make the masks with `tag2mask masks` or `predict` of this version"
        ) from None
    found: dict[str, Doubt] = {}
    for row in csv.reader(io.StringIO(text.replace("\0", ""))):
        if len(row) == len(COLUMNS) and (doubt := _doubt(row[2:])) is not None:
            found.pop(row[0], None)
            found[row[0]] = doubt
    return found


def least_certain(folder: Path, count: int) -> list[str]:
    """The names of the photographs whose masks are least certain, the least certain first.

    Raises:
        DataError: there is no table, or nothing in it.
    """
    found = read_review(folder)
    if not found:
        raise DataError(f"{folder / TABLE}: the table of uncertainty is empty; make the masks anew with --overwrite")
    return sorted(found, key=lambda name: (-found[name].total, name))[:count]


def _doubt(values: list[str]) -> Doubt | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return Doubt(*numbers) if all(math.isfinite(number) for number in numbers) else None


def _row(name: str, doubt: Doubt) -> str:
    return _line((name, *(f"{value:.4f}" for value in (doubt.total, *doubt))))


def _line(cells: tuple[str, ...]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()
