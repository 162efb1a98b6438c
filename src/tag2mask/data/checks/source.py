"""Loading a dataset for a check: what is left out becomes a finding, and so does a source that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.checks.finding import Finding, Severity
from tag2mask.data.dataset import Dataset
from tag2mask.data.left_out import REMEDIES, left_out_problems
from tag2mask.data.load import load_dataset
from tag2mask.data.problem import Problem
from tag2mask.data.readers.csv_tags import list_table
from tag2mask.data.readers.listing import BACKGROUND_WORDS
from tag2mask.images.folder import FolderIndex, without_suffix
from tag2mask.images.notes import BANDS, NEARLY_BLACK, NO_END, NO_VALUE, SEVERAL


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a kind of `Problem` means: severity, code, words, consequence and remedy."""

    severity: Severity
    code: str
    what: str
    consequence: str
    remedy: str


_SKIPPED = "they are left out of training"
_KINDS = {
    "missing image": _Kind(
        "error", "tags-without-image", "entries with tags but no image: {n}", _SKIPPED,
        "add the images, or correct their names or the folder",
    ),
    "ambiguous image": _Kind(
        "error", "ambiguous-names", "names that may mean several images: {n}", _SKIPPED,
        "write names relative to the folder of images",
    ),
    "bad name": _Kind("error", "bad-names", "names that cannot be used: {n}", _SKIPPED, "correct them"),
    "bad row": _Kind("error", "bad-rows", "rows that cannot be read: {n}", _SKIPPED, "correct them"),
    "bad annotation": _Kind(
        "error", "bad-annotations", "annotations that cannot be read: {n}", _SKIPPED, "correct them",
    ),
    "unreadable image": _Kind(
        "error", "unreadable-images", "images that cannot be read: {n}", _SKIPPED,
        "copy or download them again, or remove them from the tags",
    ),
    "unknown class": _Kind(
        "error", "unknown-classes", "images or folders with a class that is not among the classes: {n}", _SKIPPED,
        "correct the spelling, or add the class to the file of classes",
    ),
    "image without tags": _Kind(
        "warning", "images-without-tags", "images without tags: {n}", _SKIPPED,
        "add their tags, or `none` if they show no class",
    ),
    "refused file": _Kind("warning", "refused-files", "files that must not be used: {n}", _SKIPPED, "see each"),
    "unlisted images": _Kind(
        "warning", "images-not-listed", "images of the folder that are not in the tags", _SKIPPED,
        "add their tags (`none` if they show no class), if they belong to the dataset",
    ),
    "duplicate row": _Kind(
        "warning", "duplicate-rows", "images listed twice: {n}", "none: they count once", "remove one of the entries",
    ),
}  # fmt: skip
_GUESSES = {
    "guessed columns": "what some columns or lines mean was told by their words and cells",
    "ignored columns": "columns that are not used",
    "read tags": "how the cells of tags were read",
    "joined rows": "rows of one image were joined",
    "empty tags": "tags that were read as: no class is present",
    "doubtful tags": "classes whose name may mean that no class is present",
    "empty boxes": "rows without a box were read as: no class is present",
    "matched names": "names of images that were matched by a part of them",
    "named numbers": "numbers that were named by the order of the classes",
    "minus one": "-1 was read as absent",
    "counts": "numbers above 1 were read as: the class is present",
    "unknown classes": "classes that the rows of an image do not name are unknown",
}
"""What was guessed while a source was read."""

_REPORTED_ELSEWHERE = frozenset({"missing mask", "few images", NO_END, SEVERAL, BANDS, NO_VALUE, NEARLY_BLACK})
"""Kinds of which the check itself finds more than the loading did."""


def read_source_for_check(
    images: Path, tags: Path | None, classes: Path | Sequence[str] | None, format: str, split: str | None, unpack: Path
) -> tuple[Dataset | None, list[Finding]]:
    """The dataset, or None where it cannot be loaded, and findings on what was left out of it.

    Raises:
        DataError: the folder of images cannot be read.
    """
    index = FolderIndex(images)

    def load(names: Path | Sequence[str] | None) -> Dataset:
        return load_dataset(
            images, tags, classes=names, format=format, split=split, require_tags=format != "images", unpack=unpack
        )

    try:
        try:
            dataset = load(classes)
        except DataError:
            if classes is not None or tags is None or (names := spelled_apart(tags, index)) is None:
                raise
            dataset = load(names)
    except DataError as error:
        finding = Finding(
            "error",
            "unusable-dataset",
            str(error),
            "training refuses to start; only the images were checked, not the tags",
            "see the message",
        )
        return None, [finding, *problem_findings(left_out_problems(index, (), is_listed=tags is not None))]
    findings = problem_findings([problem for problem in dataset.problems if problem.kind != "unlisted images"])
    if split is None and dataset.source not in {"images", "folders"}:
        findings += _unlisted(dataset, index)
    return dataset, findings


def problem_findings(problems: Sequence[Problem]) -> list[Finding]:
    """A finding for each kind of problem that loading a dataset has met."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.kind not in _REPORTED_ELSEWHERE:
            kinds.setdefault(problem.kind, []).append(problem)
    return [_found(kind, those) for kind, those in kinds.items()]


def spelled_apart(tags: Path, index: FolderIndex) -> tuple[str, ...] | None:
    """All class names of a table of which some differ in case alone; None: there are none, or it is no table.

    Loading refuses such a table; with these names as its classes it can be loaded and checked.
    """
    try:
        listing, _ = list_table(tags, index, None)
    except DataError:
        return None
    names = set(listing.classes) if listing.classes is not None else listing.names()
    names = {name for name in names if name and name.casefold() not in BACKGROUND_WORDS}
    return tuple(sorted(names)) if len({name.casefold() for name in names}) < len(names) else None


def _found(name: str, problems: list[Problem]) -> Finding:
    severity: Severity = "note" if problems[0].level == "note" else "warning"
    code = "-".join(name.split())
    if name in REMEDIES:
        return _left_out(name, severity, problems)
    said = name in _GUESSES
    kind = _KINDS.get(name) or _Kind(
        severity,
        code,
        _GUESSES[name] if said else f"{name}: {{n}}",
        "wrong tags, if this is not what was meant" if said else "see each",
        "compare it with the source; write the source as the documentation shows it where this is wrong"
        if said
        else "see each",
    )
    return Finding(
        kind.severity,
        kind.code,
        kind.what.format(n=len(problems)),
        kind.consequence,
        kind.remedy,
        images=tuple(problem.file for problem in problems if problem.file),
        details=tuple(problem.message for problem in problems),
    )


def _left_out(name: str, severity: Severity, problems: list[Problem]) -> Finding:
    """A finding on files of one kind that look like images and are not used."""
    lost = severity == "warning"
    return Finding(
        severity,
        "images-left-out" if lost else "files-left-out",
        f"{name}: {len(problems)}",
        "they are neither trained on nor segmented" if lost else "none, unless they belong to the images",
        REMEDIES[name],
        images=tuple(problem.file for problem in problems if problem.file),
        details=tuple(problem.message for problem in problems),
    )


def _unlisted(dataset: Dataset, index: FolderIndex) -> list[Finding]:
    """A finding on the images below the root of the dataset that its tags do not name."""
    if index.root != dataset.root:
        index = FolderIndex(dataset.root)
    known = {record.name for record in dataset.records}
    named = {without_suffix(problem.file) for problem in dataset.problems if problem.file}
    loose = tuple(name for name in index.images() if name not in known and without_suffix(name) not in named)
    if not loose:
        return []
    kind = _KINDS["unlisted images"]
    what = f"{kind.what}: {len(loose)}"
    return [Finding(kind.severity, kind.code, what, kind.consequence, kind.remedy, images=loose)]
