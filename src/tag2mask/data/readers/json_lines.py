"""Tags from JSON Lines, one image per line.

    {"image": "a.jpg", "tags": ["cat", "dog"]}
    {"image": "b.jpg", "tags": ["cat", "?dog"]}         dog unknown
    {"image": "c.jpg", "tags": []}                      no class is present
    {"image": "d.jpg", "tags": {"cat": 1, "dog": 0}}    every class that is not named is unknown
    {"file_name": "e.jpg", "label": "cat"}              as in Hugging Face's metadata.jsonl

`null` or no tags at all: nothing is known, and the image is left out. A `split` may be given. What SageMaker, Vertex AI
and Azure ML write is read too (`json_record`). Several lines of one image with the key `label` are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import parse_json, shown
from tag2mask.data.readers.json_record import EXPECTED, holds_one_tag, read_entry
from tag2mask.data.readers.label_rows import LabelRow, joined, note
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

_SEPARATORS = ",;|"


def read_json_lines(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a file of JSON Lines.

    Args:
        path: the file.
        index: the folder that its names are relative to.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such a file, or names no image.
    """
    listing = Listing("jsonl", index)
    rows, one = read_lines(path, path.name, listing.problems, classes)
    add_rows(listing, rows, path.name, classes, one=one)
    return check_listing(listing, classes, str(path))


def read_lines(
    path: Path,
    shown_name: str,
    problems: list[Problem],
    classes: Sequence[str] | None,
    folder: str = "",
    split: str | None = None,
) -> tuple[list[LabelRow], bool]:
    """What each line says, and whether a line is one label of an image.

    Args:
        path: the file.
        shown_name: its name in messages.
        problems: lines that cannot be used are added.
        classes: the names that count, or None.
        folder: put before the names, with / at the end.
        split: of the records that name none.

    Raises:
        DataError: the file cannot be read.
    """
    rows: list[LabelRow] = []
    one = False
    for number, line in enumerate(read_text(path, "JSON Lines", EXPECTED).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{shown_name}, line {number}"
        try:
            try:
                entry = parse_json(line)
            except ValueError as error:
                raise RecordError(f"not JSON ({error}); {EXPECTED}") from error
            if not isinstance(entry, dict):
                raise RecordError(f"{shown(entry)} is not an object; {EXPECTED}")
            rows.append(read_entry(entry, where, folder, split, classes))
            one = one or holds_one_tag(entry)
        except RecordError as error:
            problems.append(Problem("bad row", f"{where}: {error}", shown_name))
    return rows, one


def add_rows(
    listing: Listing, rows: Sequence[LabelRow], what: str, classes: Sequence[str] | None, *, one: bool
) -> None:
    """Add the records of rows to a listing, and notes on what was joined or guessed."""
    records, notes = joined(rows, what, classes, one=one)
    listing.records += records
    listing.problems += notes
    names = {name for record in records for name in record.present}
    several = sorted(name for name in names if any(mark in name for mark in _SEPARATORS))
    if several and classes is None:
        text = f"{what}: {len(several)} tags hold a comma, semicolon or bar, such as {shown(several[0])}: a class each"
        listing.problems.append(note("read tags", f'{text}; write a list such as ["cat", "dog"] to separate tags'))
