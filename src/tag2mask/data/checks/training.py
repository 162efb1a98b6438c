"""The part of a check that tells whether training is worth its time: findings that will spoil it, different images."""

from __future__ import annotations

from dataclasses import dataclass

from tag2mask.core.progress import progress_bar
from tag2mask.data.checks.duplicates import check_duplicates, check_number, groups_of, number_of_different
from tag2mask.data.checks.finding import Finding, ranked
from tag2mask.data.checks.images import inspect_images
from tag2mask.data.checks.occurrence import check_tags
from tag2mask.data.checks.sizes import check_sizes
from tag2mask.data.dataset import Dataset

MOST_INSPECTED = 5000
"""Images that are decoded for this; of more, evenly spaced ones. Comparing all pairs of more takes minutes."""

SPOILING_TAGS = frozenset(
    {
        "classes-in-every-image",
        "few-counterexamples",
        "classes-always-together",
        "classes-nearly-always-together",
        "classes-one-or-other",
        "rare-classes",
    }
)
"""Codes of findings on tags that spoil the masks of the classes they name."""

SPOILING_IMAGES: dict[str, float] = {
    "few-different-images": 0.0,
    "tiny-images": 0.1,
    "empty-images": 0.1,
    "duplicates-tagged-differently": 0.05,
    "duplicate-files": 0.5,
    "duplicate-pixels": 0.5,
    "near-duplicates": 0.5,
}
"""Codes of findings on images with the share of the images from which on they spoil the result."""


@dataclass(frozen=True, slots=True)
class TrainingCheck:
    """What is known of a dataset before training on it.

    Attributes:
        findings: those that will spoil the result, worst first.
        inspected: number of images that were decoded.
        different: of these, those that differ from each other; empty ones do not count.
        group: name of each of them, with the name of the first that it is a copy or near duplicate of.
    """

    findings: tuple[Finding, ...]
    inspected: int
    different: int
    group: dict[str, str]


def check_for_training(dataset: Dataset, *, progress: bool = False, limit: int = MOST_INSPECTED) -> TrainingCheck:
    """Look for what will spoil training: the findings of `Dataset.check` that matter for it.

    Args:
        dataset: what is to be trained on.
        progress: show a progress bar.
        limit: decode at most so many images.
    """
    records = dataset.spread(limit).records
    with progress_bar("images checked", len(records), shown=progress) as advance:
        seen, _ = inspect_images(records, advance=advance)
    findings = [*check_number(seen), *check_sizes(seen), *check_duplicates(seen)]
    kept = [
        finding
        for finding in findings
        if finding.code in SPOILING_IMAGES and len(finding.images) >= SPOILING_IMAGES[finding.code] * len(seen)
    ]
    kept += [finding for finding in check_tags(dataset) if finding.code in SPOILING_TAGS]
    group = {one.name: seen[first].name for one, first in zip(seen, groups_of(seen), strict=True)}
    return TrainingCheck(ranked(kept), len(seen), number_of_different(seen), group)
