"""Masks compared with the tags: whether both have the same classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.data.checks.finding import Finding, Severity
from tag2mask.data.image_masks import (
    FoundMasks,
    MaskIndexError,
    MaskOfImage,
    MaskSizeError,
    find_masks,
    read_mask_of,
)
from tag2mask.masks.tally import MaskTally

_ENOUGH = 10  # masks; fewer may well lack a class


@dataclass(frozen=True, slots=True)
class _Trouble:
    code: str
    name: str
    detail: str
    classes: tuple[str, ...] = ()


_WORDS: dict[str, tuple[Severity, str, str, str]] = {
    "unreadable-masks": (
        "error", "masks that cannot be read", "they are not scored",
        "save them as PNGs of class indices, or of colours with their labelmap.txt",
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
    found = find_masks(records, masks)
    tally = MaskTally()

    def one(record: ImageRecord) -> tuple[MaskOfImage | None, list[_Trouble]]:
        try:
            path = found.paths.get(record.name)
            return (None, []) if path is None else _compare(record, classes, path)
        finally:
            advance()

    refused = found.files.refused.items()
    troubles = [_Trouble("unreadable-masks", name, f"{masks / name}: {why}") for name, why in refused]
    with ThreadPoolExecutor(usable_cores()) as pool:
        for mask, more in pool.map(one, records):
            troubles += more
            if mask is not None:
                tally.add(mask.path, mask.counts, mask.way)
    guessed = _guessed(found, tally)
    if meaningless := _meaningless(tally, classes, masks):  # then all masks lack every class
        troubles, guessed = [one for one in troubles if one.code != "mask-lacks-tagged-class"], []
    findings = [_found(code, those) for code in _WORDS if (those := [t for t in troubles if t.code == code])]
    return [*meaningless, *findings, *_never_shown(tally, classes), *guessed, *_not_png(found), *_unpaired(found)]


def _meaningless(tally: MaskTally, classes: Sequence[str], masks: Path) -> list[Finding]:
    try:
        tally.check(masks, classes)
    except DataError as error:
        what = "masks whose values cannot be class indices"
        remedy = "write class indices; see each"
        return [Finding("error", "masks-without-meaning", what, "they are refused", remedy, details=(str(error),))]
    return []


def _never_shown(tally: MaskTally, classes: Sequence[str]) -> list[Finding]:
    never = tuple(tally.absent(classes))
    if not never or tally.masks < _ENOUGH:
        return []
    return [
        Finding(
            "warning",
            "classes-never-in-masks",
            f"classes that no mask shows: {len(never)}",
            "their IoU cannot be measured",
            "check the order of the classes, or draw masks of them",
            classes=never,
        )
    ]


def _guessed(found: FoundMasks, tally: MaskTally) -> list[Finding]:
    what = "masks that are not read as plain class indices, or not by the name of their image"
    notes = (*found.notes, *tally.notes(found.files.folder))
    remedy = "nothing, if it is right"
    code = "masks-of-another-tool"
    return [Finding("note", code, what, "what was guessed may be wrong", remedy, details=notes)] if notes else []


def _not_png(found: FoundMasks) -> list[Finding]:
    left_out = found.files.left_out
    what = f"files in the folder of masks that are no PNG: {len(left_out)}"
    remedy = "save them as PNG, if they are masks"
    return [Finding("note", "masks-not-png", what, "they are not read", remedy, images=left_out)] if left_out else []


def _unpaired(found: FoundMasks) -> list[Finding]:
    findings = []
    missing, spare = found.missing, found.spare
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


def _compare(record: ImageRecord, classes: Sequence[str], path: Path) -> tuple[MaskOfImage | None, list[_Trouble]]:
    """The mask of an image, None where it cannot be used, and what is wrong with it."""
    try:
        mask = read_mask_of(record, path, classes)
    except MaskSizeError as error:
        return None, [_Trouble("mask-size-differs", record.name, f"{record.name}: {error}")]
    except MaskIndexError as error:
        return None, [_Trouble("mask-index-too-large", record.name, f"{record.name}: {error}")]
    except DataError as error:
        return None, [_Trouble("unreadable-masks", record.name, str(error))]
    troubles = []
    shown = {classes[k - 1] for k in mask.shows}
    extra = tuple(sorted(shown - record.present - record.unknown))
    lacking = tuple(sorted(record.present - shown))
    if extra:
        detail = f"{record.name}: mask shows {', '.join(extra)}; tags: {' '.join(sorted(record.present)) or 'none'}"
        troubles.append(_Trouble("mask-shows-untagged-class", record.name, detail, extra))
    if lacking:
        detail = f"{record.name}: tagged {', '.join(lacking)}; mask shows {', '.join(sorted(shown)) or 'none'}"
        troubles.append(_Trouble("mask-lacks-tagged-class", record.name, detail, lacking))
    return mask, troubles


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
