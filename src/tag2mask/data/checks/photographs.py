"""Looking at every photograph once: does it decode, how large is it, what does it look like."""

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
from tag2mask.data.checks.jpeg_end import jpeg_is_whole
from tag2mask.data.checks.perceptual import perceptual_hash
from tag2mask.images.decode import image_size, load_pixels, open_image, read_image

REDUCED_ABOVE = 3_000_000
"""JPEGs with more pixels are decoded at a half to an eighth of their size; all their data is still read."""

REDUCED_SIDE = 512

_BROKEN_OFF = "the file breaks off before its end; copy or download it again"


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file to look at.

    Attributes:
        name: how it is called in the report.
        path: the file.
        split: the split it belongs to, or None.
        tags: its tags, or None where they are not known.
        other: it is not of the collection, but of the folder that this is checked against.
    """

    name: str
    path: Path
    split: str | None = None
    tags: frozenset[str] | None = None
    other: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a photograph is like.

    Attributes:
        photograph: the file.
        size: (H, W) as displayed.
        turned: EXIF turns it by 90 degrees.
        file_hash: of the bytes of the file.
        pixel_hash: of size and pixels, as displayed or (`reduced`) at the size decoded.
        reduced: the pixels were decoded at a reduced size.
        spread: standard deviation of its grey levels.
        hash: int8 (255,), see `perceptual_hash`.
    """

    photograph: Photograph
    size: tuple[int, int]
    turned: bool
    file_hash: bytes
    pixel_hash: bytes
    reduced: bool
    spread: float
    hash: NDArray[np.int8]

    @property
    def name(self) -> str:
        """How it is called in the report."""
        return self.photograph.name


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photograph that cannot be used.

    Attributes:
        photograph: the file.
        truncated: it begins well and does not go on to its end.
        reason: what is wrong with it.
    """

    photograph: Photograph
    truncated: bool
    reason: str


def look_at_all(
    photographs: Sequence[Photograph], *, advance: Callable[[], None] = lambda: None, threads: int | None = None
) -> tuple[list[Seen], list[Unreadable]]:
    """Decode all photographs, on all cores.

    Args:
        photographs: the files.
        advance: called after each.
        threads: how many at once; None: one per usable core. Decoding releases the interpreter lock.

    Returns:
        What was seen, and what could not be, both in the order given.
    """

    def one(photograph: Photograph) -> Seen | Unreadable:
        try:
            return look_at(photograph)
        finally:
            advance()

    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        results: Iterable[Seen | Unreadable] = pool.map(one, photographs)
        seen: list[Seen] = []
        unreadable: list[Unreadable] = []
        for result in results:
            if isinstance(result, Seen):
                seen.append(result)
            else:
                unreadable.append(result)
    return seen, unreadable


def look_at(photograph: Photograph) -> Seen | Unreadable:
    """Decode one photograph."""
    path = photograph.path
    try:
        with open_image(path) as image:
            kind, stored = image.format, (image.height, image.width)
        size = image_size(path)
    except DataError as error:
        return Unreadable(photograph, False, str(error))
    try:
        data = path.read_bytes()
        if kind in {"JPEG", "MPO"} and not jpeg_is_whole(data):
            return Unreadable(
                photograph, True, f"{path}: the file breaks off before its end; copy or download it again"
            )
        turned = size != stored
        reduced = kind == "JPEG" and size[0] * size[1] > REDUCED_ABOVE and not turned
        pixels = _reduced(path) if reduced else read_image(path)
    except OSError as error:
        return Unreadable(photograph, False, f"{path}: cannot be read ({error.strerror}); check its permissions")
    except DataError as error:
        return Unreadable(photograph, True, str(error))
    except MemoryError:
        return Unreadable(photograph, False, f"{path}: too large for the memory of this machine; make it smaller")
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return Seen(
        photograph=photograph,
        size=size,
        turned=turned,
        file_hash=hashlib.blake2b(data, digest_size=16).digest(),
        pixel_hash=pixel_hash(pixels),
        reduced=reduced,
        spread=float(cv2.meanStdDev(grey)[1][0, 0]),
        hash=perceptual_hash(grey),
    )


def pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Hash of the size and the values of uint8 (H, W, 3)."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _reduced(path: Path) -> NDArray[np.uint8]:
    """A JPEG at the smallest scale that its format gives with both sides at least `REDUCED_SIDE`."""
    with open_image(path) as image:
        image.draft(None, (REDUCED_SIDE, REDUCED_SIDE))
        load_pixels(image, path)
        return np.array(Image.Image.convert(image, "RGB"))
