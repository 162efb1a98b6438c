"""Images that cannot be read, or are unlike the others in size, aspect ratio, content or file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.text import counted, printable
from tag2mask.data.checks.duplicates import FLAT
from tag2mask.data.checks.finding import Finding, Severity
from tag2mask.data.checks.images import InspectedImage, UnreadableImage
from tag2mask.images.notes import BANDS, NEARLY_BLACK, NO_END, NO_VALUE, SEVERAL

TINY = 32
"""Images with a shorter side than this hold nothing a network can see."""

SIZE_FACTOR = 4.0
"""The long side of an outlier is so many times longer or shorter than the median."""

ASPECT_FACTOR = 2.5
"""The long side of an outlier, divided by its short side, is so many times that of the median."""

_WORDS: dict[str, tuple[Severity, str, str, str]] = {
    "tiny-images": (
        "warning", f"less than {TINY} pixels high or wide",
        "too small to recognise anything in; perhaps previews instead of the images",
        "replace them by the originals, or remove them",
    ),
    "empty-images": (
        "warning", "nearly uniform", "there is nothing in them to learn from",
        "look at them; remove them if they are failed exports",
    ),
    "size-outliers": (
        "note", f"more than {SIZE_FACTOR:g} times larger or smaller than usual here (long side {{middle:.0f}})",
        "all are scaled to one long side: their objects become much smaller or larger, or blurred",
        "cut large ones into tiles; remove previews",
    ),
    "aspect-outliers": (
        "note", "much longer than wide, unlike the others (sides usually 1 : {usual:.2g})",
        "scaled to one long side they become narrow strips with little detail",
        "cut them into parts, or remove them if they are banners or strips",
    ),
    "turned-by-exif": (
        "note", "rotated by 90 degrees by an EXIF entry",
        "tag2mask uses them upright; masks or boxes drawn in a tool that ignores the entry do not fit",
        "nothing, if your other tools show them upright too; else store them upright",
    ),
    "several-images-in-a-file": (
        "note", "an animation, or several pages", "only the first of the images in such a file is used",
        "save the others as files of their own, if they count",
    ),
    "jpegs-without-end": (
        "note", "JPEG without its end marker, and nothing else is missing",
        "they are read; other programs may refuse them or warn",
        "nothing, or store them again",
    ),
    "bands-left-out": (
        "note", "more bands than are read", "the network sees three of them",
        "set data.bands if others tell the classes apart better",
    ),
    "pixels-without-a-value": (
        "note", "with pixels that hold no value (nan, nodata)", "they are read as the median of the image",
        "nothing, or cut such images smaller",
    ),
    "nearly-black": (
        "warning", "nearly black, their values fill little of their 16 bits", "the network sees next to nothing",
        "set data.range, e.g. to [1, 99]",
    ),
}  # fmt: skip


_NOTED = {
    "several-images-in-a-file": SEVERAL,
    "jpegs-without-end": NO_END,
    "bands-left-out": BANDS,
    "pixels-without-a-value": NO_VALUE,
    "nearly-black": NEARLY_BLACK,
}
"""Findings that are a kind of note of the decoder."""


def check_readable(unreadable: Sequence[UnreadableImage]) -> list[Finding]:
    """Findings on images that cannot be decoded."""
    findings = []
    for truncated, code, what in (
        (False, "unreadable-images", "images that cannot be read"),
        (True, "truncated-images", "images that are truncated or damaged"),
    ):
        those = [u for u in unreadable if u.truncated is truncated]
        if those:
            findings.append(
                Finding(
                    "error",
                    code,
                    f"{what}: {len(those)}",
                    "they are left out, or part of the image is missing",
                    "copy or download them again, or remove them from the tags",
                    images=tuple(u.record.name for u in those),
                    details=tuple(u.reason for u in those),
                )
            )
    return findings


def check_sizes(seen: Sequence[InspectedImage]) -> list[Finding]:
    """Findings on images that are tiny, empty, rotated by EXIF, of an unusual size, or without the end of a JPEG."""
    if not seen:
        return []
    sides = np.array([s.size for s in seen], float)
    long, short = sides.max(1), sides.min(1)
    middle, usual = float(np.median(long)), float(np.median(long / short))
    tiny = short < TINY
    chosen: dict[str, NDArray[np.bool_]] = {
        "tiny-images": tiny,
        "empty-images": np.array([s.spread < FLAT for s in seen]),
        "size-outliers": ((long > SIZE_FACTOR * middle) | (long < middle / SIZE_FACTOR)) & ~tiny,
        "aspect-outliers": (long / short > ASPECT_FACTOR * usual) & ~tiny,
        "turned-by-exif": np.array([s.turned for s in seen]),
    } | {code: np.array([kind in {note.kind for note in s.notes} for s in seen]) for code, kind in _NOTED.items()}
    findings = []
    for code, (severity, what, consequence, remedy) in _WORDS.items():
        those = [seen[k] for k in np.flatnonzero(chosen[code]).tolist()]
        if those:
            findings.append(
                Finding(
                    severity,
                    code,
                    f"{counted(len(those), 'images')}: {what.format(middle=middle, usual=usual)}",
                    consequence,
                    remedy,
                    images=tuple(s.name for s in those),
                    details=tuple(f"{printable(s.name)} ({s.size[1]} x {s.size[0]})" for s in those),
                )
            )
    return findings
