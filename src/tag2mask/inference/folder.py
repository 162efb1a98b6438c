"""Masks of many photographs into a folder: skipping what is done, counting what fails."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import make_folder, write_text
from tag2mask.images.decode import read_image
from tag2mask.inference.prediction import MaskMaker, Prediction, Request
from tag2mask.inference.review import ReviewTable
from tag2mask.masks import mask_path, write_label_map, write_mask

ABOUT = "about.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One photograph to segment: its file, its name in the output, and its tags as in `Request`."""

    image: Path
    name: str
    tags: tuple[str, ...] | None = None
    maybe: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What became of the photographs.

    Attributes:
        folder: where the masks are.
        written: masks written now.
        kept: masks that were there already.
        failures: name and reason of each photograph without a mask.
    """

    folder: Path
    written: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.written} masks written to {self.folder}"]
        if self.kept:
            parts.append(f"{self.kept} were there already (--overwrite makes them anew)")
        if self.failures:
            parts.append(f"{len(self.failures)} images skipped")
        return ", ".join(parts)


Finish = Callable[[Job, NDArray[np.uint8], Prediction], None]


def write_masks(
    predictor: MaskMaker,
    jobs: Sequence[Job],
    out: Path,
    *,
    overwrite: bool = False,
    strict: bool = False,
    also: Finish | None = None,
    complete: Callable[[Job], bool] = lambda job: True,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Segment photographs; write a palette PNG for each, by name, `classes.txt` and `uncertainty.csv`.

    Args:
        predictor: the trained network.
        jobs: photographs with unique names.
        out: folder of the masks.
        overwrite: make masks anew that are there already.
        strict: stop at the first unreadable photograph instead of counting it.
        also: called with each finished photograph, for further outputs.
        complete: whether the further outputs of a photograph are there; if not, its mask is made anew.
        advance: called once a photograph, for progress.

    Raises:
        ConfigError: `out` holds the masks of another network and `overwrite` is off.
        DataError: an unreadable photograph (`strict`), or `out` cannot be written to.
    """
    outcome = Outcome(out)
    _claim(out, predictor, overwrite=overwrite)
    write_label_map(out, predictor.classes)
    review = ReviewTable(out)
    todo = []
    for job in jobs:
        if not overwrite and mask_path(out, job.name).is_file() and complete(job):
            outcome.kept += 1
            advance()
        else:
            todo.append(job)
    read = _read_ahead(todo, outcome, strict=strict, advance=advance)
    good: deque[tuple[Job, NDArray[np.uint8]]] = deque()

    def inputs() -> Iterator[Request]:
        for job, image in read:
            good.append((job, image))
            yield Request(image, job.tags, job.maybe)

    for prediction in predictor.predict_many(inputs()):
        job, image = good.popleft()
        review.add(job.name, prediction.doubt)
        if also is not None:
            also(job, image, prediction)
        write_mask(mask_path(out, job.name), prediction.mask, classes=len(predictor.classes))
        outcome.written += 1
        advance()
    return outcome


def _read_ahead(
    jobs: Iterable[Job], outcome: Outcome, *, strict: bool, advance: Callable[[], None], ahead: int = 4
) -> Iterator[tuple[Job, NDArray[np.uint8]]]:
    """Decode photographs in a thread, a few ahead; the unreadable ones are counted and left out."""
    remaining = iter(jobs)
    with ThreadPoolExecutor(1) as pool:
        pending: deque[tuple[Job, Future[NDArray[np.uint8]]]] = deque()

        def refill() -> None:
            for job in islice(remaining, ahead - len(pending)):
                pending.append((job, pool.submit(read_image, job.image)))

        refill()
        while pending:
            job, future = pending.popleft()
            try:
                image = future.result()
            except DataError as error:
                if strict:
                    raise
                outcome.failures.append((job.name, str(error)))
                advance()
            else:
                yield job, image
            refill()


def _claim(out: Path, predictor: MaskMaker, *, overwrite: bool) -> None:
    """Record which network and settings a folder's masks come from; refuse to mix two."""
    about = {"network": predictor.fingerprint(), "classes": list(predictor.classes)}
    path = make_folder(out) / ABOUT
    if not overwrite:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot read it ({error}); choose another --out, or --overwrite") from None
        # Photographs unpacked from Parquet files lie in a hidden folder here and are no masks.
        masks = (path for path in out.rglob("*.png") if not path.relative_to(out).parts[0].startswith("."))
        foreign = found != about if found is not None else any(masks)
        if foreign:
            raise ConfigError(
                f"{out}: this folder holds masks that other weights or settings made; "
                "choose another --out, or replace them with --overwrite"
            )
    write_text(path, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
