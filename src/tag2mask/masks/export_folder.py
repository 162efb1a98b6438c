"""Export of a folder of masks: finding the masks, their names and their images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.outcome import Outcome
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.images.folder import FolderIndex, check_mask_names, without_suffix
from tag2mask.masks.class_names import CLASSES_FILE, read_classes
from tag2mask.masks.export import export_records
from tag2mask.masks.polygons import TOLERANCE

ASSUMED_SUFFIX = ".jpg"
"""Suffix of images whose folder is not given."""


def export_masks(
    masks: str | Path,
    *,
    out: str | Path,
    to: str,
    images: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    names: Iterable[str] | None = None,
    polygons: bool = False,
    tolerance: float = TOLERANCE,
    image_url: str | None = None,
    instances: bool = False,
    min_area: int = 1,
    overwrite: bool = False,
    strict: bool = False,
    progress: bool = True,
) -> Outcome:
    """Write the masks of a folder in the format of a tool, as `tag2mask.masks.export_records` does.

    Args:
        masks: folder of masks, with subfolders.
        out: file or folder to write.
        to: one of `tag2mask.masks.FORMATS`.
        images: folder of the images: their names with suffixes are written and their sizes compared with the masks';
            without it the suffix .jpg is assumed.
        classes: names without background, or a file of them; None: `classes.txt` in the folder of masks.
        names: images or masks to export, with or without suffix, in this order; None: all.
        polygons: as in `tag2mask.masks.export_records`, and so are the others.
        tolerance: of polygons, in pixels.
        image_url: address before the names of images.
        instances: each connected part of a class is an object of its own.
        min_area: connected parts of fewer pixels are left out.
        overwrite: replace an existing output.
        strict: stop at the first mask that cannot be used.
        progress: show a progress bar.

    Raises:
        ConfigError: as `tag2mask.masks.export_records`; or `out` lies in the folder of masks.
        DataError: as `tag2mask.masks.export_records`; or a name in `names` has no mask.

    Example, in a folder with masks:
        >>> outcome = export_masks("gt", out="gt.zip", to="voc", classes=["disc", "square"], progress=False)
        >>> outcome.written, outcome.failures
        (48, [])
    """
    masks, out = Path(masks), Path(out)
    found = _masks(masks)
    _check_apart(masks, out)
    if classes is None:
        classes = masks / CLASSES_FILE
        if not classes.is_file():
            raise ConfigError(f"{masks}: no {CLASSES_FILE} beside the masks; give the class names as `classes`")
    known = read_classes(Path(classes) if isinstance(classes, str) else classes)
    chosen = list(found) if names is None else [_chosen(name, found, masks) for name in names]
    records, failures = _records([(name, found[name]) for name in chosen], images)
    if failures and (strict or not records):
        raise DataError(failures[0][1])
    outcome = export_records(
        records,
        known,
        out,
        to=to,
        polygons=polygons,
        tolerance=tolerance,
        image_url=image_url,
        instances=instances,
        min_area=min_area,
        overwrite=overwrite,
        strict=strict,
        progress=progress,
    )
    outcome.failures += failures
    return outcome


def read_names(path: Path) -> list[str]:
    """The names in a file, one per line; empty lines are skipped.

    Raises:
        DataError: the file cannot be read, or holds no name.
    """
    try:
        names = [unicodedata.normalize("NFC", line.strip()) for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a text file of names ({error}); write one name per line") from None
    if not (names := [name for name in names if name]):
        raise DataError(f"{path}: no name in this file; write one name per line")
    return names


def _records(
    masks: Sequence[tuple[str, Path]], images: str | Path | None
) -> tuple[list[tuple[ImageRecord, Path]], list[tuple[str, str]]]:
    """Images with their masks, and name and reason of each mask without an image."""
    if images is None:
        return [(ImageRecord(name + ASSUMED_SUFFIX), path) for name, path in masks], []
    found = _images(Path(images))
    records = [(found[name], path) for name, path in masks if name in found]
    failures = [
        (name, f"{printable(path)}: no image of this name in {printable(images)}; give the folder of its images")
        for name, path in masks
        if name not in found
    ]
    return records, failures


def _masks(folder: Path) -> dict[str, Path]:
    """Masks of a folder by name without suffix, sorted."""
    index = FolderIndex(folder, follow_links=True)
    names = [name for name in sorted(index.files) if name.lower().endswith(".png")]
    if not names:
        raise DataError(f"{folder}: no PNG mask in this folder; give a folder that tag2mask wrote masks to")
    check_mask_names(names)
    return {without_suffix(name): index.files[name] for name in names}


def _images(folder: Path) -> dict[str, ImageRecord]:
    """Images of a folder by name without suffix."""
    index = FolderIndex(folder)
    names = index.images()
    check_mask_names(names)
    return {without_suffix(name): ImageRecord(name, index.files[name]) for name in names}


def _chosen(name: str, found: dict[str, Path], folder: Path) -> str:
    for candidate in (without_suffix(name), name):
        if candidate in found:
            return candidate
    escaped = [one for one in found if printable(one) in (name, without_suffix(name))]  # as tables write them
    if len(escaped) == 1:
        return escaped[0]
    raise DataError(f"{name}: no mask of this name in {folder}; check the name")


def _check_apart(masks: Path, out: Path) -> None:
    target, source = out.resolve(), masks.resolve()
    if target.is_relative_to(source) and target.suffix.lower() not in {".json", ".xml", ".csv", ".zip"}:
        raise ConfigError(f"`out`: {out} lies among the masks; choose a folder outside {masks}")
    if source.is_relative_to(target):
        raise ConfigError(f"`out`: the masks lie in {out}; choose another folder")
