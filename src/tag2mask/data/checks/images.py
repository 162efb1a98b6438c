"""Decoding every image once: whether its file is complete, its size, its hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.data.checks.perceptual import perceptual_hash
from tag2mask.images.decode import Note, image_size, load_pixels, open_image, read_image
from tag2mask.images.raster import raster_of

REDUCED_ABOVE = 3_000_000
"""JPEGs with more pixels are decoded at 1/2 to 1/8 of their size; all their data is still read."""

REDUCED_SIDE = 512


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """What is known of an image after decoding it.

    Attributes:
        record: the image.
        size: (H, W) as displayed.
        turned: EXIF rotates it by 90 degrees.
        file_hash: of the bytes of the file.
        pixel_hash: of size and pixels, as displayed or (`reduced`) at the size decoded.
        reduced: the pixels were decoded at a reduced size.
        spread: standard deviation of its grey levels.
        hash: int8 (255,), see `perceptual_hash`.
        notes: what is odd about the file, although it can be read.
        against: it is not of the dataset, but of the folder that this is checked against.
    """

    record: ImageRecord
    size: tuple[int, int]
    turned: bool
    file_hash: bytes
    pixel_hash: bytes
    reduced: bool
    spread: float
    hash: NDArray[np.int8]
    notes: tuple[Note, ...] = ()
    against: bool = False

    @property
    def name(self) -> str:
        """Name of the image in the report."""
        return self.record.name


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that cannot be used.

    Attributes:
        record: the image.
        truncated: its header can be read, the rest is damaged or missing.
        reason: what is wrong with it.
    """

    record: ImageRecord
    truncated: bool
    reason: str


def inspect_images(
    records: Sequence[ImageRecord], *, advance: Callable[[], None] = lambda: None, threads: int | None = None
) -> tuple[list[InspectedImage], list[UnreadableImage]]:
    """Decode all images, on all cores.

    Args:
        records: the images.
        advance: called after each.
        threads: how many at once; None: one per usable core. Decoding releases the interpreter lock.

    Returns:
        The readable and the unreadable ones, both in the order given.
    """

    def one(record: ImageRecord) -> InspectedImage | UnreadableImage:
        try:
            return inspect_image(record)
        finally:
            advance()

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        results: Iterable[InspectedImage | UnreadableImage] = pool.map(one, records)
        seen: list[InspectedImage] = []
        unreadable: list[UnreadableImage] = []
        for result in results:
            if isinstance(result, InspectedImage):
                seen.append(result)
            else:
                unreadable.append(result)
    return seen, unreadable


def inspect_image(record: ImageRecord) -> InspectedImage | UnreadableImage:
    """Decode one image."""
    path = record.path
    notes: list[Note] = []
    try:
        size = image_size(path)
        kind: str | None = "TIFF"
        stored = size
        if raster_of(path) is None:
            with open_image(path) as image:
                kind, stored = image.format, (image.height, image.width)
    except DataError as error:
        return UnreadableImage(record, False, str(error))
    try:
        data = path.read_bytes()
        turned = size != stored
        reduced = kind == "JPEG" and size[0] * size[1] > REDUCED_ABOVE and not turned
        pixels = _reduced(path, notes) if reduced else read_image(path, note=notes.append)
    except OSError as error:
        return UnreadableImage(
            record, False, f"{printable(path)}: cannot be read ({error.strerror}); check its permissions"
        )
    except DataError as error:
        return UnreadableImage(record, True, str(error))
    except MemoryError:
        return UnreadableImage(
            record, False, f"{printable(path)}: too large for the memory of this machine; make it smaller"
        )
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return InspectedImage(
        record=record,
        size=size,
        turned=turned,
        file_hash=hashlib.blake2b(data, digest_size=16).digest(),
        pixel_hash=pixel_hash(pixels),
        reduced=reduced,
        spread=float(cv2.meanStdDev(grey)[1][0, 0]),
        hash=perceptual_hash(grey),
        notes=tuple(notes),
    )


def pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Hash of the size and the values of uint8 (H, W, 3)."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _reduced(path: Path, notes: list[Note]) -> NDArray[np.uint8]:
    """A JPEG at the smallest scale that its format gives with both sides at least `REDUCED_SIDE`."""
    with open_image(path, whole=True, note=notes.append) as image:
        image.draft(None, (REDUCED_SIDE, REDUCED_SIDE))
        load_pixels(image, path)
        return np.array(Image.Image.convert(image, "RGB"))
