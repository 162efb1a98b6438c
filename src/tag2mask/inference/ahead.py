"""Images decoded in a thread, a few ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.images.decode import Note, TooManyPixelsError, image_size, read_image
from tag2mask.images.tiff_header import tiff_header
from tag2mask.masks.geotiff import check_georeferenced
from tag2mask.method.memory import MemoryBound

if TYPE_CHECKING:
    from tag2mask.inference.segmenter import Segmenter

_AHEAD = 4  # images decoded in advance
_AHEAD_SHARE = 0.1  # of the memory for images, that those in advance may take before the next one waits


def read_ahead(
    records: Iterable[ImageRecord], notes: list[Note], bound: MemoryBound, segmenter: Segmenter, to: str
) -> Iterator[tuple[ImageRecord, NDArray[np.uint8] | DataError]]:
    """Decode images in a thread, a few ahead; of the unreadable ones the error. What is odd goes to `notes`.

    Ahead are only images that take a small part of `bound` together; a large one is decoded when it is asked for.
    """
    remaining = iter(records)
    pending: deque[tuple[ImageRecord, int, Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        while True:
            while len(pending) < _AHEAD and sum(cost for _, cost, _ in pending) < bound.available * _AHEAD_SHARE:
                record = next(remaining, None)
                if record is None:
                    break
                cost, future = _submitted(record, notes, bound, segmenter, to, pool)
                pending.append((record, cost, future))
                if cost > bound.available * _AHEAD_SHARE:
                    break
            if not pending:
                return
            record, _, future = pending.popleft()
            try:
                image = future.result()
            except DataError as error:
                yield record, error
                continue
            del future
            yield record, image
            del image


def _submitted(
    record: ImageRecord, notes: list[Note], bound: MemoryBound, segmenter: Segmenter, to: str, pool: ThreadPoolExecutor
) -> tuple[int, Future[NDArray[np.uint8]]]:
    """The bytes that an image takes and the image to come; or an error, if it cannot be read or held."""
    failed: Future[NDArray[np.uint8]] = Future()
    try:
        if to != "png":
            check_georeferenced(record.path, need_crs=to == "geotiff")
        size = image_size(record.path)
        bound.check(size, len(segmenter.classes) + 1)
    except DataError as error:
        if isinstance(error, TooManyPixelsError):
            if to == "png" and tiff_header(record.path) is not None:
                error = TooManyPixelsError(f"{error}; or write its mask by windows, in the format `geotiff`")
            failed.set_exception(error)
            return 0, failed
        text = str(error)
        failed.set_exception(error if str(record.path) in text else DataError(f"{printable(record.path)}: {text}"))
        return 0, failed
    read = partial(read_image, record.path, reading=segmenter.reading, note=notes.append)
    return bound.next_cost(size), pool.submit(read)
