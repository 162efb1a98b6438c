"""Images too large for one pass: tiles for the network, blocks for the dense CRF, both in bounded memory.

The network sees overlapping tiles, whose outputs are stitched into one `NetworkOutput` of the whole image; so every
step after it is the same as for a small image. The dense CRF works on blocks with a margin around each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig
from tag2mask.method.affinity import Affinity, AffinityBlock
from tag2mask.method.evidence import Evidence
from tag2mask.method.memory import MemoryBound
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.refine import refine, to_mask
from tag2mask.method.resize import resize_window

OVERLAP = 0.25
"""Share of a tile's side that it has in common with the next tile."""

CRF_PIXELS = 4_000_000
"""Most pixels that one dense CRF works on; larger images are made smaller for it, or cut into blocks."""

BLOCK_SIDE = 1024
"""Side in pixels of a block of the dense CRF, without its margin."""

_MOST_VALUES = 32_000_000  # of the probabilities that are kept of one image: 128 MB
_LARGE = 8_000_000  # values above which probabilities are made band by band
_BAND = 2_000_000  # values of a band


class Tile(NamedTuple):
    """A tile of an image as the network sees it, in pixels."""

    rows: slice
    columns: slice

    def share_of(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) as shares of an image of (H, W) pixels."""
        (top, bottom), (left, right) = ((span.start, span.stop) for span in self)
        return top / size[0], left / size[1], bottom / size[0], right / size[1]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a grid, as (rows, columns): `core` counts, `outer` is the core with its margin."""

    outer: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core within the outer block."""
        pairs = zip(self.core, self.outer, strict=True)
        rows, columns = (slice(c.start - o.start, c.stop - o.start) for c, o in pairs)
        return rows, columns


def tiles_of(size: tuple[int, int], side: int, multiple: int) -> list[Tile]:
    """Cover an image with tiles that overlap by about a quarter.

    Args:
        size: (H, W), multiples of `multiple`.
        side: longest side of a tile; 0: one tile of the whole image.
        multiple: tiles start at multiples of it, so that every grid of features fits.
    """
    if not side or max(size) <= side:
        return [Tile(slice(0, size[0]), slice(0, size[1]))]
    rows, columns = (_spans(length, max(multiple, side // multiple * multiple), multiple) for length in size)
    return [Tile(row, column) for row in rows for column in columns]


def _spans(length: int, side: int, multiple: int) -> list[slice]:
    if length <= side:
        return [slice(0, length)]
    step = max(multiple, int(side * (1 - OVERLAP)) // multiple * multiple)
    starts = [*range(0, length - side, step), length - side]
    return [slice(start, start + side) for start in starts]


def stitch(outputs: Iterable[NetworkOutput], tiles: Sequence[Tile], size: tuple[int, int]) -> NetworkOutput:
    """Put the outputs on tiles together into that on the whole image; see `Stitching`.

    Args:
        outputs: one for each tile.
        tiles: of `tiles_of`.
        size: (H, W) of the whole image as the network sees it.

    Raises:
        ValueError: outputs of several tiles without class activation maps.
    """
    stitching = Stitching(tiles, size)
    for output in outputs:
        stitching.add(output)
    return stitching.whole()


class Stitching:
    """Puts the outputs on tiles together into that on the whole image, without holding those of all tiles at once.

    A tile counts fully in its middle and hardly at all near edges behind which the image goes on. Tag logits are the
    mean of the stitched class activation maps plus the tag classifier's bias.
    """

    def __init__(self, tiles: Sequence[Tile], size: tuple[int, int]):
        """Take all tiles (of `tiles_of`) and the size (H, W) of the whole image as the network sees it."""
        self._tiles, self._size = tiles, size
        self._remaining = iter(tiles)
        self._means: dict[str, _Mean] = {}
        self._biases: list[Array] = []
        self._blocks: list[AffinityBlock] = []
        self._layers = 0
        self._only: NetworkOutput | None = None

    def add(self, output: NetworkOutput) -> None:
        """Add the output on the next tile.

        Raises:
            ValueError: it is one of several and holds no class activation maps.
        """
        tile = next(self._remaining)
        if len(self._tiles) == 1:
            self._only = output
            return
        self._biases.append(output.tag_bias)
        self._layers = len(output.energies)
        energies = {f"energy {layer}": energy[None] for layer, energy in enumerate(output.energies)}
        prior = None if output.contrast_prior is None else output.contrast_prior[None]
        maps = {"pixels": output.pixel_logits, "cams": output.cams, "shares": output.share_logits, **energies}
        for name, values in (maps | {"contrast": output.contrast_logits, "prior": prior}).items():
            if values is not None:
                self._means.setdefault(name, _Mean(self._size)).add(values, tile)
        if output.affinity is not None:
            self._blocks += output.affinity.within(tile.share_of(self._size)).blocks

    def whole(self) -> NetworkOutput:
        """The output on the whole image, once that on each tile was added."""
        if self._only is not None:
            return self._only
        maps = {name: mean.mean() for name, mean in self._means.items()}
        bias = np.mean(self._biases, axis=0)
        return NetworkOutput(
            tag_logits=maps["cams"].mean(axis=(1, 2)) + bias,
            pixel_logits=maps["pixels"],
            cams=maps["cams"],
            energies=tuple(maps[f"energy {layer}"][0] for layer in range(self._layers)),
            contrast_logits=maps.get("contrast"),
            contrast_prior=maps["prior"][0] if "prior" in maps else None,
            affinity=Affinity(tuple(self._blocks)) if self._blocks else None,
            share_logits=maps.get("shares"),
        )


class _Mean:
    """Weighted mean (K, H / stride, W / stride) of tiles' maps (K, h, w)."""

    def __init__(self, size: tuple[int, int]):
        self._size = size
        self._total: Array | None = None
        self._weight = np.zeros((0, 0), np.float32)

    def add(self, maps: Array, tile: Tile) -> None:
        stride = (tile.rows.stop - tile.rows.start) // maps.shape[1]
        if self._total is None:
            grid = (self._size[0] // stride, self._size[1] // stride)
            self._total, self._weight = np.zeros((len(maps), *grid), np.float32), np.zeros(grid, np.float32)
        rows, columns = (slice(part.start // stride, part.stop // stride) for part in tile)
        window = _ramp(tile.rows, self._size[0], stride)[:, None] * _ramp(tile.columns, self._size[1], stride)
        self._total[:, rows, columns] += maps * window
        self._weight[rows, columns] += window

    def mean(self) -> Array:
        assert self._total is not None
        self._total /= self._weight
        return self._total


def _ramp(part: slice, length: int, stride: int) -> Array:
    """Weight of a tile's pixels along one side: 1 in the middle, falling to nearly 0 at an inner edge."""
    side = (part.stop - part.start) // stride
    overlap = max(1.0, side * OVERLAP)
    position = np.arange(side) + 0.5
    ramp = np.ones(side)
    if part.start > 0:
        ramp = np.minimum(ramp, np.clip(2 * position / overlap - 0.5, 1e-3, 1))
    if part.stop < length:
        ramp = np.minimum(ramp, np.clip(2 * (side - position) / overlap - 0.5, 1e-3, 1))
    return np.asarray(ramp, dtype=np.float32)


def windowed_tag_logits(output: NetworkOutput, window: int) -> Array:
    """Tag logits of an image larger than those of training: the highest of any window of their size.

    The mean over a large image would drown a class that is in one corner of it.

    Args:
        output: with class activation maps (C, h, w).
        window: side of a training image on their grid.

    Returns:
        (C,); the logits of the whole image where it is no larger than the window.
    """
    assert output.cams is not None
    height, width = output.cams.shape[1:]
    rows, columns = min(window, height), min(window, width)
    sums = np.pad(output.cams.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    along = sums[:, rows:] - sums[:, : height + 1 - rows]
    totals = along[:, :, columns:] - along[:, :, : width + 1 - columns]
    logits: Array = (totals.max(axis=(1, 2)) / (rows * columns) + output.tag_bias).astype(np.float32)
    return logits


def crf_size(shape: tuple[int, int], seen: tuple[int, int], most: int | None = None) -> tuple[int, int]:
    """Size (H, W) at which the dense CRF works on an image.

    Args:
        shape: (H, W) of the image.
        seen: (H, W) at which the network sees it.
        most: pixels; None: `CRF_PIXELS`.

    Returns:
        `shape`, unless it has more than `most` pixels: then about that many, but no side shorter than in `seen`.
    """
    most = CRF_PIXELS if most is None else most
    pixels = shape[0] * shape[1]
    if pixels <= most:
        return shape
    factor = min(1.0, max((most / pixels) ** 0.5, seen[0] / shape[0], seen[1] / shape[1]))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def blocks_of(size: tuple[int, int], side: int, margin: int) -> Iterator[Block]:
    """Cut a grid (H, W) into blocks of about `side` pixels whose cores tile it, each with `margin` around it."""
    for rows, outer_rows in _pieces(size[0], side, margin):
        for columns, outer_columns in _pieces(size[1], side, margin):
            yield Block((outer_rows, outer_columns), (rows, columns))


def _pieces(length: int, side: int, margin: int) -> list[tuple[slice, slice]]:
    count = max(1, round(length / side))
    edges = [round(index * length / count) for index in range(count + 1)]
    return [(slice(a, b), slice(max(0, a - margin), min(length, b + margin))) for a, b in pairwise(edges)]


def segment(
    image: NDArray[np.uint8],
    evidence: Evidence,
    crf: CrfConfig,
    *,
    seen: tuple[int, int],
    pixel_scale: float,
    limited: bool = True,
    threads: int = 1,
    bound: MemoryBound | None = None,
) -> tuple[NDArray[np.uint8], Array]:
    """From the evidence to the mask: the dense CRF at a size that fits, in blocks where the image is huge.

    Args:
        image: (H, W, 3) uint8 RGB.
        evidence: of the image.
        crf: settings; deviations are in pixels of `data.image_size`.
        seen: (H, W) at which the network sees the image.
        pixel_scale: pixels of `image` per pixel of the image as the network sees it.
        limited: False runs one CRF on the whole image at any size.
        threads: blocks worked on at once.
        bound: of memory; None: the limits above alone.

    Returns:
        Mask (H, W) uint8, and the marginals (C + 1, h, w) of all classes, (h, w) being (H, W) up to `CRF_PIXELS`; of
        larger images, and where `bound` asks for it, a coarser grid of 32 million values at most.

    Raises:
        DataError: the image does not fit into `bound`.
    """
    shape = (image.shape[0], image.shape[1])
    channels = len(evidence.channels)
    most = CRF_PIXELS if bound is None else bound.crf_pixels(shape, channels, CRF_PIXELS)
    size = crf_size(shape, seen, most) if limited else shape
    if size != shape:
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        pixel_scale *= max(size) / max(shape)
    if limited and size[0] * size[1] > 1.05 * most:
        threads = max(1, min(threads, round(most / (1.5 * BLOCK_SIDE) ** 2))) if most < CRF_PIXELS else threads
        mask, probs = _in_blocks(image, evidence, crf, pixel_scale=pixel_scale, threads=threads)
        if size != shape:
            mask = np.asarray(cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return mask, probs
    marginals = refine(image, _probs(evidence, size), crf, pixel_scale=pixel_scale)
    mask = _mask_at(marginals, evidence.channels, shape)
    return mask, _all_channels(marginals, evidence, size if size == shape else _kept(size, evidence))


def _probs(evidence: Evidence, size: tuple[int, int]) -> Array:
    """`evidence.probs(size)`, of a large image band by band: what is between them takes several times as much."""
    channels = len(evidence.channels)
    if channels * size[0] * size[1] <= _LARGE:
        return evidence.probs(size)
    probs = np.empty((channels, *size), dtype=np.float32)
    for rows in _bands(size, channels):
        probs[:, rows] = evidence.probs_window(size, rows, slice(0, size[1]))
    return probs


def _bands(size: tuple[int, int], channels: int) -> Iterator[slice]:
    """Rows of a grid (H, W) of maps that are worked on together."""
    step = max(1, _BAND // (channels * size[1]))
    for top in range(0, size[0], step):
        yield slice(top, min(top + step, size[0]))


def _kept(size: tuple[int, int], evidence: Evidence) -> tuple[int, int]:
    """Grid on which the marginals of a large image are kept."""
    factor = min(1.0, (min(CRF_PIXELS, _MOST_VALUES // len(evidence.pixel_logits)) / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _all_channels(marginals: Array, evidence: Evidence, size: tuple[int, int]) -> Array:
    """Marginals (K + 1, h, w) of the allowed classes as (C + 1, *size) of all; others are 0."""
    same = marginals.shape[1:] == size
    if same and len(marginals) == len(evidence.pixel_logits):
        return marginals
    probs = np.zeros((len(evidence.pixel_logits), *size), dtype=np.float32)
    for channel, one in zip(evidence.channels, marginals, strict=True):
        probs[channel] = one if same else cv2.resize(one, size[::-1], interpolation=cv2.INTER_AREA)
    return probs


def _in_blocks(
    image: NDArray[np.uint8], evidence: Evidence, crf: CrfConfig, *, pixel_scale: float, threads: int
) -> tuple[NDArray[np.uint8], Array]:
    """Mask (H, W) and marginals (C + 1, h, w) by one dense CRF a block, with a margin around it."""
    size = (image.shape[0], image.shape[1])
    kept = _kept(size, evidence)
    mask = np.zeros(size, dtype=np.uint8)
    probs = np.zeros((len(evidence.pixel_logits), *kept), dtype=np.float32)
    margin = round(2 * max(crf.bilateral_xy, crf.gaussian_xy) * pixel_scale) if crf.enabled else 0

    def work(block: Block) -> None:
        pixels = np.ascontiguousarray(image[block.outer])
        marginals = refine(pixels, evidence.probs_window(size, *block.outer), crf, pixel_scale=pixel_scale)
        marginals = marginals[:, *block.inner]
        mask[block.core] = to_mask(marginals, evidence.channels)
        rows, columns = (
            slice(round(part.start * k / n), round(part.stop * k / n))
            for part, k, n in zip(block.core, kept, size, strict=True)
        )
        target = (columns.stop - columns.start, rows.stop - rows.start)
        if min(target) > 0:
            for channel, one in zip(evidence.channels, marginals, strict=True):
                probs[channel, rows, columns] = cv2.resize(one, target, interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, block) for block in blocks_of(size, BLOCK_SIDE, margin)]:
            future.result()
    return mask, probs


def _mask_at(marginals: Array, channels: NDArray[np.intp], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Arg max of marginals (K + 1, h, w) at `size`, strip by strip where they are resized."""
    if marginals.shape[1:] == size:
        return to_mask(marginals, channels)
    mask = np.empty(size, dtype=np.uint8)
    for rows in _bands(size, len(marginals)):
        mask[rows] = to_mask(resize_window(marginals, size, rows, slice(0, size[1])), channels)
    return mask
