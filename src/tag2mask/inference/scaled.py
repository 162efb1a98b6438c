"""A part of an opened image as if it had another size, read window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.images.raster import RasterImage
from tag2mask.inference.views import Window

_READ = 4_000_000  # pixels of a file that are read at once to be made smaller


@dataclass(frozen=True, slots=True)
class Scaled:
    """A part of an opened image as if it had another size.

    Attributes:
        image: the opened image.
        size: (H, W) that the part gets.
        start: (row, column) of the part in the file.
        extent: (height, width) of the part in the file.
    """

    image: RasterImage
    size: tuple[int, int]
    start: tuple[float, float]
    extent: tuple[float, float]

    @classmethod
    def whole(cls, image: RasterImage, size: tuple[int, int]) -> Scaled:
        """The whole image at a size (H, W)."""
        return cls(image, size, (0, 0), image.shape)

    def part(self, rows: slice, columns: slice) -> Scaled:
        """A part of this one, in its pixels."""
        tall, wide = (length / size for length, size in zip(self.extent, self.size, strict=True))
        start = (self.start[0] + rows.start * tall, self.start[1] + columns.start * wide)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        return Scaled(self.image, size, start, (size[0] * tall, size[1] * wide))

    def at(self, size: tuple[int, int]) -> Scaled:
        """The same part at another size (H, W)."""
        return Scaled(self.image, size, self.start, self.extent)

    def window(self, rows: slice, columns: slice) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A window, uint8 (h, w, 3), and which of its pixels hold a value, read in strips where it is made smaller."""
        if tuple(self.size) == tuple(self.extent) and all(at == int(at) for at in self.start):
            top, left = (int(at) for at in self.start)
            return self.image.window(
                slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left)
            )
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        pixels, held = np.empty((*shape, 3), np.uint8), np.empty(shape, bool)
        tall, wide = (length / size for length, size in zip(self.extent, self.size, strict=True))
        step = max(1, int(_READ / (shape[1] * wide * tall)))
        for top in range(0, shape[0], step):
            part = slice(top, min(top + step, shape[0]))
            seen = slice(rows.start + part.start, rows.start + part.stop)
            pixels[part], held[part] = self._strip(seen, columns)
        return pixels, held

    def _strip(self, rows: slice, columns: slice) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        (top, bottom, tall), (left, right, wide) = (self._span(side, part) for side, part in enumerate((rows, columns)))
        pixels, held = self.image.window(tall, wide)
        box = (left - wide.start, top - tall.start, right - wide.start, bottom - tall.start)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=box)
        there = Image.fromarray(held.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX, box=box)
        return np.asarray(small), np.asarray(there) >= 128

    def _span(self, side: int, part: slice) -> tuple[float, float, slice]:
        """A span of a side in pixels of the file, exactly, and as whole pixels with those that weigh in at its ends."""
        factor = self.extent[side] / self.size[side]
        length = self.image.shape[side]
        start, stop = (min(float(length), self.start[side] + at * factor) for at in (part.start, part.stop))
        around = int(np.ceil(factor)) + 1
        return start, stop, slice(max(0, int(start) - around), min(length, int(np.ceil(stop)) + around))


class TileReader:
    """What the network reads of a part of an image; see `PixelSource`.

    Attributes:
        shape: (H, W) of the part.
        holds: whether any pixel that was read so far holds a value.
    """

    def __init__(self, part: Scaled, advance: Callable[[], None]):
        """Take the part, and what is called after each tile."""
        self._part, self._advance = part, advance
        self.shape = part.size
        self.holds = False

    def at(self, size: tuple[int, int]) -> Window:
        """The part resized to `size`."""
        part = self._part.at(size)

        def window(rows: slice, columns: slice) -> NDArray[np.uint8]:
            pixels, held = part.window(rows, columns)
            self.holds = self.holds or bool(held.any())
            self._advance()
            return pixels

        return window
