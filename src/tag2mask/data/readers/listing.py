"""What a source says before it is checked: records whose names are those written in the source."""

from __future__ import annotations

from dataclasses import dataclass, field

from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.images.folder import FolderIndex

BACKGROUND_WORDS = frozenset({"background", "none"})
"""Tags that say: no class is present. Compared in lower case."""


@dataclass(slots=True)
class Listing:
    """All images of a source.

    Attributes:
        source: name of the format.
        index: the files of the folder that the names are relative to.
        records: the images, with `name` as written in the source, `where` it stands there, and no `image` yet;
            `tags=None` where the source says nothing about an image.
        problems: what was wrong on the way.
        classes: the source's own list of classes, or None if its tags are the list.
        complete: the source's classes are a fixed vocabulary of which a user may choose some:
            tags outside the choice are dropped rather than reported.
    """

    source: str
    index: FolderIndex
    records: list[ImageRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    classes: frozenset[str] | None = None
    complete: bool = False

    def names(self) -> set[str]:
        """Names of all classes that occur, present or unknown."""
        return {name for record in self.records for name in record.present | record.unknown}


def refused_files(index: FolderIndex) -> list[Problem]:
    """A problem for each file of a folder that must not be used."""
    return [Problem("refused file", f"{name}: {why}", name) for name, why in index.refused.items()]
