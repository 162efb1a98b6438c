"""Images too large for the memory: read from a TIFF by windows, and so is their mask written.

What the network sees decides how. Where the whole image, as the network sees it (`prediction.image_size`), is small,
the image is made smaller while it is read, and its mask is that of the smaller one, enlarged. Where the network sees
more, the image is cut into windows with a margin around each, and each window is an image of its own: its tag
probabilities say which classes get pixels in it. Tags of the whole image say which classes may.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import PredictionConfig
from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.images.raster import RasterImage, open_raster
from tag2mask.images.resize import scaled_size
from tag2mask.images.tiff_header import tiff_header
from tag2mask.inference.memory import memory_bound
from tag2mask.masks.geotiff import MaskWriter, mask_writer
from tag2mask.method.resize import resize_window
from tag2mask.method.tiling import CRF_PIXELS, Block, blocks_of
from tag2mask.method.uncertainty import Uncertainty

if TYPE_CHECKING:
    from tag2mask.inference.prediction import Prediction
    from tag2mask.inference.segmenter import Segmenter

MARGIN = 256
"""Pixels around a window that the network and the CRF see and that do not count."""

_SIDE, _SIDE_FROZEN = 4096, 2048  # of a window; what a frozen vision transformer says of a tile is large
_LEAST_SIDE = 512
_WRITTEN = 1024  # side of the blocks in which an enlarged mask is written
_READ = 4_000_000  # pixels of a file that are read at once to be made smaller

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Scaled:
    """An opened image as if it had another size."""

    image: RasterImage
    size: tuple[int, int]

    def window(self, rows: slice, columns: slice) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A window, uint8 (h, w, 3), and which of its pixels hold a value, read in strips where it is made smaller."""
        if self.size == self.image.shape:
            return self.image.window(rows, columns)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        pixels, held = np.empty((*shape, 3), np.uint8), np.empty(shape, bool)
        factor = self.image.shape[0] / self.size[0]
        wide = shape[1] * self.image.shape[1] / self.size[1]
        step = max(1, int(_READ / (wide * factor)))
        for top in range(0, shape[0], step):
            part = slice(top, min(top + step, shape[0]))
            seen = slice(rows.start + part.start, rows.start + part.stop)
            pixels[part], held[part] = self._strip(seen, columns)
        return pixels, held

    def _strip(self, rows: slice, columns: slice) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        spans = [
            _span(part, size, length)
            for part, size, length in zip((rows, columns), self.size, self.image.shape, strict=True)
        ]
        (top, bottom, tall), (left, right, wide) = spans
        pixels, held = self.image.window(tall, wide)
        box = (left - wide.start, top - tall.start, right - wide.start, bottom - tall.start)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=box)
        there = Image.fromarray(held.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX, box=box)
        return np.asarray(small), np.asarray(there) >= 128


def _span(part: slice, size: int, length: int) -> tuple[float, float, slice]:
    """A span of a scaled side in pixels of the file, exactly and as whole pixels around it."""
    start, stop = part.start * length / size, part.stop * length / size
    return start, stop, slice(int(start), min(length, int(np.ceil(stop))))


def predict_large(
    segmenter: Segmenter,
    record: ImageRecord,
    out: Path,
    *,
    need_crs: bool,
    max_memory: int | str | None = None,
    progress: bool = False,
) -> Uncertainty:
    """Segment a TIFF of any size and write its mask as a TIFF.

    Args:
        segmenter: the network.
        record: the image and its tags.
        out: file of the mask, ends in .tif.
        need_crs: the image has to say where it lies.
        max_memory: bytes that the process may take; windows are made smaller where they must.
        progress: show a progress bar of the windows.

    Returns:
        The uncertainty of the mask: the mean over its pixels; of the tags the highest of any window.

    Raises:
        DataError: the image cannot be read, or `max_memory` cannot hold a window.
        MissingExtraError: rasterio is not installed.
    """
    header = tiff_header(record.path)
    if header is None:
        raise DataError(f"{printable(record.path)}: only TIFF is read by windows; convert the image to GeoTIFF")
    settings = segmenter.config.prediction
    with open_raster(record.path, segmenter.reading, header, windows=True) as image:
        for text in image.remarks():
            _log.info("%s: %s", printable(record.path), text)
        side = segmenter.config.data.image_size if settings.image_size is None else settings.image_size
        side = side or max(image.shape)
        with mask_writer(out, segmenter.classes, shape=image.shape, image=record.path, need_crs=need_crs) as writer:
            seen = scaled_size(image.shape, side)
            if seen[0] * seen[1] <= CRF_PIXELS:
                return _enlarged(segmenter, record, image, writer, settings.model_copy(update={"image_size": side}))
            return _Windows(segmenter, record, image, side, max_memory).write(writer, progress)


def _enlarged(
    segmenter: Segmenter, record: ImageRecord, image: RasterImage, writer: MaskWriter, settings: PredictionConfig
) -> Uncertainty:
    """Segment an image that the network sees small: made smaller while it is read, its mask enlarged."""
    shape = image.shape
    factor = min(1.0, (CRF_PIXELS / (shape[0] * shape[1])) ** 0.5)
    size = (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))
    scaled = _Scaled(image, size)
    pixels, held = scaled.window(slice(0, size[0]), slice(0, size[1]))
    found = segmenter.predict(pixels, record.tags, unknown=record.unknown, settings=settings)
    for block in blocks_of(shape, _WRITTEN, 0):
        rows, columns = block.core
        part = resize_window(found.probs, shape, rows, columns).argmax(axis=0).astype(np.uint8)
        there = held[np.ix_(_nearest(rows, shape[0], size[0]), _nearest(columns, shape[1], size[1]))]
        writer.write(rows, columns, np.where(there, part, np.uint8(IGNORE_INDEX)))
    return found.uncertainty


def _nearest(part: slice, length: int, size: int) -> NDArray[np.intp]:
    """Positions on a side of `size` pixels that lie at those of a part of a side of `length`."""
    return np.minimum(((np.arange(part.start, part.stop) + 0.5) * size / length).astype(np.intp), size - 1)


class _Windows:
    """An image cut into windows, each segmented as an image of its own."""

    def __init__(
        self, segmenter: Segmenter, record: ImageRecord, image: RasterImage, side: int, max_memory: int | str | None
    ):
        self.segmenter, self.max_memory = segmenter, max_memory
        self.name, self.tags, self.unknown = printable(record.name), record.tags, record.unknown
        self.scale = side / max(image.shape)
        self.size = image.shape if self.scale >= 1 else scaled_size(image.shape, side)
        self.scaled = _Scaled(image, self.size)
        self.shape = image.shape

    def write(self, writer: MaskWriter, progress: bool) -> Uncertainty:
        """Segment and write all windows."""
        multiple = self.segmenter.backend.input_multiple
        blocks = [_aligned(block, self.size, multiple) for block in blocks_of(self.size, self._side(), MARGIN)]
        total, weight, highest = np.zeros(4), 0, 0.0
        with progress_bar(f"windows of {self.name}", len(blocks), shown=progress) as advance:
            for block in blocks:
                mask, found = self._mask(block)
                if found is not None:
                    total += np.array(found) * mask.size
                    weight += mask.size
                    highest = max(highest, found.tags)
                rows, columns = (
                    slice(round(part.start * length / size), round(part.stop * length / size))
                    for part, length, size in zip(block.core, self.shape, self.size, strict=True)
                )
                if self.size != self.shape:
                    target = (columns.stop - columns.start, rows.stop - rows.start)
                    mask = np.asarray(Image.fromarray(mask).resize(target, Image.Resampling.NEAREST))
                writer.write(rows, columns, mask)
                advance()
        mean = Uncertainty(*(total / max(1, weight)).tolist())
        return mean._replace(tags=highest)

    def _mask(self, block: Block) -> tuple[NDArray[np.uint8], Uncertainty | None]:
        """The mask of a window without its margin; without a value in it there is nothing to be uncertain of."""
        pixels, held = self.scaled.window(*block.outer)
        kept = held[block.inner]
        if not kept.any():
            return np.full(kept.shape, IGNORE_INDEX, np.uint8), None
        found = self._prediction(pixels)
        return np.where(kept, found.mask[block.inner], np.uint8(IGNORE_INDEX)), found.uncertainty

    def _prediction(self, pixels: NDArray[np.uint8]) -> Prediction:
        side = 0 if self.scale <= 1 else round(max(pixels.shape[:2]) * self.scale)
        settings = self.segmenter.config.prediction.model_copy(update={"image_size": side})
        # A class that the tags name is somewhere in the image, not in each window.
        tags = None if self.tags is None else ()
        unknown = None if self.tags is None else sorted(self.tags | self.unknown)
        return self.segmenter.predict(pixels, tags, unknown=unknown, settings=settings, max_memory=self.max_memory)

    def _side(self) -> int:
        """Side of the windows, without their margins, that fits into `max_memory`.

        Raises:
            DataError: none does.
        """
        side = _SIDE_FROZEN if self.segmenter.config.model.frozen else _SIDE
        if self.max_memory is None:
            return side
        settings = self.segmenter.config.prediction.model_copy(update={"image_size": 0})
        bound = memory_bound(self.segmenter.backend, settings, self.max_memory)
        for wanted in _halved(side):
            try:
                bound.check((wanted + 2 * MARGIN, wanted + 2 * MARGIN), len(self.segmenter.classes) + 1)
                return wanted
            except DataError:
                if wanted <= _LEAST_SIDE:
                    raise
        return _LEAST_SIDE


def _aligned(block: Block, size: tuple[int, int], multiple: int) -> Block:
    """A window whose sides are multiples of what the network takes, so that it is not stretched; on one grid with the
    others, but for the last ones of an image (H, W) that is no multiple itself."""
    spans = []
    for part, length in zip(block.outer, size, strict=True):
        start, stop = part.start // multiple * multiple, min(length, -(-part.stop // multiple) * multiple)
        spans.append(slice(max(0, stop - -(-(stop - start) // multiple) * multiple), stop))
    return Block((spans[0], spans[1]), block.core)


def _halved(side: int) -> Iterator[int]:
    while side >= _LEAST_SIDE:
        yield side
        side //= 2
