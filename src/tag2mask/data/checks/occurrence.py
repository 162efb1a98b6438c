"""Which classes can be learned from these tags: how often each occurs, and which occur together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.data.checks.finding import Finding
from tag2mask.data.checks.spelling import check_spelling
from tag2mask.data.classes import ADVISED_IMAGES, MIN_IMAGES
from tag2mask.data.dataset import Dataset

ENOUGH = 10
"""A class in fewer images says nothing about what it occurs with."""

NEARLY = 0.9
"""Share of the images from which on a class is in nearly all, and two classes are nearly always together."""

EITHER = 0.95
"""Share of the images that show one of two classes and not the other, from which on each is only "not the other"."""

EXPECTED = 10.0
"""Two classes that never occur together are reported if chance would give so many images with both."""


def check_tags(dataset: Dataset) -> list[Finding]:
    """Findings on the tags of a dataset."""
    table = dataset.tags()
    present, absent = table == Tag.PRESENT, table == Tag.ABSENT
    names = dataset.classes
    counts = dict(zip(names, present.sum(0).tolist(), strict=True))
    both = present.astype(np.int64).T @ present.astype(np.int64)
    together = {(names[i], names[j]): int(both[i, j]) for i, j in combinations(range(len(names)), 2)}
    spelling = check_spelling(counts, together)
    known = {frozenset(group) for finding in spelling for group in finding.groups}
    return [
        *spelling,
        *_rare(counts),
        *_everywhere(names, present, absent),
        *_always(names, present, absent, both),
        *_nearly_always(names, present, absent, both),
        *_either(names, present, absent),
        *_never(names, present, both, known),
        *_no_background(present),
    ]


def _rare(counts: dict[str, int]) -> list[Finding]:
    findings = []
    few = {name: n for name, n in counts.items() if n < MIN_IMAGES}
    rare = {name: n for name, n in counts.items() if MIN_IMAGES <= n < ADVISED_IMAGES}
    if few:
        findings.append(
            Finding(
                "error",
                "classes-without-images",
                f"{_classes(len(few))} with fewer than {MIN_IMAGES} images",
                "training refuses to start",
                "add images, correct the spelling of the tags, or leave the class out of `classes`",
                classes=tuple(few),
                details=tuple(_counted(few)),
            )
        )
    if rare:
        findings.append(
            Finding(
                "warning",
                "rare-classes",
                f"{_classes(len(rare))} with fewer than {ADVISED_IMAGES} images",
                "they are learned badly; their masks will be poor",
                "add images of them, merge them with a related class, or leave them out",
                classes=tuple(rare),
                details=tuple(_counted(rare)),
            )
        )
    return findings


def _everywhere(names: tuple[str, ...], present: NDArray[np.bool_], absent: NDArray[np.bool_]) -> list[Finding]:
    findings = []
    without = dict(zip(names, absent.sum(0).tolist(), strict=True))
    usual = {name: n for name, n in zip(names, present.sum(0).tolist(), strict=True) if n >= MIN_IMAGES}
    everywhere = [name for name in usual if without[name] == 0]
    nearly = {
        name: without[name]
        for name, n in usual.items()
        if without[name] > 0 and (without[name] < min(ADVISED_IMAGES, n // 5) or n >= NEARLY * (n + without[name]))
    }
    if everywhere:
        findings.append(
            Finding(
                "error",
                "classes-in-every-image",
                f"{_classes(len(everywhere))} that no image is known to be without",
                "without a counterexample the class cannot be told from its surroundings: its masks mean nothing",
                "add images of the same surroundings without it, tagged `none` or with other classes; "
                f"{ADVISED_IMAGES} help, as many as with it are better",
                classes=tuple(everywhere),
            )
        )
    if nearly:
        findings.append(
            Finding(
                "warning",
                "few-counterexamples",
                f"{_classes(len(nearly))} that few images are without: fewer than {ADVISED_IMAGES}, or "
                f"{100 - 100 * NEARLY:.0f} %",
                "the network hardly learns to tell the class from its surroundings, and gives it the pixels of others",
                "add images of the same surroundings without it",
                classes=tuple(nearly),
                details=tuple(f"{name} (in {usual[name]}, absent from {_images(n)})" for name, n in nearly.items()),
            )
        )
    return findings


def _always(
    names: tuple[str, ...], present: NDArray[np.bool_], absent: NDArray[np.bool_], both: NDArray[np.int64]
) -> list[Finding]:
    alone = present.astype(np.int64).T @ absent.astype(np.int64)  # [i, j]: images of i known to be without j
    number, lacking = present.sum(0), absent.sum(0)
    same: list[tuple[str, str]] = []
    within: list[tuple[str, str, int]] = []
    for i, j in combinations(range(len(names)), 2):
        if both[i, j] >= MIN_IMAGES and alone[i, j] == 0 and alone[j, i] == 0:
            same.append((names[i], names[j]))
            continue
        for a, b in ((i, j), (j, i)):
            if number[a] >= ENOUGH and both[a, b] >= ENOUGH and alone[a, b] == 0 and lacking[b] > 0:
                within.append((names[a], names[b], int(number[a])))
    findings = []
    if same:
        findings.append(
            Finding(
                "error",
                "classes-always-together",
                f"{len(same)} pair{'s' * (len(same) != 1)} of classes that always occur together",
                "the tags do not tell them apart, so the network cannot: both get the same masks",
                "add images with one of them alone, or make them one class",
                classes=_unique(same),
                groups=tuple(same),
                details=tuple(f"{a} and {b}" for a, b in same),
            )
        )
    if within:
        pairs = [(a, b) for a, b, _ in within]
        findings.append(
            Finding(
                "warning",
                "classes-never-alone",
                f"{_classes(len({a for a, _ in pairs}))} that never occur without a certain other",
                "the network may take the one for part of the other: its masks cover both",
                "add images of the first without the second",
                classes=_unique(pairs),
                groups=tuple(pairs),
                details=tuple(f"{a} ({_images(n)}), never without {b}" for a, b, n in within),
            )
        )
    return findings


def _nearly_always(
    names: tuple[str, ...], present: NDArray[np.bool_], absent: NDArray[np.bool_], both: NDArray[np.int64]
) -> list[Finding]:
    """Pairs that are together in nearly all images with one of them, of those where both are known."""
    alone = present.astype(np.int64).T @ absent.astype(np.int64)
    pairs = []
    for i, j in combinations(range(len(names)), 2):
        apart = int(alone[i, j] + alone[j, i])
        if both[i, j] >= ENOUGH and apart > 0 and both[i, j] >= NEARLY * (both[i, j] + apart):
            pairs.append((names[i], names[j], int(both[i, j]), apart))
    if not pairs:
        return []
    groups = tuple((a, b) for a, b, _, _ in pairs)
    return [
        Finding(
            "warning",
            "classes-nearly-always-together",
            f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of classes that nearly always occur together",
            "the tags hardly tell them apart: masks of one cover the other",
            "add images with one of them alone, or make them one class",
            classes=_unique(groups),
            groups=groups,
            details=tuple(f"{a} and {b} (together in {_images(n)}, apart in {apart})" for a, b, n, apart in pairs),
        )
    ]


def _either(names: tuple[str, ...], present: NDArray[np.bool_], absent: NDArray[np.bool_]) -> list[Finding]:
    """Pairs of which nearly every image shows exactly one: to the network a class is then "not the other"."""
    alone = present.astype(np.int64).T @ absent.astype(np.int64)
    groups = tuple(
        (names[i], names[j])
        for i, j in combinations(range(len(names)), 2)
        if min(alone[i, j], alone[j, i]) >= MIN_IMAGES and alone[i, j] + alone[j, i] >= EITHER * len(present)
    )
    if not groups:
        return []
    return [
        Finding(
            "warning",
            "classes-one-or-other",
            f"{len(groups)} pair{'s' * (len(groups) != 1)} of classes of which nearly every image shows exactly one",
            "to tell the two apart one sign of either is enough, so the network need not find both: the masks of one "
            "may show what the other lacks, and what both stand on is never seen without them",
            "add images of the same surroundings with neither, tagged `none`; "
            f"{ADVISED_IMAGES} help, as many as with one of them are better",
            classes=_unique(groups),
            groups=groups,
            details=tuple(f"{a} or {b}" for a, b in groups),
        )
    ]


def _never(
    names: tuple[str, ...], present: NDArray[np.bool_], both: NDArray[np.int64], known: set[frozenset[str]]
) -> list[Finding]:
    number = present.sum(0)
    if len(names) > 1 and number.sum() >= ENOUGH and present.sum(1).max(initial=0) <= 1:
        return [
            Finding(
                "note",
                "one-tag-per-image",
                "no image has more than one tag",
                "the network never sees two classes in one image, and may give a whole image to one of them",
                "tag every class that is visible; if each image really shows one class, nothing",
            )
        ]
    expected = np.outer(number, number) / max(1, len(present))
    pairs = [
        (names[i], names[j], float(expected[i, j]))
        for i, j in combinations(range(len(names)), 2)
        if both[i, j] == 0 and expected[i, j] >= EXPECTED and frozenset((names[i], names[j])) not in known
    ]
    if not pairs:
        return []
    groups = tuple((a, b) for a, b, _ in pairs)
    return [
        Finding(
            "note",
            "classes-never-together",
            f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of classes never occur together, though both are frequent",
            "the network may learn the surroundings of one (water, a stable) instead of the class: they predict that "
            "the other is absent",
            "see whether tags were forgotten; if both occur together where the network will be used, add such images",
            classes=_unique(groups),
            groups=groups,
            details=tuple(f"{a} and {b} (chance would give {n:.0f} images)" for a, b, n in pairs),
        )
    ]


def _no_background(present: NDArray[np.bool_]) -> list[Finding]:
    if len(present) < ENOUGH or present.shape[1] < 2 or not present.any(1).all():
        return []
    return [
        Finding(
            "note",
            "no-image-without-class",
            "every image shows at least one of the classes",
            "what all of them have in common (a surface, a lawn) is never seen without a class, and may be learned as "
            "part of one",
            "add images of the same surroundings with none of the classes, tagged `none`",
        )
    ]


def _classes(number: int) -> str:
    return f"{number} class{'es' * (number != 1)}"


def _images(number: int) -> str:
    return f"{number} image{'s' * (number != 1)}"


def _counted(counts: dict[str, int]) -> list[str]:
    return [f"{name} ({_images(number)})" for name, number in counts.items()]


def _unique(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))
