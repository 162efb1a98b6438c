"""A dataset: images with their tags, and what was wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.document import document_of, fields_of
from tag2mask.data.problem import Problem

if TYPE_CHECKING:
    from tag2mask.data.checks.finding import Report


@dataclass(frozen=True, slots=True)
class ClassCount:
    """In how many images a class is present, absent and unknown."""

    present: int
    absent: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Dataset:
    r"""Images and their tags.

    Attributes:
        root: folder that the names of the records are relative to.
        classes: names without background; the class at position k has class index k + 1.
        records: the usable images, names unique, in the order of the source.
        problems: what was left out or deserves a look.
        source: name of the format it was read from: `csv`, `folders`, `voc`, `images`, ...

    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> temporary = TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> for name in ("a.png", "b.png"):
    ...     Image.new("RGB", (8, 6)).save(folder / name)
    >>> _ = (folder / "tags.csv").write_text("image,tags\na.png,cat dog\nb.png,none\n")
    >>> dataset = Dataset.load(folder, folder / "tags.csv")
    >>> dataset.classes, [record.name for record in dataset.records]
    (('cat', 'dog'), ['a.png', 'b.png'])
    >>> dataset.tags().tolist()
    [[1, 1], [0, 0]]
    >>> report = dataset.check(progress=False)
    >>> [finding.code for finding in report][:2]
    ['duplicates-tagged-differently', 'few-different-images']
    >>> temporary.cleanup()
    """

    root: Path
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    problems: tuple[Problem, ...] = field(default=())
    source: str = "memory"

    @classmethod
    def load(
        cls,
        images: str | Path,
        tags: str | Path | None = None,
        *,
        masks: str | Path | None = None,
        corrected: str | Path | None = None,
        classes: str | Path | Sequence[str] | None = None,
        format: str = "auto",
        split: str | None = None,
        limit: int | None = None,
        strict: bool = False,
        unpack: str | Path | None = None,
        verify: bool = False,
        require_tags: bool = True,
    ) -> Dataset:
        """Read images and tags in any of the known formats, and check them.

        Args:
            images: folder of the images, or of the whole dataset (class folders, a VOC devkit, Parquet files).
            tags: file of tags (CSV, JSON Lines, COCO, CVAT, Label Studio); None where `images` says it all.
            masks: folder of ground truth for evaluation, which mirrors `images` with .png; or None.
            corrected: masks of some images, to train on as they are: such a folder, or COCO JSON; or None.
            classes: names in the order of their indices, or a file of them. None: those that occur, sorted.
            format: name of a format (`tag2mask.data.readers.sources.FORMATS`); 'auto': recognised by content.
            split: keep the images of this split.
            limit: keep the first so many after a shuffle with seed 0.
            strict: raise an error instead of leaving out what cannot be used.
            unpack: folder for images inside Parquet files and masks inside COCO JSON, which are written there.
            verify: decode every image, instead of reading its header.
            require_tags: False keeps images of which nothing is known, with `tags=None`.

        Raises:
            DataError: nothing is usable, the source makes no sense, tags contradict each other, two images would
                write the same mask, or anything is left out under `strict=True`.
        """
        from tag2mask.data.load import load_dataset

        return load_dataset(
            images,
            tags,
            masks=masks,
            corrected=corrected,
            classes=classes,
            format=format,
            split=split,
            limit=limit,
            strict=strict,
            unpack=unpack,
            verify=verify,
            require_tags=require_tags,
        )

    def check(
        self,
        *,
        against: str | Path | None = None,
        masks: str | Path | None = None,
        mask_classes: str | Path | Sequence[str] | None = None,
        progress: bool = True,
    ) -> Report:
        """Look for what is wrong with images and tags: damaged and doubled images, classes that cannot be learned.

        Args:
            against: a folder of other images, such as those of validation: none of them should be here too.
            masks: folder of masks to compare with the tags.
            mask_classes: names in the order of the indices of `masks`, or a file of them. None: `classes.txt`
                beside the masks, or else the classes of the dataset.
            progress: show a progress bar.

        Returns:
            The findings, worst first. Nothing is changed.

        Raises:
            DataError: `against` or `masks` cannot be read.
        """
        from tag2mask.data.checks.check import check_loaded

        return check_loaded(self, against=against, masks=masks, mask_classes=mask_classes, progress=progress)

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
        for row, record in enumerate(self.records):
            if record.tags is None:
                table[row] = Tag.UNKNOWN
            for names, tag in ((record.unknown, Tag.UNKNOWN), (record.present, Tag.PRESENT)):
                for name in names:
                    table[row, column[name]] = tag
        return table

    def counts(self) -> dict[str, ClassCount]:
        """For each class, in order, the number of images where it is present, absent, unknown.

        >>> record = ImageRecord("a.jpg", tags=frozenset({"cat"}))
        >>> Dataset(Path(), ("cat", "dog"), (record,)).counts()["dog"]
        ClassCount(present=0, absent=1, unknown=0)
        """
        table = self.tags()
        return {
            name: ClassCount(*(int((table[:, k] == tag).sum()) for tag in (Tag.PRESENT, Tag.ABSENT, Tag.UNKNOWN)))
            for k, name in enumerate(self.classes)
        }

    def problem_counts(self) -> dict[str, int]:
        """Number of problems of each kind, the most frequent first.

        >>> Dataset(Path(), (), (), problems=(Problem("bad row", "tags.csv, line 3: no image name"),)).problem_counts()
        {'bad row': 1}
        """
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that occur, sorted.

        >>> Dataset(Path(), (), (ImageRecord("a.jpg", split="val"), ImageRecord("b.jpg", split="train"))).splits()
        ('train', 'val')
        """
        return tuple(sorted({record.split for record in self.records if record.split is not None}))

    def spread(self, count: int) -> Dataset:
        """At most `count` of the records, evenly spaced and in order.

        >>> records = tuple(ImageRecord(f"{k}.jpg") for k in range(9))
        >>> [record.name for record in Dataset(Path(), (), records).spread(3).records]
        ['0.jpg', '4.jpg', '8.jpg']
        """
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
        """A dataset of some of the records, with the same root and classes.

        The three choices are applied in turn: `indices`, then `split`, then `first`.

        Args:
            indices: positions to keep, in this order.
            split: keep the records of this split.
            first: keep the first so many after a shuffle, in shuffled order; a smaller number gives
                the beginning of what a larger one gives. At most all.
            seed: of that shuffle, `numpy.random.default_rng(seed).permutation(n)`.

        Raises:
            DataError: there is no such split, or nothing is left.

        >>> records = tuple(ImageRecord(f"{k}.jpg", split="train" if k < 2 else "val") for k in range(3))
        >>> dataset = Dataset(Path(), (), records)
        >>> len(dataset.subset(split="train")), dataset.subset([2]).records[0].name
        (2, '2.jpg')
        """
        records = self.records if indices is None else tuple(self.records[int(index)] for index in indices)
        if split is not None:
            records = tuple(record for record in records if record.split == split)
            if not records:
                found = ", ".join(self.splits()) or "none"
                raise DataError(f"{self.root}: no image of split {split!r}; splits found: {found}")
        if first is not None:
            order = np.random.default_rng(seed).permutation(len(records))
            records = tuple(records[index] for index in order[: max(0, first)])
        if not records:
            raise DataError(f"{self.root}: the chosen subset holds no image; choose at least one")
        return replace(self, records=records)

    def to_dict(self, *, sha256: bool = False) -> dict[str, Any]:
        """What this dataset is, as plain JSON values; `from_dict` reads it back.

        Args:
            sha256: add the hash of each image file, which reads all of them.
        """
        return document_of(self, sha256=sha256)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, root: Path | None = None) -> Dataset:
        """Read back what `to_dict` gave, in this or an older version. The image files are not looked at.

        Args:
            data: the dictionary.
            root: where the images lie now; None: where they lay then.

        Raises:
            DataError: this is not such a dictionary.

        >>> dataset = Dataset(Path("photos"), ("cat",), (ImageRecord("a.jpg", Path("photos/a.jpg"), frozenset()),))
        >>> Dataset.from_dict(dataset.to_dict()) == dataset
        True
        """
        return cls(**fields_of(data, root))
