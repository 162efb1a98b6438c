"""What a seed is: right files of one format, which of them is damaged, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tag2mask.data import Dataset
from tag2mask.data.problem import Problem
from tests.hostile.mutate import encoded

NAMES = tuple(f"p{index}.jpg" for index in range(6))
"""Images of the seeds that are tables of tags."""

TAGS = tuple(("cat",) if index % 2 else ("dog", "cat") for index in range(len(NAMES)))
"""Their tags, in order."""

_COUNTED = re.compile(r"\b(\d+) (?:\w+ )?(?:images?|files?|rows?)\b")


@dataclass(frozen=True, slots=True)
class Account:
    """What a reader made of its files.

    Attributes:
        expected: names of the images that there are.
        records: names of the images that were read.
        problems: what was said about the others.
    """

    expected: frozenset[str]
    records: frozenset[str]
    problems: tuple[Problem, ...] = ()

    def unsaid(self) -> list[str]:
        """Images that were neither read nor named (with any suffix, or by their folder) or counted in a problem."""
        said = "\n".join(f"{problem.file or ''} {problem.message}" for problem in self.problems)
        silent = [
            name
            for name in sorted(self.expected - self.records)
            if not any(_names(said, part) for part in (name, f"{Path(name).stem}.", *map(str, Path(name).parents[:-1])))
        ]
        counted = sum(int(number) for number in _COUNTED.findall(said)[:100] if len(number) < 9)
        return silent if len(silent) > counted else []


@dataclass(frozen=True, slots=True)
class Seed:
    """Right files of one format.

    Attributes:
        files: makes the files: content by path relative to an empty folder.
        target: path of the file that is damaged.
        read: reads the folder. An `Account` is checked for images that are left out unsaid; anything else is ignored.
    """

    files: Callable[[], Mapping[str, bytes]]
    target: str
    read: Callable[[Path], Account | object]


def photos(names: Iterable[str] = NAMES, folder: str = "images") -> dict[str, bytes]:
    """A small JPEG for each name."""
    return {f"{folder}/{name}": encoded("JPEG", index, size=(16, 12)) for index, name in enumerate(names)}


def beside_images(target: str, content: Callable[[], bytes | str], **options: Any) -> Seed:
    """A seed whose file of tags lies beside a folder of the images `NAMES`.

    Args:
        target: name of the file of tags.
        content: makes it.
        options: of `Dataset.load`.
    """

    def files() -> dict[str, bytes]:
        made = content()
        return {**photos(), target: made.encode() if isinstance(made, str) else made}

    return Seed(files, target, lambda root: load(root / "images", root / target, **options))


def load(images: Path, tags: Path | None = None, *, expected: Iterable[str] | None = None, **options: Any) -> Account:
    """Load a dataset; by default the images expected of it are all files of its folder with an image's suffix."""
    dataset = Dataset.load(images, tags, **options)
    if expected is None:
        suffixes = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".bmp", ".gif", ".ppm", ".avif", ".mpo"}
        found = (path for path in images.rglob("*") if path.is_file() and path.suffix.lower() in suffixes)
        expected = (path.relative_to(images).as_posix() for path in found)
    names = frozenset(record.name for record in dataset.records)
    return Account(frozenset(expected), names, dataset.problems)


def _names(text: str, part: str) -> bool:
    """Whether a text has this name or stem (with its dot), not as a part of a longer word."""
    end = "" if part.endswith(".") else r"(?!\w)"
    return re.search(rf"(?<!\w){re.escape(part)}{end}", text) is not None
