"""One image with its tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageRecord:
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
