"""What a source says before it is checked: rows of names and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tag2mask.data.dataset import Problem
from tag2mask.images.folder import FolderIndex

BACKGROUND_WORDS = frozenset({"background", "none"})
"""Tags that say: no class is present. Compared in lower case."""


@dataclass(frozen=True, slots=True)
class Row:
    """One image as a source names it.

    Attributes:
        name: as written in the source.
        where: place in the source, for messages: `tags.csv, line 7`.
        tags: classes present.
        unknown: classes of which nothing is known.
        tagged: False if the source says nothing about this image.
        split: name of its split or None.
        gt_mask: human mask or None.
    """

    name: str
    where: str
    tags: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    tagged: bool = True
    split: str | None = None
    gt_mask: Path | None = None


@dataclass(slots=True)
class Listing:
    """All rows of a source.

    Attributes:
        source: name of the format.
        index: the files of the folder that the names are relative to.
        rows: the images.
        problems: what was wrong on the way.
        classes: the source's own list of classes, or None if its tags are the list.
        complete: the source's classes are a fixed vocabulary of which a user may choose some:
            tags outside the choice are dropped rather than reported.
    """

    source: str
    index: FolderIndex
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    classes: frozenset[str] | None = None
    complete: bool = False


def refused_files(index: FolderIndex) -> list[Problem]:
    """A problem for each file of a folder that must not be used."""
    return [Problem("refused file", f"{name}: {why}", name) for name, why in index.refused.items()]
