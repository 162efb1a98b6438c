"""Masks of many images into a folder: what is done is skipped, what fails is counted."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.core.outcome import Outcome
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.data import UNPACKED, Dataset, log_problems
from tag2mask.images.decode import read_image
from tag2mask.images.folder import list_images
from tag2mask.inference.review import ReviewTable
from tag2mask.masks import mask_path, write_confidence, write_label_map, write_mask

if TYPE_CHECKING:
    from tag2mask.inference.prediction import Prediction
    from tag2mask.inference.segmenter import Segmenter

ABOUT = "about.json"
"""File in a folder of masks that names the network and the settings they come from."""

_AHEAD = 4  # images decoded in advance

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Where masks go, and what else is written.

    Attributes:
        out: folder of the masks.
        overlays: folder for the images with their masks laid over, or None.
        confidence: folder for the probability of each pixel's class, or None.
        confidence_bits: of those, 8 or 16.
        overwrite: replace masks that are there.
        strict: stop at the first unreadable image instead of skipping it.
        progress: show a progress bar.
    """

    out: Path
    overlays: Path | None = None
    confidence: Path | None = None
    confidence_bits: int = 8
    overwrite: bool = False
    strict: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.confidence_bits not in (8, 16):
            raise ConfigError(f"`confidence_bits` {self.confidence_bits}: a grey PNG has 8 or 16 bits here")
        if self.confidence is not None and self.confidence.resolve().is_relative_to(self.out.resolve()):
            raise ConfigError(f"`confidence` {self.confidence}: lies among the masks; choose another folder")


def records_of(
    images: str | PathLike[str] | Dataset,
    tags: str | PathLike[str] | None,
    classes: Sequence[str],
    *,
    out: Path,
    strict: bool,
) -> Sequence[ImageRecord]:
    """The images to segment, with their tags where there are any.

    Raises:
        ConfigError: tags beside a dataset, which has its own.
        DataError: there is no image, or the tags make no sense.
    """
    if isinstance(images, Dataset):
        if tags is not None:
            raise ConfigError("`tags`: a dataset has its own tags; leave them out")
        return images.records
    if tags is None:
        return [ImageRecord(name, path) for path, name in list_images(Path(images))]
    dataset = Dataset.load(Path(images), Path(tags), classes=classes, strict=strict, unpack=out / UNPACKED)
    log_problems(dataset.problems)
    return dataset.records


def write_masks(segmenter: Segmenter, records: Sequence[ImageRecord], options: FolderOptions) -> Outcome:
    """Segment images; write a palette PNG for each, by name, `classes.txt` and `uncertainty.csv`.

    A mask is kept if it is there and has its line in `uncertainty.csv`. A mask that is replaced is removed before its
    line is written, and the table begins anew with another network: so a mask that an interrupted call with `overwrite`
    did not reach is not taken for one of the new network.

    Args:
        segmenter: the trained network.
        records: images with unique names; their tags say which classes may get pixels.
        options: where to write what.

    Raises:
        ConfigError: the folder holds masks of another network and `overwrite` is off.
        DataError: an unreadable image (`strict`), or the folder cannot be written to.
    """
    outcome = Outcome(options.out)
    review = _claim(segmenter, options)
    write_label_map(options.out, segmenter.classes)
    todo = [record for record in records if options.overwrite or not _is_done(record, review, options)]
    outcome.kept = len(records) - len(todo)
    if outcome.kept:
        outcome.notes.append("`overwrite=True` replaces them")
    with progress_bar("masks", len(records), shown=options.progress) as advance:
        for _ in range(outcome.kept):
            advance()
        waiting: deque[ImageRecord] = deque()

        def images() -> Iterator[tuple[NDArray[np.uint8], ImageRecord]]:
            for record, image in _read_ahead(todo):
                if isinstance(image, DataError):
                    if options.strict:
                        raise image
                    outcome.failures.append((record.name, str(image)))
                    advance()
                    continue
                waiting.append(record)
                yield image, record

        for prediction in segmenter.predict_many(images()):
            record = waiting.popleft()
            _write(record, prediction, options, review)
            outcome.written += 1
            advance()
    return outcome


def _write(record: ImageRecord, prediction: Prediction, options: FolderOptions, review: ReviewTable) -> None:
    """Write everything of one image, the mask last."""
    mask = mask_path(options.out, record.name)
    mask.unlink(missing_ok=True)
    review.add(record.name, prediction.uncertainty)
    if options.overlays is not None:
        with atomic_path(mask_path(options.overlays, record.name).with_suffix(".jpg")) as temporary:
            Image.fromarray(prediction.overlay()).save(temporary, quality=90)
    if options.confidence is not None:
        path = mask_path(options.confidence, record.name)
        write_confidence(path, prediction.probs, prediction.mask, bits=options.confidence_bits)
    prediction.save(mask)


def _is_done(record: ImageRecord, review: ReviewTable, options: FolderOptions) -> bool:
    made = record.name in review and mask_path(options.out, record.name).is_file()
    if options.confidence is None:
        return made
    return made and mask_path(options.confidence, record.name).is_file()


def _claim(segmenter: Segmenter, options: FolderOptions) -> ReviewTable:
    """Record which network and settings a folder's masks come from, and open its table of uncertainty.

    Masks of two networks are not mixed: those of another one are refused, or, with `overwrite`, count as not made.
    """
    about = {"network": segmenter.fingerprint(), "classes": list(segmenter.classes)}
    path = make_folder(options.out) / ABOUT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        if not options.overwrite:
            raise DataError(
                f"{path}: cannot read it ({error}); choose another `out`, or set `overwrite=True`"
            ) from None
        found = None
    if found == about:
        return ReviewTable(options.out)
    if not options.overwrite and (found is not None or _has_masks(options.out)):
        raise ConfigError(
            f"{options.out}: this folder holds masks that other weights or settings made; choose another `out`, or "
            "replace them with `overwrite=True`"
        )
    review = ReviewTable(options.out, fresh=True)  # before about.json: an interruption here must not mix two networks
    write_text(path, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    return review


def _has_masks(folder: Path) -> bool:
    """Whether there are masks; images unpacked from Parquet files lie in a hidden folder and are none."""
    masks = (path.relative_to(folder) for path in folder.rglob("*.png"))
    return any(not path.parts[0].startswith(".") for path in masks)


def _read_ahead(records: Iterable[ImageRecord]) -> Iterator[tuple[ImageRecord, NDArray[np.uint8] | DataError]]:
    """Decode images in a thread, a few ahead; of the unreadable ones the error."""
    remaining = iter(records)
    with ThreadPoolExecutor(1) as pool:
        pending: deque[tuple[ImageRecord, Future[NDArray[np.uint8]]]] = deque()
        while True:
            for record in islice(remaining, _AHEAD - len(pending)):
                pending.append((record, pool.submit(read_image, record.path)))
            if not pending:
                return
            record, future = pending.popleft()
            try:
                yield record, future.result()
            except DataError as error:
                yield record, error


def write_corrected(masks: Path, records: Iterable[ImageRecord], classes: Sequence[str]) -> int:
    """Copy the masks that people have corrected into a folder of masks; returns how many there are."""
    from tag2mask.masks.interpret import interpret_mask

    count = 0
    for record in records:
        if record.corrected is not None:
            write_mask(mask_path(masks, record.name), interpret_mask(record.corrected, classes).mask)
            count += 1
    return count
