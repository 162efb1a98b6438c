"""One image with its tags: the only record of it, from the source of tags to the written mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image with its tags.

    Attributes:
        name: path relative to the root of the dataset, POSIX separators, with its suffix; unique in a dataset.
        image: file of the image; None where it is not a file of its own (in a shard, in memory, not found yet).
        tags: classes known to be present; None where nothing is known, so that the network decides on every class.
        unknown: classes of which it is not known whether they are present; neither trained nor suppressed. In a
            `Dataset`, all classes where `tags` is None.
        split: name of the split (`train`, `val`, ...), or None.
        gt_mask: file of the ground truth, for evaluation alone, or None.
        corrected: file of a mask that a person has corrected, trained on as it is; or None.
        where: position in the source, for messages, such as `tags.csv, line 7`; it does not count in comparisons.

    Example:
        >>> record = ImageRecord("walk/a.jpg", tags=frozenset({"dog"}), unknown=frozenset({"cat"}))
        >>> sorted(record.present), sorted(record.unknown)
        (['dog'], ['cat'])
    """

    name: str
    image: Path | None = None
    tags: frozenset[str] | None = None
    unknown: frozenset[str] = frozenset()
    split: str | None = None
    gt_mask: Path | None = None
    corrected: Path | None = None
    where: str = field(default="", compare=False)

    def with_tags(self, tags: frozenset[str] | None, unknown: frozenset[str]) -> ImageRecord:
        """The same record with other tags; `dataclasses.replace` is slow for many records."""
        return ImageRecord(
            self.name, self.image, tags, unknown, self.split, self.gt_mask, self.corrected, where=self.where
        )

    @property
    def path(self) -> Path:
        """File of the image.

        Raises:
            ValueError: the image is not a file of its own.
        """
        if self.image is None:
            raise ValueError(f"{self.name}: this image is not a file of its own")
        return self.image

    @property
    def present(self) -> frozenset[str]:
        """Classes known to be present; empty where nothing is known."""
        return self.tags or frozenset()
