"""Masks of many images into a folder: what is done is skipped, what fails is counted."""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path, make_folder, sweep_temporary, write_text
from tag2mask.core.lock import locked
from tag2mask.core.outcome import FAILURES, Outcome, failures_table
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import counted, printable
from tag2mask.data.problem import Problem, log_problems
from tag2mask.images.decode import Note, TooManyPixelsError
from tag2mask.images.left_out import MARKER
from tag2mask.images.tiff_header import tiff_header
from tag2mask.inference.ahead import read_ahead
from tag2mask.inference.large import predict_large
from tag2mask.inference.memory import memory_bound
from tag2mask.inference.review import ReviewTable
from tag2mask.masks import mask_path, write_confidence, write_label_map, write_mask
from tag2mask.masks.geotiff import MASK_FORMATS, write_geotiff
from tag2mask.method.output import NetworkOutput

if TYPE_CHECKING:
    from tag2mask.inference.prediction import Prediction
    from tag2mask.inference.segmenter import Segmenter

ABOUT = "about.json"
"""File in a folder of masks that names the network and the settings they come from."""


_log = logging.getLogger(__name__)

Known = Callable[[ImageRecord], list[NetworkOutput] | None]
"""The network's outputs on the views of an image, where they are known."""

REPLACED = "`overwrite=True` replaces them"
"""What is noted where masks that are there were kept."""


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Where masks go, and what else is written.

    Attributes:
        out: folder of the masks.
        to: "png"; "geotiff", which gets transform and CRS of the image; or "tiff", likewise where it has them.
        overlays: folder for the images with their masks laid over, or None.
        confidence: folder for the probability of each pixel's class, or None.
        confidence_bits: of those, 8 or 16.
        overwrite: replace masks that are there.
        strict: stop at the first unreadable image instead of skipping it.
        progress: show a progress bar.
        max_memory: bytes that the process may take, as a number or such as "2GiB"; None: see
            `tag2mask.inference.memory`.
    """

    out: Path
    to: str = "png"
    overlays: Path | None = None
    confidence: Path | None = None
    confidence_bits: int = 8
    overwrite: bool = False
    strict: bool = False
    progress: bool = True
    max_memory: int | str | None = None

    def __post_init__(self) -> None:
        if self.to not in MASK_FORMATS:
            raise ConfigError(f"`to` {self.to!r}: expected one of {', '.join(MASK_FORMATS)}")
        if self.to != "png":
            require("geo", f"`to` {self.to!r}: writing masks as TIFF")
        if self.confidence_bits not in (8, 16):
            raise ConfigError(f"`confidence_bits` {self.confidence_bits}: a grey PNG has 8 or 16 bits here")
        if self.confidence is not None and self.confidence.resolve().is_relative_to(self.out.resolve()):
            raise ConfigError(f"`confidence` {self.confidence}: lies among the masks; choose another folder")

    def mask(self, name: str) -> Path:
        """File of the mask of an image."""
        return mask_path(self.out, name).with_suffix(MASK_FORMATS[self.to])


def write_masks(
    segmenter: Segmenter,
    records: Sequence[ImageRecord],
    options: FolderOptions,
    *,
    failures: Sequence[tuple[str, str]] = (),
    problems: Sequence[tuple[str, str]] = (),
    known: Known | None = None,
) -> Outcome:
    """Segment images; write a palette PNG for each, by name, `classes.txt`, `uncertainty.csv` and `failures.csv`.

    A mask is kept if it is there and has its line in `uncertainty.csv`. A mask that is replaced is removed before its
    line is written, and the table begins anew with another network: so a mask that an interrupted call with `overwrite`
    did not reach is not taken for one of the new network. One process writes to a folder at a time.

    Args:
        segmenter: the trained network.
        records: images with unique names; their tags say which classes may get pixels.
        options: where to write what.
        failures: name and reason of each image that is known to be unusable; they count as failures of this call.
        problems: names and reasons that only `failures.csv` shall hold, too.
        known: as in `Segmenter.predict_many`.

    Raises:
        ConfigError: the folder holds masks of another network and `overwrite` is off, or a result would replace an
            image.
        DataError: an unreadable image (`strict`), the folder cannot be written to, or another process writes there.
    """
    paths = _paths(records)
    _refuse_replacing(paths, options)
    with locked(options.out):
        _sweep(options)
        outcome = Outcome(options.out, failures=list(failures))
        review = _claim(segmenter, options, paths)
        write_label_map(options.out, segmenter.classes)
        _mark(paths, options)
        todo = [record for record in records if options.overwrite or not _is_done(record, review, options)]
        outcome.kept = len(records) - len(todo)
        if outcome.kept:
            outcome.notes.append(REPLACED)
        review.drop(record.name for record in todo)
        try:
            _write_all(segmenter, todo, options, review, outcome, known)
        finally:
            _write_failures(options.out, [*outcome.failures, *problems])
    if outcome.failures or problems:
        outcome.notes.append(f"reasons in {FAILURES}")
    return outcome


def _write_all(
    segmenter: Segmenter,
    todo: Sequence[ImageRecord],
    options: FolderOptions,
    review: ReviewTable,
    outcome: Outcome,
    known: Known | None,
) -> None:
    """Segment images one after the other, and count what is written and what fails."""
    notes: list[Note] = []
    bound = memory_bound(segmenter.backend, segmenter.config.prediction, options.max_memory)
    with progress_bar("masks", outcome.kept + len(todo), shown=options.progress) as advance:
        for _ in range(outcome.kept):
            advance()
        waiting: deque[ImageRecord] = deque()
        large: list[ImageRecord] = []

        def images() -> Iterator[tuple[NDArray[np.uint8], ImageRecord]]:
            for record, image in read_ahead(todo, notes, bound, segmenter, options.to):
                if isinstance(image, TooManyPixelsError) and options.to != "png" and tiff_header(record.path):
                    large.append(record)
                    advance()
                    continue
                if isinstance(image, DataError):
                    if options.strict:
                        raise image
                    outcome.failures.append((record.name, str(image)))
                    advance()
                    continue
                waiting.append(record)
                yield image, record
                del image  # a large one counts while the next is decoded

        for prediction in segmenter.predict_many(images(), max_memory=options.max_memory, known=known):
            _write(waiting.popleft(), prediction, options, review)
            del prediction
            outcome.written += 1
            advance()
    for record in large:
        _write_large(segmenter, record, options, review, outcome)
    if notes:
        log_problems([Problem(note.kind, note.message, level="note") for note in notes])


def _write_large(
    segmenter: Segmenter, record: ImageRecord, options: FolderOptions, review: ReviewTable, outcome: Outcome
) -> None:
    """Segment an image by windows; it has no overlay and no confidence map."""
    mask = options.mask(record.name)
    mask.unlink(missing_ok=True)
    try:
        found = predict_large(
            segmenter,
            record,
            mask,
            need_crs=options.to == "geotiff",
            max_memory=options.max_memory,
            progress=options.progress,
        )
    except DataError as error:
        if options.strict:
            raise
        outcome.failures.append((record.name, str(error)))
        return
    review.add(record.name, found)
    outcome.written += 1
    if options.overlays is not None or options.confidence is not None:
        outcome.notes.append(f"{printable(record.name)}: read by windows, without overlay and confidence map")


def _write_failures(out: Path, failures: Sequence[tuple[str, str]]) -> None:
    """Write the table of failures; without any, one of an earlier call goes."""
    if failures:
        write_text(out / FAILURES, failures_table(failures))
    else:
        (out / FAILURES).unlink(missing_ok=True)


def _refuse_replacing(images: Mapping[str, str], options: FolderOptions) -> None:
    """Refuse folders in which a result would replace one of the images.

    Args:
        images: name of each image by its path.
        options: the folders.

    Raises:
        ConfigError: a mask, an overlay or a confidence map has the path of an image.
    """
    targets = (
        ("out", options.out, MASK_FORMATS[options.to]),
        ("overlays", options.overlays, ".jpg"),
        ("confidence", options.confidence, ".png"),
    )
    for what, folder, suffix in targets:
        if folder is None:
            continue
        place = folder.resolve()
        for name in images.values():
            replaced = images.get(str(mask_path(place, name).with_suffix(suffix)))
            if replaced is not None:
                raise ConfigError(
                    f"`{what}` {printable(folder)}: the image {printable(replaced)} would be replaced by a result; "
                    "choose another folder"
                )


def _paths(records: Iterable[ImageRecord]) -> dict[str, str]:
    """Name of each image that is a file, by its path without links."""
    folders: dict[Path, Path] = {}
    found = {}
    for record in records:
        if record.image is not None:
            parent = record.image.parent
            if parent not in folders:
                folders[parent] = parent.resolve()
            found[str(folders[parent] / record.image.name)] = record.name
    return found


def _mark(images: Iterable[str], options: FolderOptions) -> None:
    """Leave a file in the folders of overlays and confidence maps, so that a later call does not take them for images.

    Not where images lie below such a folder.
    """
    for folder in (options.overlays, options.confidence):
        if folder is None or (folder / MARKER).exists():
            continue
        above = f"{folder.resolve()}{os.sep}"
        if not any(path.startswith(above) for path in images):
            write_text(folder / MARKER, "The images here are results of tag2mask, not images to segment.\n")


def _sweep(options: FolderOptions) -> None:
    """Remove what killed calls have left in folders that such a call has begun to fill."""
    places = ((options.out, ABOUT), (options.overlays, MARKER), (options.confidence, MARKER))
    removed = sum(sweep_temporary(place) for place, sign in places if place is not None and (place / sign).exists())
    if removed:
        _log.info("%s of an interrupted call removed", counted(removed, "temporary files"))


def _write(record: ImageRecord, prediction: Prediction, options: FolderOptions, review: ReviewTable) -> None:
    """Write everything of one image, the mask last."""
    mask = options.mask(record.name)
    mask.unlink(missing_ok=True)
    review.add(record.name, prediction.uncertainty)
    if options.overlays is not None:
        with atomic_path(mask_path(options.overlays, record.name).with_suffix(".jpg")) as temporary:
            Image.fromarray(prediction.overlay()).save(temporary, quality=90)
    if options.confidence is not None:
        path = mask_path(options.confidence, record.name)
        write_confidence(path, prediction.probs, prediction.mask, bits=options.confidence_bits)
    if options.to == "png":
        prediction.save(mask)
    else:
        need_crs = options.to == "geotiff"
        write_geotiff(mask, prediction.mask, prediction.classes, image=record.path, need_crs=need_crs)


def _is_done(record: ImageRecord, review: ReviewTable, options: FolderOptions) -> bool:
    made = record.name in review and options.mask(record.name).is_file()
    if options.confidence is None:
        return made
    return made and mask_path(options.confidence, record.name).is_file()


def _claim(segmenter: Segmenter, options: FolderOptions, images: Container[str]) -> ReviewTable:
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
    if not options.overwrite and (found is not None or _has_masks(options.out, images)):
        raise ConfigError(
            f"{options.out}: this folder holds masks that other weights or settings made; choose another `out`, or "
            "replace them with `overwrite=True`"
        )
    review = ReviewTable(options.out, fresh=True)  # before about.json: an interruption here must not mix two networks
    write_text(path, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    return review


def _has_masks(folder: Path, images: Container[str]) -> bool:
    """Whether there are PNGs that may be masks: not the images themselves, other folders of masks, or hidden ones."""
    for place, folders, files in os.walk(folder):
        if Path(place) != folder and ABOUT in files:
            folders.clear()
            continue
        for name in files:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() != ".png" or str(path.resolve()) in images:
                continue
            if not _is_coloured(path):
                return True
        folders[:] = [name for name in folders if not name.startswith(".")]
    return False


def _is_coloured(path: Path) -> bool:
    """Whether a PNG has colours of its own, as no mask of class indices has."""
    try:
        with Image.open(path) as image:
            return image.mode in ("RGB", "RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return True


def write_corrected(masks: Path, records: Iterable[ImageRecord], classes: Sequence[str]) -> int:
    """Copy the masks that people have corrected into a folder of masks; returns how many there are."""
    from tag2mask.masks.interpret import interpret_mask

    count = 0
    for record in records:
        if record.corrected is not None:
            write_mask(mask_path(masks, record.name), interpret_mask(record.corrected, classes).mask)
            count += 1
    return count
