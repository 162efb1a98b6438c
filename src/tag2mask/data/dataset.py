"""A collection: images with their tags, and what was wrong with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord

_DOCUMENT = "tag2mask collection"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that was left out or deserves a look.

    Attributes:
        kind: short name that problems are counted by, such as `missing image`.
        message: what came, what was expected and the remedy.
        file: the file or name it is about, or None.
        level: a `warning` is an error under `strict`; a `note` never is.
    """

    kind: str
    message: str
    file: str | None = None
    level: Literal["warning", "note"] = "warning"


@dataclass(frozen=True, slots=True)
class ClassCount:
    """In how many images a class is present, absent and unknown."""

    present: int
    absent: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images and their tags.

    Attributes:
        root: folder that the names of the items are relative to.
        classes: names without background; the class at position k has class index k + 1.
        records: the usable images, names unique, in the order of the source.
        problems: what was left out or deserves a look.
        source: name of the format it was read from: `csv`, `folders`, `voc`, `images`.
    """

    root: Path
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    problems: tuple[Problem, ...] = field(default=())
    source: str = "memory"

    def __len__(self) -> int:
        return len(self.records)

    @property
    def skipped(self) -> int:
        """How many problems left something out: those that are warnings."""
        return sum(problem.level == "warning" for problem in self.problems)

    def tags(self) -> NDArray[np.int8]:
        """Tags as int8 (N, C) of `Tag` values: 1 present, 0 absent, -1 unknown."""
        column = {name: k for k, name in enumerate(self.classes)}
        table = np.full((len(self.records), len(self.classes)), Tag.ABSENT, np.int8)
        for row, item in enumerate(self.records):
            for names, tag in ((item.unknown, Tag.UNKNOWN), (item.present, Tag.PRESENT)):
                for name in names:
                    table[row, column[name]] = tag
        return table

    def counts(self) -> dict[str, ClassCount]:
        """For each class, in order, the number of images where it is present, absent, unknown."""
        table = self.tags()
        return {
            name: ClassCount(*(int((table[:, k] == tag).sum()) for tag in (Tag.PRESENT, Tag.ABSENT, Tag.UNKNOWN)))
            for k, name in enumerate(self.classes)
        }

    def problem_counts(self) -> dict[str, int]:
        """Number of problems of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that occur, sorted."""
        return tuple(sorted({item.split for item in self.records if item.split is not None}))

    def spread(self, count: int) -> Dataset:
        """At most `count` of the items, evenly over the collection and in its order."""
        last = len(self.records) - 1
        return self.subset(np.linspace(0, last, min(count, last + 1)).round().astype(int))

    def subset(
        self,
        indices: Sequence[int] | NDArray[np.integer[Any]] | None = None,
        *,
        split: str | None = None,
        first: int | None = None,
        seed: int = 0,
    ) -> Dataset:
        """A collection of some of the items, with the same root and classes.

        The three choices are applied in turn: `indices`, then `split`, then `first`.

        Args:
            indices: positions to keep, in this order.
            split: keep the items of this split.
            first: keep the first so many after a shuffle, in shuffled order; a smaller number gives
                the beginning of what a larger one gives. At most all.
            seed: of that shuffle, `numpy.random.default_rng(seed).permutation(n)`.

        Raises:
            DataError: there is no such split, or nothing is left.
        """
        items = self.records if indices is None else tuple(self.records[int(index)] for index in indices)
        if split is not None:
            items = tuple(item for item in items if item.split == split)
            if not items:
                found = ", ".join(self.splits()) or "none"
                raise DataError(f"{self.root}: no image of split {split!r}; splits found: {found}")
        if first is not None:
            order = np.random.default_rng(seed).permutation(len(items))
            items = tuple(items[index] for index in order[: max(0, first)])
        if not items:
            raise DataError(f"{self.root}: the chosen subset holds no image; choose at least one")
        return replace(self, records=items)

    def to_dict(self, *, sha256: bool = False) -> dict[str, Any]:
        """What this collection is, as plain JSON values; `from_dict` reads it back.

        Args:
            sha256: add the hash of each image file, which reads all of them.
        """
        return {
            "document": _DOCUMENT,
            "version": _VERSION,
            "root": str(self.root),
            "source": self.source,
            "classes": list(self.classes),
            "items": [self._item_to_dict(item, sha256) for item in self.records],
            "problems": [
                {"kind": p.kind, "message": p.message, "file": p.file, "level": p.level} for p in self.problems
            ],
        }

    def _item_to_dict(self, item: ImageRecord, sha256: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": item.name, "tags": self._ordered(item.present)}
        if item.unknown:
            entry["unknown"] = self._ordered(item.unknown)
        if item.split is not None:
            entry["split"] = item.split
        if item.gt_mask is not None:
            entry["gt_mask"] = str(item.gt_mask)
        if item.corrected is not None:
            entry["corrected"] = str(item.corrected)
        if item.path != self.root / item.name:
            entry["image"] = str(item.path)
        if sha256:
            entry["sha256"] = file_sha256(item.path)
        return entry

    def _ordered(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self.classes.index)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, root: Path | None = None) -> Dataset:
        """Read back what `to_dict` gave. Whether the files still exist is not looked at.

        Args:
            data: the dictionary.
            root: where the images lie now; None: where they lay then.

        Raises:
            DataError: this is not such a dictionary.
        """
        if data.get("document") != _DOCUMENT or data.get("version") != _VERSION:
            raise DataError(
                f"not a {_DOCUMENT} of version {_VERSION} (document {data.get('document')!r}, "
                f"version {data.get('version')!r}); write it anew with this version"
            )
        try:
            then = Path(data["root"])
            classes = tuple(str(name) for name in data["classes"])
            items = tuple(_item_from_dict(entry, then, root or then) for entry in data["items"])
            problems = tuple(Problem(**entry) for entry in data["problems"])
            source = str(data["source"])
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"a damaged {_DOCUMENT}: {error!r}; write it anew") from error
        strangers = {name for item in items for name in item.present | item.unknown} - set(classes)
        if strangers:
            raise DataError(f"a damaged {_DOCUMENT}: tags {sorted(strangers)} are not among its classes")
        return cls(root=root or then, classes=classes, records=items, problems=problems, source=source)


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of `path`, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was it moved?") from error


def _item_from_dict(entry: Mapping[str, Any], then: Path, now: Path) -> ImageRecord:
    name = str(entry["name"])
    image = Path(entry["image"]) if "image" in entry else then / name
    if image.is_relative_to(then):
        image = now / image.relative_to(then)
    return ImageRecord(
        image=image,
        name=name,
        tags=frozenset(entry["tags"]),
        unknown=frozenset(entry.get("unknown", ())),
        split=entry.get("split"),
        gt_mask=Path(entry["gt_mask"]) if "gt_mask" in entry else None,
        corrected=Path(entry["corrected"]) if "corrected" in entry else None,
    )
