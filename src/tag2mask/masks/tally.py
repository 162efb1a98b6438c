"""What a set of masks holds, counted while it is read: whether its values can mean what they should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.masks.interpret import BLACK, INDICES
from tag2mask.masks.palette_png import voc_colours

_VOC_GREY = np.rint(voc_colours() @ np.array([0.299, 0.587, 0.114])).astype(int)  # ITU-R BT.601, as Pillow and OpenCV

_SEVERAL = 8  # values that no class has: more of them in one mask are shades of grey


@dataclass(slots=True)
class MaskTally:
    """Counts over the masks of one set.

    Attributes:
        masks: how many were read.
        pixels: int64 (256,) of each value.
        ignored: masks that are 255 everywhere.
        without_class: masks with pixels of 255, other pixels, and no class.
        ways: how many masks were read in which way that deserves a word.
        black: one that is in colour and black all over, or None.
    """

    masks: int = 0
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    ignored: int = 0
    without_class: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    black: Path | None = None

    def add(self, path: Path, counts: NDArray[np.int64], way: str = INDICES) -> None:
        """Count a mask by the `value_counts` of its pixels, and the way it was read."""
        self.masks += 1
        self.pixels += counts
        if not counts[BACKGROUND + 1 : IGNORE_INDEX].any() and counts[IGNORE_INDEX]:
            self.ignored += not counts[BACKGROUND]
            self.without_class += bool(counts[BACKGROUND])
        if way == BLACK:
            self.black = self.black or path
        if way != INDICES:
            self.ways[way] += 1

    @property
    def class_pixels(self) -> NDArray[np.int64]:
        """Pixels of each class, (254,) int64, without background and 255."""
        return self.pixels[BACKGROUND + 1 : IGNORE_INDEX]

    def check(self, where: Path | str, classes: Sequence[str]) -> None:
        """Refuse a whole set whose values cannot be class indices.

        Args:
            where: the set, for the message.
            classes: names without background, in the order of their indices.

        Raises:
            DataError: no class occurs in any mask but 255 and background do; or the masks are in colour, and none
                has a colour but black.
        """
        if self.without_class and not self.class_pixels.any():
            raise DataError(f"{where}: {self.zero_and_255(classes)}")
        if self.black is not None and set(self.ways) == {BLACK}:
            raise DataError(
                f"{self.black}: this mask is a colour image, black all over, and no other mask here has a colour; save "
                "class indices as a palette or 8-bit grey PNG"
            )

    def zero_and_255(self, classes: Sequence[str]) -> str:
        """What is wrong with masks of 0 and 255 alone, and the remedy."""
        one = len(classes) == 1
        wanted = f"1 for the class ({classes[0]})" if one else f"the index of the class ({_indices(classes)})"
        held = f"all {self.masks} masks hold" if self.masks > 1 else "the mask holds"
        return (
            f"{held} only 0 and {IGNORE_INDEX}; {IGNORE_INDEX} means ignore, so that no pixel of a class is left to "
            f"compare. Write {wanted} and 0 for background"
            + (f", e.g. `mask[mask == {IGNORE_INDEX}] = 1`" if one else "")
        )

    def absent(self, classes: Sequence[str]) -> list[str]:
        """Classes without any pixel."""
        return [name for name, count in zip(classes, self.class_pixels.tolist(), strict=False) if not count]

    def notes(self, where: Path | str, *, what: str = "mask") -> list[str]:
        """What was guessed, and what cannot be scored, with its numbers.

        Args:
            where: the set, for the message.
            what: one of its members.
        """
        lines = [f"{where}: {_of(count, self.masks, what)} {way}" for way, count in self.ways.most_common()]
        if self.ignored:
            lines.append(f"{where}: {_of(self.ignored, self.masks, what)} 255 (ignore) everywhere: nothing to compare")
        if self.without_class:
            lines.append(
                f"{where}: {_of(self.without_class, self.masks, what)} of 0 and 255 (ignore) alone, without a class; "
                "if 255 marks a class there, write its index"
            )
        return lines


def merged(parts: Iterable[MaskTally]) -> MaskTally:
    """The sum of tallies."""
    total = MaskTally()
    for part in parts:
        total.masks += part.masks
        total.pixels += part.pixels
        total.ignored += part.ignored
        total.without_class += part.without_class
        total.ways += part.ways
        total.black = total.black or part.black
    return total


def index_hint(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """What values that no class has look like, as the end of a message; empty where nothing is known.

    Args:
        counts: pixels of each value, as `value_counts`.
        classes: names without background, in the order of their indices.
    """
    used = set(np.flatnonzero(counts).tolist()) - {BACKGROUND, IGNORE_INDEX}
    if not used or max(used) <= len(classes):
        return ""
    if used <= set(_VOC_GREY[1 : len(classes) + 1].tolist()):
        return "; these are the colours of PASCAL VOC's palette turned into grey: save the indices, not their colours"
    grey = [value for value in sorted(used) if value > len(classes)]
    if min(used) > len(classes) or len(grey) > _SEVERAL:
        return f"; grey levels such as {grey[0]} are no class indices: write {_indices(classes)}"
    return ""


def _indices(classes: Sequence[str]) -> str:
    shown = ", ".join(f"{index} = {name}" for index, name in enumerate(classes[:3], start=1))
    return f"{shown}, ..." if len(classes) > 3 else shown


def _of(count: int, total: int, what: str) -> str:
    return f"{count} of {total} {what}s {'is' if count == 1 else 'are'}"
