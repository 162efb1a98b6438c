"""Masks of a dataset's images, drawn by people or other tools: found by name, read, and compared with the image.

The one reading of ground truth (`masks`), corrected masks (`corrected`) and masks that are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.images.decode import image_size
from tag2mask.images.folder import without_suffix
from tag2mask.masks.interpret import BLACK, interpret_mask
from tag2mask.masks.mask_files import MaskFiles, mask_files, paired, without_images
from tag2mask.masks.palette_png import value_counts
from tag2mask.masks.tally import MaskTally, index_hint

_THREADS = 2


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Which mask belongs to which image.

    Attributes:
        files: of the folder.
        paths: mask of each image that has one, by the image's name.
        missing: names of the images without mask.
        spare: names of masks, without suffix, that belong to no image.
        notes: what was guessed, for people.
    """

    files: MaskFiles
    paths: dict[str, Path]
    missing: tuple[str, ...]
    spare: tuple[str, ...]
    notes: tuple[str, ...]


def find_masks(records: Sequence[ImageRecord], folder: Path, *, nothing: str = "no mask for any image") -> FoundMasks:
    """Find the masks of images in a folder that mirrors their names, or nearly.

    Args:
        records: the images.
        folder: where to look.
        nothing: what is said where no mask belongs to any image.

    Raises:
        DataError: the folder cannot be read, or has no mask for any image.
    """
    files = mask_files(folder)
    bases = {without_suffix(record.name): record.name for record in records}
    found, notes = paired(bases, files)
    paths = {bases[base]: path for base, path in found.items()}
    if records and not paths:
        example = f"{nothing}; expected e.g. {next(iter(bases))}.png"
        raise DataError(f"{folder}: {example}{files.instead() if not files.paths else ''}{_refused(files)}")
    candidates, _ = without_images(files, bases.keys())
    used = set(found.values())
    spare = tuple(name for name, path in candidates.items() if path not in used)
    missing = tuple(record.name for record in records if record.name not in paths)
    return FoundMasks(files, paths, missing, spare, (*files.notes, *notes))


def _refused(files: MaskFiles) -> str:
    return "".join(f"\n  {name}: {why}" for name, why in list(files.refused.items())[:3])


@dataclass(frozen=True, slots=True)
class MaskOfImage:
    """A mask that fits its image.

    Attributes:
        path: its file.
        counts: int64 (256,), pixels of each value.
        way: how it was read, as in `InterpretedMask`.
    """

    path: Path
    counts: NDArray[np.int64]
    way: str

    @property
    def shows(self) -> tuple[int, ...]:
        """Class indices that occur."""
        return tuple((np.flatnonzero(self.counts[1:IGNORE_INDEX]) + 1).tolist())


def read_mask_of(record: ImageRecord, path: Path, classes: Sequence[str]) -> MaskOfImage:
    """Read the mask of an image and compare it with image and classes.

    Raises:
        DataError: as `interpret_mask`; `MaskSizeError`: it is not as large as the image; `MaskIndexError`: it holds
            an index that no class has.
    """
    mask, way = interpret_mask(path, classes)
    if mask.shape != (size := image_size(record.path)):
        raise MaskSizeError(
            f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]}, its image {size[1]} x {size[0]}; save it at the "
            "size of the image as displayed (EXIF may turn it)"
        )
    one = MaskOfImage(path, value_counts(mask), way)
    highest = max(one.shows, default=0)
    if highest > len(classes):
        hint = index_hint(one.counts, classes)
        raise MaskIndexError(f"{path}: class index {highest}, but there are {len(classes)} classes{hint}")
    return one


class MaskSizeError(DataError):
    """A mask that is not as large as its image."""


class MaskIndexError(DataError):
    """A mask with an index that no class has."""


def with_gt_masks(
    records: Sequence[ImageRecord], folder: Path, classes: Sequence[str], problems: list[Problem]
) -> list[ImageRecord]:
    """Assign ground truth to images.

    Args:
        records: of the dataset.
        folder: of masks.
        classes: names without background, in the order of their indices.
        problems: masks that cannot be used, and what was guessed, are added here.

    Raises:
        DataError: no mask belongs to any image, none can be used, or all hold 0 and 255 alone.
    """
    found = find_masks(records, folder)
    problems += [Problem("masks of another tool", note, level="note") for note in found.notes]
    if found.missing:
        message = f"{len(found.missing)} images have no mask in {folder}, such as {found.missing[0]}"
        problems.append(Problem("missing mask", message, level="note"))
    problems += [Problem("missing mask", f"{folder / name}: {why}", name) for name, why in found.files.refused.items()]
    usable = read_all(records, found.paths, classes, folder, problems, kind="ground truth not usable")
    occurring = {index for one in usable.values() for index in one.shows}
    if never := [name for index, name in enumerate(classes, start=1) if index not in occurring]:
        message = f"{folder}: no mask shows {', '.join(never)}: their IoU cannot be measured"
        problems.append(Problem("class without ground truth", message, level="note"))
    return [replace(record, gt_mask=usable[record.name].path if record.name in usable else None) for record in records]


def read_all(
    records: Sequence[ImageRecord],
    paths: dict[str, Path],
    classes: Sequence[str],
    source: Path,
    problems: list[Problem],
    *,
    kind: str,
) -> dict[str, MaskOfImage]:
    """Read all masks of a set, and refuse a set whose values cannot be class indices.

    Args:
        records: the images.
        paths: mask of each, by name.
        classes: names without background, in the order of their indices.
        source: of the masks, for messages.
        problems: masks that cannot be used, and what was guessed, are added here.
        kind: of those problems.

    Returns:
        The masks that can be used, by the image's name.

    Raises:
        DataError: no mask can be used, or all hold 0 and 255 alone.
    """

    def one(record: ImageRecord) -> MaskOfImage | DataError:
        try:
            return read_mask_of(record, paths[record.name], classes)
        except DataError as error:
            return error

    usable: dict[str, MaskOfImage] = {}
    tally = MaskTally()
    failures: list[Problem] = []
    with_mask = [record for record in records if record.name in paths]
    with ThreadPoolExecutor(_THREADS) as pool:
        for record, result in zip(with_mask, pool.map(one, with_mask), strict=True):
            if isinstance(result, DataError):
                failures.append(Problem(kind, str(result), record.name))
                continue
            tally.add(result.path, result.counts, result.way)
            usable[record.name] = result
    if failures and all(mask.way == BLACK for mask in usable.values()):
        more = f" (none of the {len(failures)} masks of {source} that hold anything can be used; this is the first)"
        raise DataError(f"{failures[0].message}{more if len(failures) > 1 else ''}")
    tally.check(source, classes)
    problems += failures
    problems += [Problem("masks of another tool", note, level="note") for note in tally.notes(source)]
    return usable
