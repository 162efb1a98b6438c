"""The whole check of a dataset: everything that would spoil training or scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.data.checks.duplicates import check_duplicates, check_number
from tag2mask.data.checks.finding import Finding, Report, ranked
from tag2mask.data.checks.images import inspect_images
from tag2mask.data.checks.masks import check_masks
from tag2mask.data.checks.occurrence import check_tags
from tag2mask.data.checks.sizes import check_readable, check_sizes
from tag2mask.data.checks.source import problem_findings, read_source_for_check
from tag2mask.data.dataset import Dataset
from tag2mask.images.folder import FolderIndex
from tag2mask.masks.class_names import read_classes


def check_dataset(
    images: str | Path,
    tags: str | Path | None = None,
    *,
    classes: str | Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    against: str | Path | None = None,
    masks: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Load a dataset and check it; if it cannot be loaded, that is a finding and its images are checked alone.

    Args:
        images: as in `Dataset.load`; with `format='images'` the images are checked without tags.
        tags: as in `Dataset.load`.
        classes: names without background in the order of their indices, or a file of them.
        format: as in `Dataset.load`.
        split: check this split alone.
        against: a folder of other images, such as those of validation: none of them should be here too.
        masks: folder of masks to compare with the tags. Their indices are those of `classes`, or else of
            `classes.txt` beside the masks, or else of the sorted classes of the tags.
        progress: show a progress bar.

    Returns:
        The findings, worst first. Nothing is changed.

    Raises:
        DataError: a folder that is named cannot be read. What is wrong inside becomes a finding.
        ConfigError: `masks` without tags.

    Example, in a folder with images and tags:
        >>> report = check_dataset("photos", "tags.csv", progress=False)
        >>> report.fails("error"), [finding.severity for finding in report if finding.code == "one-tag-per-image"]
        (False, [])
    """
    images, tags = Path(images), None if tags is None else Path(tags)
    chosen = Path(classes) if isinstance(classes, str) else classes
    if masks is not None and format == "images":
        raise ConfigError("`masks` are compared with tags, and `format='images'` has none; leave one of them out")
    with TemporaryDirectory(prefix="tag2mask-") as folder:  # for images inside Parquet files
        dataset, findings = read_source_for_check(images, tags, chosen, format, split, Path(folder))
        if dataset is None:
            files = _files(images)
            return Report(ranked([*findings, *_image_findings(files, against, progress)]), len(files), "images")
        return _report(dataset, findings, against, masks, chosen, progress)


def check_loaded(
    dataset: Dataset,
    *,
    against: str | Path | None,
    masks: str | Path | None,
    mask_classes: str | Path | Sequence[str] | None,
    progress: bool,
) -> Report:
    """Check a dataset that is loaded already: what `Dataset.check` does, which describes the arguments."""
    chosen = Path(mask_classes) if isinstance(mask_classes, str) else mask_classes
    return _report(dataset, problem_findings(dataset.problems), against, masks, chosen, progress)


def _report(
    dataset: Dataset,
    findings: list[Finding],
    against: str | Path | None,
    masks: str | Path | None,
    mask_classes: Path | Sequence[str] | None,
    progress: bool,
) -> Report:
    findings = findings + _image_findings(dataset.records, against, progress)
    if dataset.classes and dataset.source != "images":
        findings += check_tags(dataset)
    if masks is not None:
        findings += _mask_findings(dataset, Path(masks), mask_classes, progress)
    counts = {
        name: {"present": count.present, "absent": count.absent, "unknown": count.unknown}
        for name, count in dataset.counts().items()
    }
    return Report(ranked(findings), images=len(dataset), source=dataset.source, counts=counts)


def _image_findings(records: Sequence[ImageRecord], against: str | Path | None, progress: bool) -> list[Finding]:
    others = [] if against is None else _files(Path(against), named_by_folder=True)
    if against is not None and not others:
        raise DataError(f"{against}: no image in this folder to check against; check the path")
    with progress_bar("images checked", len(records) + len(others), shown=progress) as advance:
        seen, unreadable = inspect_images(records, advance=advance)
        seen_there, unreadable_there = inspect_images(others, advance=advance)
    return [
        *check_readable([*unreadable, *unreadable_there]),
        *check_duplicates([*seen, *(replace(one, against=True) for one in seen_there)]),
        *check_sizes(seen),
        *check_number(seen),
    ]


def _mask_findings(
    dataset: Dataset, masks: Path, mask_classes: Path | Sequence[str] | None, progress: bool
) -> list[Finding]:
    beside = masks / "classes.txt"
    if mask_classes is None:
        mask_classes = beside if beside.is_file() else dataset.classes
    with progress_bar("masks checked", len(dataset), shown=progress) as advance:
        return check_masks(dataset.records, read_classes(mask_classes), masks, advance=advance)


def _files(folder: Path, *, named_by_folder: bool = False) -> list[ImageRecord]:
    """Records of all images of a folder, without tags."""
    index = FolderIndex(folder)
    prefix = f"{folder}/" if named_by_folder else ""
    return [ImageRecord(f"{prefix}{name}", index.files[name]) for name in index.images()]
