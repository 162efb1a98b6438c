"""Small images of the grid: made once, kept in files, those that were asked for last first."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tag2mask.core.files import atomic_path
from tag2mask.core.machine import usable_cores
from tag2mask.images.decode import load_pixels, open_image, read_image
from tag2mask.images.exif import orientation_of
from tag2mask.images.raster import raster_of
from tag2mask.images.resize import scaled_size
from tag2mask.studio.pixels import image_version

SIDES = (96, 192, 384, 768)
"""Long sides in pixels; another is rounded up."""

_QUALITY = 80
_VERSION = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Thumbnails:
    """Thumbnails of images, from a folder where they are there.

    A few threads make them. Where more are wanted than threads are free, the newest wish comes first, as what is on
    the screen now was asked for last; a wish that nobody waits for any more is dropped.
    """

    def __init__(self, folder: Path, threads: int | None = None):
        """Begin with what a folder holds.

        Args:
            folder: of the files.
            threads: that make thumbnails at once; None: half of the cores and one.
        """
        self.folder = folder
        count = threads or usable_cores() // 2 + 1
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="thumbnail")
        self._free = count
        self._waiting: list[asyncio.Future[None]] = []

    async def get(self, path: Path, side: int, is_wanted: Callable[[], Awaitable[bool]]) -> tuple[bytes, str] | None:
        """The thumbnail of an image as JPEG, and its version; None where it is wanted no more.

        Args:
            path: of the image.
            side: long side in pixels, rounded up to one of `SIDES`.
            is_wanted: whether somebody still waits for it.

        Raises:
            DataError: the image cannot be read.
        """
        side = next((one for one in SIDES if one >= side), SIDES[-1])
        loop = asyncio.get_running_loop()
        version, kept, content = await loop.run_in_executor(None, self._kept, path, side)
        if content is None:
            await self._turn()
            try:
                if not await is_wanted():
                    return None
                content = await loop.run_in_executor(self._pool, _made, path, side, kept)
            finally:
                self._done()
        return content, version

    def version(self, path: Path, side: int) -> str:
        """A text that changes when the thumbnail does.

        Raises:
            DataError: there is no such file.
        """
        return image_version(path, side, _VERSION)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _kept(self, path: Path, side: int) -> tuple[str, Path, bytes | None]:
        version = self.version(path, side)
        kept = self.folder / version[:2] / f"{version[2:]}.jpg"
        try:
            return version, kept, kept.read_bytes()
        except OSError:
            return version, kept, None

    async def _turn(self) -> None:
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:  # its turn had come
                self._done()
            raise

    def _done(self) -> None:
        while self._waiting:
            waiting = self._waiting.pop()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._free += 1


def thumbnail(path: Path, side: int) -> bytes:
    """A JPEG of an image as it is displayed, its long side at most `side`.

    Raises:
        DataError: the image cannot be read.
    """
    small = small_image(path, side)
    if max(small.size) > side:
        width, height = scaled_size((small.size[0], small.size[1]), side)
        small = small.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=_QUALITY)
    return stream.getvalue()


def small_image(path: Path, side: int) -> Image.Image:
    """An image as it is displayed, RGB, its long side at least `side` where the file's is: as fast as can be.

    Raises:
        DataError: the image cannot be read.
    """
    small = _small_jpeg(path, side)
    return Image.fromarray(read_image(path)) if small is None else small


def _small_jpeg(path: Path, side: int) -> Image.Image | None:
    """A JPEG decoded at a fraction of its size, not below `side`, which takes a fraction of the time; None: none."""
    if raster_of(path) is not None:
        return None
    with open_image(path, whole=True) as image:
        if image.format != "JPEG" or image.mode not in ("RGB", "L"):
            return None
        turn = _TURNS.get(orientation_of(image))
        image.draft("RGB", (side, side))
        load_pixels(image, path)
        upright = image.convert("RGB") if turn is None else image.convert("RGB").transpose(turn)
        return Image.fromarray(np.asarray(upright))


def _made(path: Path, side: int, kept: Path) -> bytes:
    content = thumbnail(path, side)
    with atomic_path(kept) as temporary:
        temporary.write_bytes(content)
    return content
