"""Affinity of image parts: how alike the patches of an image are to a vision transformer, and evidence spread by it.

The attention of a vision transformer's later blocks joins the parts of one object. Evidence that lies on an object's
most telling part is carried over to the rest of it, as CLIP-ES does with class activation maps (Lin et al., CVPR 2023,
arXiv:2212.09506).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tag2mask.method.resize import Array, resize_maps
from tag2mask.method.scaling import min_max


@dataclass(frozen=True, slots=True)
class AffinityBlock:
    """Affinity between the patches of one part of an image.

    Attributes:
        matrix: (h, w, h * w), for each patch its affinity with every patch of the part, row by row; each patch's
            affinities sum to about 1, and so do those with one patch.
        window: (top, left, bottom, right) of the part, as shares of the image's height and width.
    """

    matrix: Array
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def flipped(self) -> AffinityBlock:
        """The block mirrored left to right."""
        height, width, _ = self.matrix.shape
        square = self.matrix.reshape(height, width, height, width)[:, ::-1, :, ::-1]
        top, left, bottom, right = self.window
        return AffinityBlock(square.reshape(height, width, -1), (top, 1 - right, bottom, 1 - left))

    def spread(self, values: Array) -> Array:
        """A map (H, W) of this part, averaged at each patch over the patches by their affinity: (h, w)."""
        height, width, count = self.matrix.shape
        patches = resize_maps(values[None], (height, width))[0].reshape(count)
        spread: Array = self.matrix.astype(np.float32, copy=False) @ patches
        return spread


@dataclass(frozen=True, slots=True)
class Affinity:
    """Affinity within an image: one block of the whole of it, or one a tile of a large image."""

    blocks: tuple[AffinityBlock, ...]

    @classmethod
    def whole(cls, matrix: Array) -> Affinity:
        """Of an image that the network saw whole; `matrix` (h, w, h * w) as in `AffinityBlock`."""
        return cls((AffinityBlock(matrix),))

    def flipped(self) -> Affinity:
        """Mirrored left to right."""
        return Affinity(tuple(block.flipped() for block in self.blocks))

    def within(self, window: tuple[float, float, float, float]) -> Affinity:
        """That of a tile, as a part of the image; the tile's (top, left, bottom, right) as shares of it."""
        return Affinity(tuple(replace(block, window=window) for block in self.blocks))

    def spread(self, values: Array) -> Array:
        """Spread a map of evidence over what belongs together.

        Args:
            values: (H, W).

        Returns:
            (H, W) in [0, 1], scaled by its own minimum and maximum; where tiles overlap their mean.
        """
        size = (values.shape[0], values.shape[1])
        if len(self.blocks) == 1:
            return min_max(resize_maps(self.blocks[0].spread(values)[None], size)[0])
        total, weight = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for block in self.blocks:
            rows, columns = _pixels(block.window, size)
            part = block.spread(values[rows, columns])
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            total[rows, columns] += resize_maps(part[None], shape)[0]
            weight[rows, columns] += 1
        mean = total / np.maximum(weight, 1)
        return min_max(mean.astype(np.float32))


def _pixels(window: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a window on a map of this size, at least one of each."""
    top, left, bottom, right = window
    rows = (round(top * size[0]), round(bottom * size[0]))
    columns = (round(left * size[1]), round(right * size[1]))
    return slice(rows[0], max(rows[0] + 1, rows[1])), slice(columns[0], max(columns[0] + 1, columns[1]))
