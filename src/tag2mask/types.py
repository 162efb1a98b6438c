"""Words shared by every part: class indices, tags, one item of a collection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

BACKGROUND = 0
"""Class index of the background in every mask."""

IGNORE_INDEX = 255
"""Mask value that is never trained on, never scored and never predicted."""

MAX_CLASSES = 254
"""Classes (background not counted) that fit an 8-bit mask beside background and `IGNORE_INDEX`."""


class Tag(IntEnum):
    """Image-level presence of a class, the only supervision."""

    ABSENT = 0
    PRESENT = 1
    UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a collection with its tags.

    Attributes:
        image: file of the photograph.
        name: path relative to the collection's root, POSIX separators, with its suffix; unique.
        tags: names of the classes known to be present.
        unknown: names of the classes of which nothing is known; neither trained nor suppressed.
        split: name of the split (`train`, `val`, ...) or None.
        gt_mask: human mask, for evaluation alone, or None.
        corrected: human mask that training believes, or None.
    """

    image: Path
    name: str
    tags: frozenset[str]
    unknown: frozenset[str] = frozenset()
    split: str | None = None
    gt_mask: Path | None = None
    corrected: Path | None = None
