"""Photographs that are unlike the others in size, shape or content."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.checking.duplicates import FLAT
from tag2mask.checking.finding import Finding, Group
from tag2mask.checking.photographs import Seen, Unreadable

TINY = 32
"""Photographs with a shorter side than this hold nothing a network can see."""

SIZE_FACTOR = 4.0
"""The long side of an outlier is so many times longer or shorter than the median."""

ASPECT_FACTOR = 2.5
"""The long side of an outlier, divided by its short side, is so many times that of the median."""


def check_readable(unreadable: Sequence[Unreadable]) -> list[Finding]:
    """Findings on photographs that do not decode."""
    findings = []
    for truncated, code, what in (
        (False, "unreadable-images", "cannot be read"),
        (True, "truncated-images", "are truncated or damaged"),
    ):
        those = [u for u in unreadable if u.truncated is truncated]
        if those:
            findings.append(
                Finding(
                    "error",
                    code,
                    f"{_images(len(those))} {what}",
                    "they are left out, or part of the picture is missing",
                    "copy or download them again, or remove them from the tags",
                    images=tuple(u.photograph.name for u in those),
                    details=tuple(u.reason for u in those),
                )
            )
    return findings


def check_sizes(seen: Sequence[Seen]) -> list[Finding]:
    """Findings on tiny, empty, turned and outlying photographs."""
    if not seen:
        return []
    sides = np.array([s.size for s in seen], float)
    long, short = sides.max(1), sides.min(1)
    middle = float(np.median(long))
    aspect = long / short
    usual = float(np.median(aspect))
    tiny = short < TINY
    outlying = ((long > SIZE_FACTOR * middle) | (long < middle / SIZE_FACTOR)) & ~tiny
    wide = (aspect > ASPECT_FACTOR * usual) & ~tiny
    flat = np.array([s.spread < FLAT for s in seen])
    turned = np.array([s.turned for s in seen])

    def those(chosen: NDArray[np.bool_]) -> list[Seen]:
        return [seen[k] for k in np.flatnonzero(chosen).tolist()]

    findings = []
    if found := those(tiny):
        findings.append(
            Finding(
                "warning",
                "tiny-images",
                f"{_images(len(found))} {_are(found)} less than {TINY} pixels high or wide",
                "too small to recognise anything in; perhaps previews instead of the photographs",
                "replace them by the originals, or remove them",
                *_sized(found),
            )
        )
    if found := those(flat):
        findings.append(
            Finding(
                "warning",
                "empty-images",
                f"{_images(len(found))} {_are(found)} of one tone",
                "there is nothing in them to learn from",
                "look at them; remove them if they are failed exports",
                *_sized(found),
            )
        )
    if found := those(outlying):
        findings.append(
            Finding(
                "note",
                "size-outliers",
                f"{_images(len(found))} {_are(found)} more than {SIZE_FACTOR:g} times larger or smaller than is usual "
                f"here (long side {middle:.0f})",
                "all are scaled to one long side: their objects come out much smaller or larger, or blurred",
                "cut large ones into tiles; remove previews",
                *_sized(found),
            )
        )
    if found := those(wide):
        findings.append(
            Finding(
                "note",
                "aspect-outliers",
                f"{_images(len(found))} {_are(found)} much longer than wide, unlike the others (sides usually 1 : "
                f"{usual:.2g})",
                "scaled to one long side they become narrow strips with little detail",
                "cut them into parts, or remove them if they are banners or strips",
                *_sized(found),
            )
        )
    if found := those(turned):
        findings.append(
            Finding(
                "note",
                "turned-by-exif",
                f"{_images(len(found))} {_are(found)} turned by 90 degrees by an EXIF entry",
                "tag2mask uses them upright; masks or boxes drawn in a tool that ignores the entry do not fit",
                "nothing, if your other tools show them upright too; else store them upright",
                *_sized(found),
            )
        )
    return findings


def _images(number: int) -> str:
    return f"{number} image{'s' * (number != 1)}"


def _are(found: Sequence[Seen]) -> str:
    return "is" if len(found) == 1 else "are"


_Where = tuple[tuple[str, ...], tuple[str, ...], tuple[Group, ...], tuple[str, ...]]


def _sized(found: Sequence[Seen]) -> _Where:
    """Images, classes, groups and details of a finding."""
    return tuple(s.name for s in found), (), (), tuple(f"{s.name} ({s.size[1]} x {s.size[0]})" for s in found)
