"""Pairs of a predicted mask and its ground truth: found by name, read as class indices, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.evaluation.by_size import ComponentScores, joined, score_components
from tag2mask.evaluation.metrics import confusion_matrix
from tag2mask.masks.class_names import CLASSES_FILE, read_classes
from tag2mask.masks.interpret import interpret_mask
from tag2mask.masks.label_map import find_label_map
from tag2mask.masks.mask_files import MaskFiles, mask_files, paired, without_images
from tag2mask.masks.palette_png import value_counts
from tag2mask.masks.tally import MaskTally, index_hint, merged


@dataclass(frozen=True, slots=True)
class MaskPairs:
    """Predicted masks with their ground truth.

    Attributes:
        pairs: (predicted mask, ground truth).
        extra: number of predicted masks without ground truth.
        notes: what was guessed.
        folders: that of the predicted masks and that of the ground truth, for messages.
    """

    pairs: tuple[tuple[Path, Path], ...]
    extra: int = 0
    notes: tuple[str, ...] = ()
    folders: tuple[Path, Path] = (Path("predicted masks"), Path("ground truth"))


@dataclass(frozen=True, slots=True)
class CountedPairs:
    """Confusion matrices int64 (N, C + 1, C + 1) of parts of the pairs, and what either side holds.

    `components` scores each component of the ground truth; None where that was not asked for.
    """

    confusions: NDArray[np.int64]
    preds: MaskTally
    target: MaskTally
    components: ComponentScores | None = None


def paired_masks(predicted_dir: Path, gt_dir: Path, classes: Sequence[str]) -> MaskPairs:
    """Find the prediction of each ground truth mask.

    Raises:
        DataError: a folder has no mask, a prediction is missing, or the `classes.txt` beside the masks contradicts
            `classes`.
    """
    target, predicted = mask_files(gt_dir), mask_files(predicted_dir)
    target.check("ground truth")
    for files in (target, predicted):
        _check_order(files, classes)
    for name, why in predicted.refused.items():
        raise DataError(f"{predicted_dir / name}: {why}")
    wanted, note = without_images(target, predicted.paths.keys())
    found, notes = paired(wanted, predicted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(
            f"{predicted_dir / missing[0]}.png: no prediction for this mask ({len(missing)} of {len(wanted)} are "
            "missing); predict all images of the split"
        )
    pairs = tuple((found[name], path) for name, path in wanted.items())
    left_out = [_left_out(files) for files in (target, predicted) if files.left_out]
    all_notes = (*target.notes, *predicted.notes, *([note] if note else []), *notes, *left_out)
    return MaskPairs(pairs, len(predicted.paths) - len(pairs), all_notes, (predicted_dir, gt_dir))


def count_pairs(
    pairs: Sequence[tuple[Path, Path]],
    classes: Sequence[str],
    *,
    threads: int,
    each: bool = False,
    by_size: bool = False,
) -> CountedPairs:
    """Read pairs and sum their confusion matrices: one matrix a thread, or with `each` one a pair.

    With `by_size` the components of the ground truth are scored too.

    Raises:
        DataError: a mask is damaged or of another size, or holds what is no class.
    """
    threads = max(1, min(threads, len(pairs)))
    parts = [[pair] for pair in pairs] if each else [pairs[k::threads] for k in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        counted = list(pool.map(lambda part: _counted(part, classes, by_size=by_size), parts))
    confusions, preds, target, components = zip(*counted, strict=True)
    return CountedPairs(
        np.stack(confusions), merged(preds), merged(target), joined(chain(*components)) if by_size else None
    )


def _counted(
    pairs: Sequence[tuple[Path, Path]], classes: Sequence[str], *, by_size: bool
) -> tuple[NDArray[np.int64], MaskTally, MaskTally, list[ComponentScores]]:
    count = len(classes) + 1
    total = np.zeros((count, count), np.int64)
    of_preds, of_target = MaskTally(), MaskTally()
    components: list[ComponentScores] = []
    for predicted, gt_mask in pairs:
        (preds, way), (target, gt_way) = interpret_mask(predicted, classes), interpret_mask(gt_mask, classes)
        preds_counts, target_counts = value_counts(preds), value_counts(target)
        of_preds.add(predicted, preds_counts, way)
        of_target.add(gt_mask, target_counts, gt_way)
        if preds.shape != target.shape:
            raise DataError(
                f"{predicted}: prediction is {preds.shape[0]} x {preds.shape[1]} (height x width), its ground truth "
                f"{target.shape[0]} x {target.shape[1]}; write masks at the size of the original image"
            )
        try:
            total += confusion_matrix(preds, target, count)
        except ValueError as error:
            in_target = str(error).startswith("target")
            wrong, counts = (gt_mask, target_counts) if in_target else (predicted, preds_counts)
            raise DataError(f"{wrong}: {error}; {_remedy(counts, classes)}") from error
        if by_size:
            components.append(score_components(preds, target))
    return total, of_preds, of_target, components


def _remedy(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    if not counts[1:IGNORE_INDEX].any():  # a prediction of 255; in ground truth that is valid
        return "if 255 marks a class, write its index"
    return f"are the classes those of this mask?{index_hint(counts, classes)}"


def _left_out(files: MaskFiles) -> str:
    return f"{files.folder}: {len(files.left_out)} files are no PNG and were left out, such as {files.left_out[0]}"


def _check_order(files: MaskFiles, classes: Sequence[str]) -> None:
    """Refuse other classes than those of `classes.txt` beside masks, which gives their indices."""
    path = files.folder / CLASSES_FILE
    if not path.is_file() or (files.paths and find_label_map(next(iter(files.paths.values())).parent) is not None):
        return  # masks are translated by a label map
    for index, (here, given) in enumerate(zip(read_classes(path), classes, strict=False), start=1):
        if here.casefold() != given.casefold():
            raise DataError(
                f"{path}: the class of index {index} is {here!r}, `classes` says {given!r}; give this file as `classes`"
            )
