"""Images too large for the memory: read from a TIFF by windows, and so is their mask written.

What the network sees decides how. Where the whole image, as the network sees it (`prediction.image_size`), is small,
the image is made smaller while it is read, and its mask is that of the smaller one, enlarged. Where the network sees
more, it sees the image tile by tile, and the dense CRF works on it block by block, both read from the file when they
are needed: the same steps as with an image in memory, and the same mask. Only the network's coarse outputs on the whole
image are held at once.

Where these, too, are more than the memory shall hold (many classes and scales, or the affinities of a frozen vision
transformer), the image is cut into regions with a margin around each, and each is segmented as an image of its own: its
tag probabilities say which classes get pixels in it. Tags of the whole image say which classes may.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
from tag2mask.inference.scaled import Scaled, TileReader
from tag2mask.masks.geotiff import MaskWriter, mask_writer
from tag2mask.method.evidence import Evidence
from tag2mask.method.memory import SEEN_BYTES, crf_bytes
from tag2mask.method.refine import refine, to_mask
from tag2mask.method.resize import resize_window
from tag2mask.method.tiling import BLOCK_SIDE, CRF_PIXELS, Block, blocks_of, tiles_of
from tag2mask.method.uncertainty import MISSING, Uncertainty

if TYPE_CHECKING:
    from tag2mask.inference.segmenter import Segmenter

MARGIN = 256
"""Pixels around a region that the network and the CRF see and that do not count."""

EVIDENCE_BYTES = 5 << 29
"""Bytes that the network's outputs on a region may take without `max_memory`: 2.5 GiB."""

_CRF_BYTES = 3 << 28  # that the blocks of the dense CRF in work may take: 768 MiB
_SIDE_FROZEN = 2048  # of a region; what a frozen vision transformer says of a tile is large
_LEAST_SIDE = 512
_TILE = 1024  # where `prediction.tile` is 0, which an image of any size cannot have
_WRITTEN = 1024  # side of the blocks in which an enlarged mask is written
_FOUR_VIEWS = 2 * (1 + 1.25**2)  # sizes of the views together for which `SEEN_BYTES` is measured

_log = logging.getLogger(__name__)


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
        max_memory: bytes that the process may take; the image is cut into regions where it must be.
        progress: show a progress bar.

    Returns:
        The uncertainty of the mask: the mean over its pixels; of the tags the highest of any region.

    Raises:
        DataError: the image cannot be read, or `max_memory` cannot hold a region.
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
            return _Regions(segmenter, record, image, side, max_memory).write(writer, progress)


def _enlarged(
    segmenter: Segmenter, record: ImageRecord, image: RasterImage, writer: MaskWriter, settings: PredictionConfig
) -> Uncertainty:
    """Segment an image that the network sees small: made smaller while it is read, its mask enlarged."""
    shape = image.shape
    factor = min(1.0, (CRF_PIXELS / (shape[0] * shape[1])) ** 0.5)
    size = (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))
    pixels, held = Scaled.whole(image, size).window(slice(0, size[0]), slice(0, size[1]))
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


class _Regions:
    """An image that the network sees tile by tile: as a whole, or cut into regions that fit into the memory."""

    def __init__(
        self, segmenter: Segmenter, record: ImageRecord, image: RasterImage, side: int, max_memory: int | str | None
    ):
        self.segmenter, self.name = segmenter, printable(record.name)
        self.scale = side / max(image.shape)
        self.size = image.shape if self.scale >= 1 else scaled_size(image.shape, side)
        self.scaled, self.shape = Scaled.whole(image, self.size), image.shape
        self.settings = segmenter.config.prediction
        if not self.settings.tile:
            self.settings = self.settings.model_copy(update={"tile": _TILE})
        self.evidence_bytes, self.crf_bytes = EVIDENCE_BYTES, _CRF_BYTES
        if max_memory is not None:
            bound = memory_bound(segmenter.backend, self.settings, max_memory)
            self.crf_bytes = min(_CRF_BYTES, bound.available // 3)
            self.evidence_bytes = bound.available - self.crf_bytes
        self.regions = self._cut()
        self.tags, self.unknown = record.tags, sorted(record.unknown)
        if self.tags is not None and len(self.regions) > 1:  # a class is somewhere in the image, not in each region
            self.unknown, self.tags = sorted(self.tags | record.unknown), frozenset()
        self.present = None if record.tags is None else [segmenter.classes.index(tag) + 1 for tag in record.tags]
        self.counts = np.zeros(256, np.int64)

    def write(self, writer: MaskWriter, progress: bool) -> Uncertainty:
        """Segment and write all regions."""
        total, weight, highest = np.zeros(4), 0, 0.0
        steps = sum(self._steps(region) for region in self.regions)
        with progress_bar(f"tiles and blocks of {self.name}", steps, shown=progress) as advance:
            for region in self.regions:
                evidence = self._evidence(region, advance)
                self._write_blocks(region, evidence, writer, advance)
                if evidence is not None:
                    pixels = np.prod([part.stop - part.start for part in region.core])
                    total += np.array(evidence.uncertainty) * pixels
                    weight += pixels
                    highest = max(highest, evidence.uncertainty.tags)
        mean = Uncertainty(*(total / max(1, weight)).tolist())._replace(tags=highest)
        counted = self.counts[:IGNORE_INDEX].sum()
        if self.present and counted and (self.counts[self.present] < MISSING * counted).any():
            return mean._replace(tags=1.0)
        return mean

    def _evidence(self, region: Block, advance: Callable[[], None]) -> Evidence | None:
        """What the network says of a region; None where no pixel holds a value."""
        source = TileReader(self.scaled.part(*region.outer), advance)
        settings = self.settings.model_copy(update={"image_size": self._seen_side(region)})
        found = self.segmenter.evidence(source, self.tags, unknown=self.unknown, settings=settings)
        return found if source.holds else None

    def _seen_side(self, region: Block) -> int:
        """Long side at which the network sees a region."""
        return round(max(_size_of(region)) * max(1.0, self.scale))

    def _write_blocks(
        self, region: Block, evidence: Evidence | None, writer: MaskWriter, advance: Callable[[], None]
    ) -> None:
        """Segment and write the blocks of a region, some at once; one thread alone reads and writes."""
        channels = 1 if evidence is None else len(evidence.channels)
        threads = self.crf_bytes // (crf_bytes(channels) * round(1.5 * BLOCK_SIDE**2))
        threads = max(1, min(self.segmenter.threads, threads))
        waiting: deque[tuple[Block, Future[NDArray[np.uint8]]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for block in self._blocks(region):
                if len(waiting) >= threads:
                    self._write_block(*waiting.popleft(), writer)
                pixels, held = self.scaled.window(*block.outer)
                waiting.append((block, pool.submit(self._mask, region, block, evidence, pixels, held)))
                advance()
            while waiting:
                self._write_block(*waiting.popleft(), writer)

    def _blocks(self, region: Block) -> Iterator[Block]:
        crf = self.settings.crf
        # As in `tiling.segment`: deviations are in pixels of the image as the network sees it.
        margin = round(2 * max(crf.bilateral_xy, crf.gaussian_xy) / max(1.0, self.scale)) if crf.enabled else 0
        for block in blocks_of(_size_of(region, core=True), BLOCK_SIDE, 0):
            core = (_moved(block.core[0], region.core[0].start), _moved(block.core[1], region.core[1].start))
            rows, columns = (
                slice(max(outer.start, part.start - margin), min(outer.stop, part.stop + margin))
                for part, outer in zip(core, region.outer, strict=True)
            )
            yield Block((rows, columns), core)

    def _mask(
        self,
        region: Block,
        block: Block,
        evidence: Evidence | None,
        pixels: NDArray[np.uint8],
        held: NDArray[np.bool_],
    ) -> NDArray[np.uint8]:
        """The mask of a block without its margin."""
        kept = held[block.inner]
        if evidence is None or not kept.any():
            return np.full(kept.shape, IGNORE_INDEX, np.uint8)
        rows, columns = (_moved(part, -outer.start) for part, outer in zip(block.outer, region.outer, strict=True))
        probs = evidence.probs_window(_size_of(region), rows, columns)
        marginals = refine(pixels, probs, self.settings.crf, pixel_scale=1 / max(1.0, self.scale))
        mask = to_mask(marginals[:, *block.inner], evidence.channels)
        return np.where(kept, mask, np.uint8(IGNORE_INDEX))

    def _write_block(self, block: Block, found: Future[NDArray[np.uint8]], writer: MaskWriter) -> None:
        mask = found.result()
        self.counts += np.bincount(mask.ravel(), minlength=256)
        rows, columns = (
            slice(round(part.start * length / size), round(part.stop * length / size))
            for part, length, size in zip(block.core, self.shape, self.size, strict=True)
        )
        if self.size != self.shape:
            target = (columns.stop - columns.start, rows.stop - rows.start)
            mask = np.asarray(Image.fromarray(mask).resize(target, Image.Resampling.NEAREST))
        writer.write(rows, columns, mask)

    def _steps(self, region: Block) -> int:
        size, multiple = _size_of(region), self.segmenter.backend.input_multiple
        tiles = 0
        for scale in self.settings.scales:
            seen = scaled_size(size, self._seen_side(region) * scale, multiple=multiple)
            count = len(tiles_of(seen, self.settings.tile, multiple))
            tiles += 2 * count if count > 1 and self.segmenter.backend.has_contrast else count
        return tiles + sum(1 for _ in self._blocks(region))

    def _cut(self) -> list[Block]:
        """The whole image where the network's outputs on it fit into the memory, else regions as large as may be.

        Raises:
            DataError: `max_memory` cannot hold the smallest region.
        """
        views = sum(scale**2 for scale in self.settings.scales) * (2 if self.settings.flip else 1)
        channels = len(self.segmenter.classes) + 1
        each = SEEN_BYTES * channels * views / _FOUR_VIEWS * max(1.0, self.scale) ** 2
        frozen = self.segmenter.config.model.frozen
        if not frozen and each * self.size[0] * self.size[1] <= self.evidence_bytes:
            return list(blocks_of(self.size, max(self.size), 0))
        side = int((self.evidence_bytes / each) ** 0.5) - 2 * MARGIN
        if side < _LEAST_SIDE:
            raise DataError(
                f"{self.name}: `max_memory` cannot hold a region of {_LEAST_SIDE} pixels; raise it, or let the network "
                "see the image smaller (`prediction.image_size`)"
            )
        # Regions have up to a half more than the side that is asked for.
        side = min(_SIDE_FROZEN if frozen else side, max(_LEAST_SIDE, int(side / 1.5)))
        multiple = self.segmenter.backend.input_multiple
        regions = [_aligned(block, self.size, multiple) for block in blocks_of(self.size, side, MARGIN)]
        if not frozen:
            _log.info("%s: cut into %d regions, each segmented as an image of its own", self.name, len(regions))
        return regions


def _size_of(region: Block, *, core: bool = False) -> tuple[int, int]:
    rows, columns = region.core if core else region.outer
    return rows.stop - rows.start, columns.stop - columns.start


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _aligned(block: Block, size: tuple[int, int], multiple: int) -> Block:
    """A region whose sides are multiples of what the network takes, so that it is not stretched; on one grid with the
    others, but for the last ones of an image (H, W) that is no multiple itself."""
    spans = []
    for part, length in zip(block.outer, size, strict=True):
        start, stop = part.start // multiple * multiple, min(length, -(-part.stop // multiple) * multiple)
        spans.append(slice(max(0, stop - -(-(stop - start) // multiple) * multiple), stop))
    return Block((spans[0], spans[1]), block.core)
