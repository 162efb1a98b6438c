"""The same image more than once: within a dataset, and on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np

from tag2mask.core.errors import DataError
from tag2mask.data.checks.finding import Finding, Severity
from tag2mask.data.checks.images import InspectedImage, pixel_hash
from tag2mask.data.checks.perceptual import grouped, near_groups
from tag2mask.images.decode import read_image

FLAT = 2.0
"""Images with a smaller standard deviation of grey levels are empty; they all look alike."""

MIN_DIFFERENT = 10
"""With fewer different images nothing can be learned that holds for others."""

ADVISED_DIFFERENT = 25
"""Fewer different images are reported."""

Kind = Literal["bytes", "pixels", "near"]
_Pairs = list[tuple[int, int]]
_WORDS = {"bytes": "are the same file", "pixels": "have the same pixels", "near": "look nearly the same"}
_CODES = {"bytes": "duplicate-files", "pixels": "duplicate-pixels", "near": "near-duplicates"}


def check_duplicates(seen: Sequence[InspectedImage]) -> list[Finding]:
    """Findings on images that occur more than once; each group is reported under its strongest similarity."""
    by_bytes, by_pixels, near = _pairs(seen)
    findings: list[Finding] = []
    known: set[frozenset[int]] = set()
    pairs: list[tuple[int, int]] = []
    kinds: tuple[tuple[Kind, list[tuple[int, int]]], ...] = (("bytes", by_bytes), ("pixels", by_pixels), ("near", near))
    for kind, found in kinds:
        pairs += found
        groups = grouped(len(seen), pairs)
        fresh = [group for group in groups if frozenset(group) not in known]
        known |= {frozenset(group) for group in groups}
        findings += _report(kind, [[seen[k] for k in group] for group in fresh])
    contradictory = [group for group in grouped(len(seen), by_bytes + by_pixels) if _tags_differ(seen, group)]
    if contradictory:
        findings.append(_contradictory([[seen[k] for k in group] for group in contradictory]))
    return findings


def groups_of(seen: Sequence[InspectedImage]) -> list[int]:
    """For each image the position of the first that is a copy or a near duplicate of it, its own if there is none."""
    first = list(range(len(seen)))
    for group in grouped(len(seen), [pair for pairs in _pairs(seen) for pair in pairs]):
        for k in group:
            first[k] = group[0]
    return first


def number_of_different(seen: Sequence[InspectedImage]) -> int:
    """How many images differ from each other: copies and near duplicates count once, empty ones not at all."""
    return len({first for first, s in zip(groups_of(seen), seen, strict=True) if s.spread >= FLAT})


def check_number(seen: Sequence[InspectedImage]) -> list[Finding]:
    """A finding where too few of the images are different from each other, copies and near duplicates counted once."""
    different = number_of_different(seen)
    if not seen or different >= ADVISED_DIFFERENT:
        return []
    some = different >= MIN_DIFFERENT
    return [
        Finding(
            "warning" if some else "error",
            "few-different-images",
            f"{different} different image{'s' * (different != 1)} among {len(seen)}, copies and near duplicates "
            "counted once, empty ones not at all",
            "the network learns them badly" if some else "the network learns these by heart: its masks mean nothing",
            f"add images; {ADVISED_DIFFERENT} different ones are the least that is worth a try, some hundred are usual",
        )
    ]


def _pairs(
    seen: Sequence[InspectedImage],
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs that are the same file, that have the same pixels, and that look nearly the same."""
    solid = [k for k, s in enumerate(seen) if s.spread >= FLAT]
    near: list[tuple[int, int]] = []
    if solid:
        first = near_groups(np.stack([seen[k].hash for k in solid])).tolist()
        near = [(solid[i], solid[j]) for j, i in enumerate(first) if i != j]
    return _same(seen, lambda s: s.file_hash), _same(seen, _confirmed_pixels(seen)), near


def _same(seen: Sequence[InspectedImage], key: Callable[[InspectedImage], Hashable]) -> list[tuple[int, int]]:
    first: dict[Hashable, int] = {}
    return [(first[k], n) for n, s in enumerate(seen) if first.setdefault(k := key(s), n) != n]


def _confirmed_pixels(seen: Sequence[InspectedImage]) -> Callable[[InspectedImage], Hashable]:
    """A key that is equal for equal pixels; where a reduced decoding is equal, the whole one decides."""
    number: dict[bytes, int] = defaultdict(int)
    for s in seen:
        number[s.pixel_hash] += 1

    def key(s: InspectedImage) -> Hashable:
        if not s.reduced or number[s.pixel_hash] < 2:
            return s.size, s.pixel_hash
        try:
            return s.size, pixel_hash(read_image(s.record.path))
        except DataError:  # the file has changed since it was seen
            return s.name

    return key


def _report(kind: Kind, groups: list[list[InspectedImage]]) -> list[Finding]:
    across = [group for group in groups if _is_across(group)]
    within = [group for group in groups if not _is_across(group)]
    near = kind == "near"
    findings: list[Finding] = []
    if across:
        findings.append(
            _finding(
                "warning" if near else "error",
                "leaked-" + _CODES[kind],
                f"{_WORDS[kind]} on both sides of a split",
                "a score on one side is too high: the network has seen these images in training",
                "look at them, and keep those of one scene on one side" if near else "keep all copies on one side",
                across,
                _placed,
            )
        )
    if within:
        findings.append(
            _finding(
                "note" if near else "warning",
                _CODES[kind],
                _WORDS[kind],
                "they count several times in training, and a later split may put them on both sides",
                "look at them, and keep one of each" if near else "keep one of each",
                within,
            )
        )
    return findings


def _contradictory(groups: list[list[InspectedImage]]) -> Finding:
    def tagged(s: InspectedImage) -> str:
        return f"{s.name} ({' '.join(sorted(s.record.tags or ())) or 'none'})"

    return _finding(
        "error",
        "duplicates-tagged-differently",
        "are identical but have different tags",
        "in training, the same image has a class and does not have it",
        "correct the tags, then keep one of each",
        groups,
        tagged,
    )


def _is_across(group: list[InspectedImage]) -> bool:
    splits = {s.record.split for s in group if not s.against} - {None}
    return len(splits) > 1 or len({s.against for s in group}) > 1


def _tags_differ(seen: Sequence[InspectedImage], group: list[int]) -> bool:
    return len({seen[k].record.tags for k in group} - {None}) > 1


def _placed(s: InspectedImage) -> str:
    return s.name if s.record.split is None else f"{s.name} [{s.record.split}]"


def _finding(
    severity: Severity,
    code: str,
    what: str,
    consequence: str,
    remedy: str,
    groups: list[list[InspectedImage]],
    written: Callable[[InspectedImage], str] = lambda s: s.name,
) -> Finding:
    number = sum(map(len, groups))
    return Finding(
        severity,
        code,
        f"{number} images in {len(groups)} group{'s' * (len(groups) != 1)} {what}",
        consequence,
        remedy,
        images=tuple(s.name for group in groups for s in group),
        groups=tuple(tuple(s.name for s in group) for group in groups),
        details=tuple(" = ".join(map(written, group)) for group in groups),
    )
