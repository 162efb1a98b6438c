"""Masks compared with the tags: whether both have the same classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.data.checks.finding import Finding, Severity
from tag2mask.images.decode import image_size
from tag2mask.images.folder import FolderIndex, is_image_name, without_suffix
from tag2mask.masks import read_mask


@dataclass(frozen=True, slots=True)
class _Trouble:
    code: str
    name: str
    detail: str
    classes: tuple[str, ...] = ()


_WORDS: dict[str, tuple[Severity, str, str, str]] = {
    "unreadable-masks": (
        "error", "masks that cannot be read", "they are not scored", "save them as PNGs of class indices",
    ),
    "mask-size-differs": (
        "error", "masks not as large as their image", "they cannot be compared with it",
        "save them at the size of the image as displayed (EXIF may turn it)",
    ),
    "mask-index-too-large": (
        "error", "masks with an index that no class has", "they are refused",
        "give the classes that the masks were drawn with, or set undecided pixels to 255",
    ),
    "mask-shows-untagged-class": (
        "error", "masks that show a class which the tags say is absent", "tags or mask are wrong; the result suffers",
        "look at them, and correct the tags or the mask",
    ),
    "mask-lacks-tagged-class": (
        "warning", "masks without a class which the tags say is present", "tags or mask are wrong; scores suffer",
        "look at them, and correct the tags or the mask",
    ),
}  # fmt: skip


def check_masks(
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    masks: Path,
    *,
    advance: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Findings on a folder of masks.

    Args:
        records: the images and their tags.
        classes: names in the order of their indices, from 1.
        masks: folder that mirrors the names with .png.
        advance: called after each record.

    Raises:
        DataError: the folder cannot be read, or has no mask for any image.
    """
    index = FolderIndex(masks, follow_links=True)
    files = {without_suffix(name): path for name, path in index.files.items() if is_image_name(name)}
    paired = [(record, files.get(without_suffix(record.name))) for record in records]
    if records and all(path is None for _, path in paired):
        raise DataError(f"{masks}: no mask for any image; expected e.g. {without_suffix(records[0].name)}.png")

    def one(pair: tuple[ImageRecord, Path | None]) -> list[_Trouble]:
        try:
            record, path = pair
            return [] if path is None else _compare(record, classes, path)
        finally:
            advance()

    with ThreadPoolExecutor(usable_cores()) as pool:
        troubles = [trouble for found in pool.map(one, paired) for trouble in found]
    findings = [_found(code, those) for code in _WORDS if (those := [t for t in troubles if t.code == code])]
    missing = tuple(record.name for record, path in paired if path is None)
    used = {without_suffix(record.name) for record in records}
    spare = tuple(sorted(name for name in files if name not in used))
    return findings + _unpaired(missing, spare)


def _unpaired(missing: tuple[str, ...], spare: tuple[str, ...]) -> list[Finding]:
    findings = []
    if missing:
        findings.append(
            Finding(
                "note",
                "images-without-mask",
                f"images without a mask: {len(missing)}",
                "they are not scored",
                "nothing, if only some were drawn",
                images=missing,
            )
        )
    if spare:
        findings.append(
            Finding(
                "note",
                "masks-without-image",
                f"masks without an image in the dataset: {len(spare)}",
                "they are not used",
                "check their names, if they should be",
                images=spare,
            )
        )
    return findings


def _compare(record: ImageRecord, classes: Sequence[str], path: Path) -> list[_Trouble]:
    try:
        mask = read_mask(path)
        size = image_size(record.path)
    except DataError as error:
        return [_Trouble("unreadable-masks", record.name, str(error))]
    troubles = []
    if mask.shape != size:
        sizes = f"mask {mask.shape[1]} x {mask.shape[0]}, image {size[1]} x {size[0]}"
        troubles.append(_Trouble("mask-size-differs", record.name, f"{record.name}: {sizes}"))
    found = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()) - {BACKGROUND, IGNORE_INDEX}
    if max(found, default=0) > len(classes):
        number = f"{record.name}: index {max(found)}, but {len(classes)} classes"
        return [*troubles, _Trouble("mask-index-too-large", record.name, number)]
    shown = {classes[k - 1] for k in found}
    extra = tuple(sorted(shown - record.present - record.unknown))
    lacking = tuple(sorted(record.present - shown))
    if extra:
        detail = f"{record.name}: mask shows {', '.join(extra)}; tags: {' '.join(sorted(record.present)) or 'none'}"
        troubles.append(_Trouble("mask-shows-untagged-class", record.name, detail, extra))
    if lacking:
        detail = f"{record.name}: tagged {', '.join(lacking)}; mask shows {', '.join(sorted(shown)) or 'none'}"
        troubles.append(_Trouble("mask-lacks-tagged-class", record.name, detail, lacking))
    return troubles


def _found(code: str, troubles: list[_Trouble]) -> Finding:
    severity, what, consequence, remedy = _WORDS[code]
    return Finding(
        severity,
        code,
        f"{what}: {len(troubles)}",
        consequence,
        remedy,
        images=tuple(trouble.name for trouble in troubles),
        classes=tuple(dict.fromkeys(name for trouble in troubles for name in trouble.classes)),
        details=tuple(trouble.detail for trouble in troubles),
    )
