"""Memory of one image on its way to a mask, and what fits into a bound.

Counted are the arrays that grow with the image: its pixels and mask, and what the dense CRF works with, which is
the most. A bound smaller than needed makes the CRF work on fewer pixels: its marginals are enlarged to the image, as
they are above `tag2mask.method.tiling.CRF_PIXELS` anyway. The figures are measured by `benchmarks/bench_memory.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tag2mask.core.errors import ConfigError, DataError

IMAGE_BYTES = 4
"""A pixel of an image (3) and of its mask (1)."""

DECODING_BYTES = 7
"""A pixel while an image is decoded: Pillow's copy (4) and ours (3)."""

CRF_BYTES = 70
"""A pixel of the dense CRF, beside its classes: the lattices."""

CLASS_BYTES = 16
"""A pixel and class of the dense CRF: scores, marginals and what is between them."""

RESERVE = 224 << 20
"""Bytes for all else, at least: activations of the network, maps of its outputs, a PNG while it is written."""

TILE_BYTES = 300
"""A pixel of a tile as the network sees it: activations."""

SEEN_BYTES = 6
"""A pixel and class of the whole image as the network sees it: maps of its outputs at all scales."""

LEAST_CRF_PIXELS = 250_000
"""Fewest pixels that the dense CRF may be bound to: an image of 500 x 500."""

_UNITS = {"": 1, "B": 1}
_UNITS |= {unit: 1000**power for power, unit in enumerate(("KB", "MB", "GB", "TB"), start=1)}
_UNITS |= {unit: 1024**power for power, unit in enumerate(("KIB", "MIB", "GIB", "TIB"), start=1)}
_UNITS |= {unit: 1024**power for power, unit in enumerate("KMGT", start=1)}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """How many bytes the images in work may take together.

    Attributes:
        available: bytes for images, all of them together.
        limits_crf: whether the CRF of an image shall fit too; else the bound holds for how many images are in work at
            once, and no result depends on it.
        side: long side at which the network sees images; 0: their own.
        tile: longest side of a tile.
    """

    available: int
    limits_crf: bool = False
    side: int = 320
    tile: int = 1024

    def reserve(self, shape: tuple[int, int], channels: int) -> int:
        """Bytes that an image (H, W) needs beside its pixels and its CRF."""
        factor = 1.0 if not self.side else self.side / max(shape)
        seen = shape[0] * factor * shape[1] * factor
        return max(RESERVE, round(TILE_BYTES * min(seen, self.tile**2) + SEEN_BYTES * channels * seen))

    def crf_pixels(self, shape: tuple[int, int], channels: int, most: int) -> int:
        """Pixels that the dense CRF of an image may work on.

        Args:
            shape: (H, W) of the image.
            channels: background and the allowed classes.
            most: without a bound.

        Raises:
            DataError: the image does not fit into the bound at all.
        """
        if not self.limits_crf:
            return most
        pixels = shape[0] * shape[1]
        reserve = self.reserve(shape, channels)
        free = self.available - reserve - IMAGE_BYTES * pixels
        found = min(most, pixels, free // crf_bytes(channels))
        if found < min(LEAST_CRF_PIXELS, pixels) or DECODING_BYTES * pixels > self.available:
            needed = max(
                reserve + IMAGE_BYTES * pixels + crf_bytes(channels) * min(LEAST_CRF_PIXELS, pixels),
                DECODING_BYTES * pixels,
            )
            raise DataError(
                f"an image of {shape[1]} x {shape[0]} pixels needs {shown_bytes(needed - self.available)} more than "
                "`max_memory` leaves; raise it, make the image smaller, or let the network see it smaller "
                "(`prediction.image_size`)"
            )
        return found

    def check(self, shape: tuple[int, int], channels: int) -> None:
        """Refuse an image that does not fit, before it is decoded; arguments and error as `crf_pixels`."""
        self.crf_pixels(shape, channels, LEAST_CRF_PIXELS)

    def cost(self, shape: tuple[int, int], channels: int, most: int) -> int:
        """Bytes of an image in work, at most; arguments as `crf_pixels`."""
        pixels = shape[0] * shape[1]
        return IMAGE_BYTES * pixels + crf_bytes(channels) * self.crf_pixels(shape, channels, min(most, pixels))

    def next_cost(self, shape: tuple[int, int]) -> int:
        """Bytes that decoding the next image takes if it is as large as this one."""
        return DECODING_BYTES * shape[0] * shape[1]


def crf_bytes(channels: int) -> int:
    """Bytes a pixel of the dense CRF with so many classes, background included."""
    return CRF_BYTES + CLASS_BYTES * channels


def parse_bytes(text: str | int) -> int:
    """A number of bytes: `2GiB`, `2G`, `1500 MB`, `2147483648`.

    Raises:
        ConfigError: it is none.

    >>> parse_bytes("2GiB"), parse_bytes("1.5 GB"), parse_bytes(1000)
    (2147483648, 1500000000, 1000)
    """
    match = _AMOUNT.fullmatch(str(text))
    if match is None or match.group(2).upper() not in _UNITS:
        raise ConfigError(f"`max_memory` {text!r}: expected a number of bytes such as 2GiB, 1500MB or 2147483648")
    return round(float(match.group(1)) * _UNITS[match.group(2).upper()])


def shown_bytes(count: float) -> str:
    """A number of bytes for people, in MiB or GiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"
