"""Class names that are probably the same class, spelt in two ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from itertools import combinations

from tag2mask.data.checks.finding import Finding

LIKENESS = 0.75
"""Smallest `difflib` ratio of a misspelling: `hrose` for `horse` has 0.8."""

RARE_SHARE = 0.1
"""A misspelling occurs at most in this share of the images of the right name."""

_JOINING = re.compile(r"[\s_\-./]+")


def check_spelling(counts: Mapping[str, int], together: Mapping[tuple[str, str], int]) -> list[Finding]:
    """Findings on class names that are nearly alike.

    Args:
        counts: number of images of each class.
        together: number of images that show both of two classes; pairs that never occur may be absent.
    """
    meant: list[tuple[str, str]] = []
    for first, second in combinations(counts, 2):
        wrong, right = sorted((first, second), key=lambda name: (counts[name], name))
        if counts[right] == 0 or together.get((first, second), together.get((second, first), 0)):
            continue
        same = _bare(wrong) == _bare(right)
        if same or (counts[wrong] <= RARE_SHARE * counts[right] and _alike(wrong, right)):
            meant.append((wrong, right))
    if not meant:
        return []
    return [
        Finding(
            "warning",
            "misspelt-classes",
            f"{len(meant)} class name{'s' * (len(meant) != 1)} may be misspelt",
            "each spelling is learned as a class of its own, and counts as absent where the other is written",
            "correct the tags; leave them if two classes are meant",
            classes=tuple(wrong for wrong, _ in meant),
            groups=tuple(meant),
            details=tuple(
                f"{wrong!r} ({counts[wrong]} images): did you mean {right!r} ({counts[right]} images)?"
                for wrong, right in meant
            ),
        )
    ]


def _bare(name: str) -> str:
    """The name without case, spaces, joining signs and plural; the name itself if nothing else is in it."""
    bare = _JOINING.sub("", name.casefold()) or name
    return bare[:-1] if len(bare) > 3 and bare.endswith("s") and not bare.endswith("ss") else bare


def _alike(first: str, second: str) -> bool:
    first, second = first.casefold(), second.casefold()
    if min(len(first), len(second)) < 3:
        return False
    if _without_digits(first) == _without_digits(second):  # scratch1 and scratch2 are two classes
        return False
    transposed = first[0] == second[0] and sorted(first) == sorted(second)
    return transposed or SequenceMatcher(None, first, second, autojunk=False).ratio() >= LIKENESS


def _without_digits(name: str) -> str:
    return "".join(character for character in name if not character.isdigit())
