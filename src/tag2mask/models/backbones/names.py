"""Names of timm's networks."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import takewhile


def similar(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The most similar of the known names, those with the same beginning first."""

    def likeness(other: str) -> float:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
        beginning = len(list(same)) / max(1, len(name))
        return SequenceMatcher(None, name, other).ratio() + beginning / 2

    return sorted(known, key=likeness, reverse=True)[:count]
