"""What the readers of annotation files share: names of classes in, records out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.data.readers.json_file import shown
from tag2mask.data.readers.listing import BACKGROUND_WORDS, Listing
from tag2mask.masks.class_names import check_names, check_spelling

SPLIT_WORDS = frozenset({"train", "val", "valid", "validation", "test"})
"""Folders and files of these names are splits of a dataset, not classes."""


class RecordError(Exception):
    """A record that cannot be used; the reader reports it and leaves it out."""


def class_name(value: Any) -> str:
    """The name of a class as an annotation file gives it, in NFC without space around it.

    Raises:
        RecordError: it is not a text, or an empty one.
    """
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"{shown(value)} is not the name of a class; write a text")
    return unicodedata.normalize("NFC", value.strip())


def without_background(names: Iterable[str]) -> frozenset[str]:
    """The names that are classes; `none` and `background` only say that the image was looked at."""
    return frozenset(name for name in names if name.casefold() not in BACKGROUND_WORDS)


def check_listing(listing: Listing, classes: Sequence[str] | None, what: str) -> Listing:
    """The same listing, if it names an image and its tags can be classes.

    Args:
        listing: records of an annotation file.
        classes: the names that count, or None: those of the records, which are then checked.
        what: the file, for the message.

    Raises:
        DataError: no record, or names that cannot be classes.
    """
    if not listing.records:
        first = f"; {listing.problems[0].message}" if listing.problems else ""
        raise DataError(f"{what}: no image in it{first}")
    found = sorted(listing.names())
    if classes is None and found:
        check_names(found, what)
        check_spelling(found, what)
    return listing
