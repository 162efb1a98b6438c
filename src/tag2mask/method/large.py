"""Masks of photographs that are too large for one dense CRF: block by block, in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig
from tag2mask.core.machine import usable_cores
from tag2mask.method.blocks import CRF_PIXELS, Block, blocks, values_at
from tag2mask.method.gate import gated_softmax
from tag2mask.method.refine import foreground_first, refine

_CORE = 1024  # pixels a side of what one CRF decides
_KEPT_VALUES = 32_000_000  # of coarse maps: 128 MB


class Coarse(NamedTuple):
    """What the network says of a photograph, on coarse grids.

    Attributes:
        channels: (K,) indices of background and the allowed classes among all C + 1.
        logits: (C + 1, h, w) of the segmentation stream.
        stack: (C + 1, h', w') of the class-specific masks, or None.
        weight: share of the stack in the scores.
        reassign: as in `tag2mask.method.torch_prior.gated_probs`.
        power: as in `tag2mask.method.refine.foreground_first`.
    """

    channels: NDArray[np.intp]
    logits: NDArray[np.float32]
    stack: NDArray[np.float32] | None
    weight: float
    reassign: float = 0.0
    power: float = 1.0

    def probs_at(self, size: tuple[int, int], block: Block) -> NDArray[np.float32]:
        """Probabilities (K, rows, columns) of the channels on a block of a grid (H, W)."""
        scores = gated_softmax(values_at(self.logits, size, *block.outer), self.channels, self.reassign)
        if self.stack is not None:
            stack = values_at(self.stack[self.channels], size, *block.outer)
            scores += np.float32(self.weight) * (stack - scores)
        return foreground_first(scores, power=self.power)


def stack_grid(size: tuple[int, int], stride: int, classes: int) -> tuple[int, int]:
    """Grid of the stack of an image that the network sees at `size`: at `stride`, or coarser for huge ones."""
    while (size[0] // stride) * (size[1] // stride) * (classes + 1) > _KEPT_VALUES:
        stride *= 2
    return size[0] // stride, size[1] // stride


def mask_by_blocks(
    image: NDArray[np.uint8], coarse: Coarse, size: tuple[int, int], crf: CrfConfig, *, pixel_scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Apply the dense CRF block by block, each with surroundings of twice the bilateral deviation.

    Args:
        image: (H, W, 3) uint8 RGB.
        coarse: what the network says of it.
        size: of the grid on which the CRF works; the mask is brought to (H, W) by nearest neighbour.
        crf: settings; deviations are in pixels of the configuration's `image_size`.
        pixel_scale: pixels of that grid per pixel of `image_size`.

    Returns:
        Mask (H, W) uint8, and probabilities (C + 1, h, w) on a grid of at most about `CRF_PIXELS`.
    """
    shape = (image.shape[0], image.shape[1])
    if size != shape:
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
    values = min(CRF_PIXELS, _KEPT_VALUES // len(coarse.logits))
    factor = min(1.0, (values / (size[0] * size[1])) ** 0.5)
    kept = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    mask = np.zeros(size, dtype=np.uint8)
    probs = np.zeros((len(coarse.logits), *kept), dtype=np.float32)
    halo = round(2 * max(crf.bilateral_xy, crf.gaussian_xy) * pixel_scale) if crf.enabled else 0

    def work(block: Block) -> None:
        pixels = np.ascontiguousarray(image[block.outer])
        marginals = refine([pixels], [coarse.probs_at(size, block)], crf, pixel_scale=pixel_scale)[0]
        marginals = marginals[:, *block.inner]
        mask[block.core] = coarse.channels[marginals.argmax(axis=0)]
        rows, columns = (
            slice(round(part.start * k / n), round(part.stop * k / n))
            for part, k, n in zip(block.core, kept, size, strict=True)
        )
        target = (columns.stop - columns.start, rows.stop - rows.start)
        if min(target) > 0:
            for channel, one in zip(coarse.channels, marginals, strict=True):
                probs[channel, rows, columns] = cv2.resize(one, target, interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(usable_cores()) as pool:
        for future in [pool.submit(work, block) for block in blocks(size, _CORE, halo)]:
            future.result()
    if size != shape:
        mask = np.asarray(cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return mask, probs
