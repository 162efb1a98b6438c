"""The images to segment: of a folder, a file of tags or a dataset, with what is left out."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.data import UNPACKED, Dataset, log_problems
from tag2mask.data.left_out import left_out_problems
from tag2mask.data.problem import Problem
from tag2mask.images.folder import FolderIndex, check_mask_names, no_image

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class FoundImages:
    """Images to segment.

    Attributes:
        records: the images, with their tags where there are any.
        failures: name and reason of each image that cannot be used.
        problems: name (or nothing) and reason of what is wrong with the tags beside.
    """

    records: Sequence[ImageRecord]
    failures: list[tuple[str, str]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find_images(
    images: str | PathLike[str] | Dataset,
    tags: str | PathLike[str] | None,
    classes: Sequence[str],
    *,
    out: Path,
    strict: bool,
) -> FoundImages:
    """The images to segment. What is left out of a folder is logged where it is no failure.

    Args:
        images: an image, a folder or a dataset.
        tags: file of tags of the images in the folder; None: no tags.
        classes: of the network.
        out: folder of the masks; masks that are there already are no images.
        strict: refuse a folder of which an image cannot be used.

    Raises:
        ConfigError: tags beside a dataset, which has its own.
        DataError: there is no image, the tags make no sense, or an image cannot be used (`strict`).
    """
    if isinstance(images, Dataset):
        if tags is not None:
            raise ConfigError("`tags`: a dataset has its own tags; leave them out")
        return FoundImages(images.records, problems=_warnings(images))
    if tags is not None:
        dataset = Dataset.load(Path(images), Path(tags), classes=classes, strict=strict, unpack=out / UNPACKED)
        log_problems(dataset.problems)
        return FoundImages(dataset.records, problems=_warnings(dataset))
    return _in_folder(Path(images), strict)


def _in_folder(folder: Path, strict: bool) -> FoundImages:
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():  # what is no file is refused when it is read
            return FoundImages([ImageRecord(unicodedata.normalize("NFC", folder.name), folder)])
        raise DataError(f"{printable(folder)}: no such image or folder; check the path")
    index = FolderIndex(folder)
    names = index.images()
    if not names:
        raise DataError(f"{printable(folder)}: {no_image(index)}")
    check_mask_names(names)
    problems = left_out_problems(index, (), is_listed=False)
    failures = [(problem.file or "", problem.message) for problem in problems if problem.level == "warning"]
    if strict and failures:
        raise DataError(f"{printable(folder)}: {failures[0][1]}")
    _log_left_out(problems)
    return FoundImages([ImageRecord(name, index.files[name]) for name in names], failures)


def _log_left_out(problems: Sequence[Problem]) -> None:
    """Say what is left out: how many of each kind lack a mask, and what is no loss in full."""
    lost = Counter(problem.kind for problem in problems if problem.level == "warning")
    for kind, number in lost.items():
        _log.warning("%s: %d", kind, number)
    log_problems([problem for problem in problems if problem.level == "note"])


def _warnings(dataset: Dataset) -> list[tuple[str, str]]:
    return [(problem.file or "", problem.message) for problem in dataset.problems if problem.level == "warning"]
