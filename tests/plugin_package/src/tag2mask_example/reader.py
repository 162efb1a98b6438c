"""Reads texts such as

TAGGED LINES
walk/001.jpg = cat + dog
walk/002.jpg =
"""

from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.plugins import FileFormat
from tag2mask.images.folder import FolderIndex

FIRST = "TAGGED LINES"


def read(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Read such a file: `index` has the files of the folder of images, `classes` the names that were chosen."""
    listing = Listing("lines", index, complete=True)  # complete: with chosen classes other tags are left out
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        name, equals, tags = line.partition("=")
        where = f"{path.name}, line {number}"
        if not equals:
            raise DataError(f"{where}: {line!r}; expected IMAGE = TAG + TAG")
        present = frozenset(tag.strip() for tag in tags.split("+") if tag.strip())
        listing.records.append(ImageRecord(name.strip(), tags=present, where=where))
    return listing


LINES = FileFormat(read, recognise=lambda path, head: head.startswith(FIRST.encode()))
