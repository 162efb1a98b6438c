"""The queue of review: how uncertain each mask of a folder is, in a table beside the masks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.core.text import printable
from tag2mask.method.uncertainty import Uncertainty

TABLE = "uncertainty.csv"
COLUMNS = ("image", "uncertainty", "heads", "views", "tags", "pixels")
_EARLIER = COLUMNS[:5]  # of earlier versions


class ReviewTable:
    """Writes a line for each mask as it is made, so that an interruption loses none."""

    def __init__(self, folder: Path, *, fresh: bool = False):
        """Begin, or go on with, the table of a folder; lines cut off by an interruption are dropped.

        Args:
            folder: of the masks.
            fresh: drop all lines.
        """
        self.path = folder / TABLE
        before = read_review(folder) if self.path.is_file() and not fresh else {}
        self._names = set(before)
        self._write(before)

    def __contains__(self, name: str) -> bool:
        """Whether an image has its line."""
        return printable(name) in self._names

    def drop(self, names: Iterable[str]) -> None:
        """Remove the lines of images, so that each has one line once they are added again."""
        gone = {printable(name) for name in names} & self._names
        if gone:
            self._names -= gone
            kept = {name: value for name, value in read_review(self.path.parent).items() if name in self._names}
            self._write(kept)

    def _write(self, lines: dict[str, Uncertainty]) -> None:
        write_text(self.path, _line(COLUMNS) + "".join(_row(name, value) for name, value in lines.items()))

    def add(self, name: str, uncertainty: Uncertainty) -> None:
        """Add the line of an image; of several the last one counts.

        Raises:
            DataError: the disk is full, or the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_row(name, uncertainty))
        except OSError as error:
            raise DataError(f"{self.path}: writing failed ({error.strerror}); check space and permissions") from error
        self._names.add(printable(name))


def read_review(folder: Path) -> dict[str, Uncertainty]:
    """The uncertainty of each image's mask by name, whose control characters are escaped; damaged lines are left out.

    Raises:
        DataError: there is no such table, or it cannot be read.
    """
    path = folder / TABLE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise DataError(
            f"{path}: no table of uncertainty; predict the masks with this version, which writes it"
        ) from None
    found: dict[str, Uncertainty] = {}
    rows = list(csv.reader(io.StringIO(text.replace("\0", ""))))
    columns = _EARLIER if rows and tuple(rows[0]) == _EARLIER else COLUMNS
    for row in rows:
        if len(row) == len(columns) and (uncertainty := _uncertainty(row[2:])) is not None:
            found.pop(row[0], None)
            found[row[0]] = uncertainty
    return found


def least_certain(folder: Path, count: int) -> list[str]:
    """The names of the images with the least certain masks, the least certain first.

    Raises:
        DataError: there is no table, or nothing in it.
    """
    found = read_review(folder)
    if not found:
        raise DataError(f"{folder / TABLE}: the table is empty; predict the masks again with `overwrite=True`")
    return sorted(found, key=lambda name: (-found[name].total, name))[:count]


def _uncertainty(values: list[str]) -> Uncertainty | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    if not all(math.isfinite(number) for number in numbers):
        return None
    if len(numbers) == len(_EARLIER) - 2:  # their order stays, by the mean of three signs
        numbers.append(sum(numbers) / 3)
    return Uncertainty(*numbers)


def _row(name: str, uncertainty: Uncertainty) -> str:
    return _line((printable(name), *(f"{value:.4f}" for value in (uncertainty.total, *uncertainty))))


def _line(cells: tuple[str, ...]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()
