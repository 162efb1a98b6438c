"""Images as a browser takes them, at the size at which masks are painted."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.images.decode import image_size, open_image, read_image
from tag2mask.images.exif import orientation_of
from tag2mask.images.raster import raster_of
from tag2mask.images.resize import resize_image, scaled_size

WORK_SIDE = 4096
"""Longest side in pixels at which an image is shown and painted on."""

_QUALITY = 95
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_MODES = {"JPEG": {"RGB", "L"}, "PNG": {"RGB", "L"}, "WEBP": {"RGB"}}


@dataclass(frozen=True, slots=True)
class Pixels:
    """An encoded image.

    Attributes:
        content: of a JPEG, PNG or WebP file.
        media_type: of the content.
        size: (H, W) of the content, the work size.
        scale: work size / size of the file, at most 1.
    """

    content: bytes
    media_type: str
    size: tuple[int, int]
    scale: float


def work_size(size: tuple[int, int]) -> tuple[int, int]:
    """Size (H, W) at which an image of a size (H, W) is shown and painted on.

    >>> work_size((375, 500)), work_size((6000, 8000))
    ((375, 500), (3072, 4096))
    """
    return size if max(size) <= WORK_SIDE else scaled_size(size, WORK_SIDE)


def image_version(path: Path, *more: object) -> str:
    """A text that changes when the file of an image does, for caches.

    Raises:
        DataError: there is no such file.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror}); was it moved?") from error
    key = "|".join(map(str, (path, about.st_size, about.st_mtime_ns, *more)))
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:40]


def work_pixels(path: Path) -> Pixels:
    """An image as `images.decode.read_image` reads it, at its work size; the file itself where browsers show the same.

    Raises:
        DataError: the image cannot be read.
    """
    size = image_size(path)
    if work_size(size) == size and (media_type := _shown_as_it_is(path)) is not None:
        return Pixels(path.read_bytes(), media_type, size, 1.0)
    image = read_image(path)
    target = work_size(size)
    small = resize_image(image, target)
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, format="JPEG", quality=_QUALITY, subsampling=0)
    return Pixels(stream.getvalue(), "image/jpeg", target, max(target) / max(size))


def _shown_as_it_is(path: Path) -> str | None:
    """Media type of a file that every browser shows as `read_image` reads it: upright, 8 bits, not transparent."""
    if raster_of(path) is not None:
        return None
    with open_image(path, whole=True) as image:
        kind = image.format or ""
        plain = image.mode in _MODES.get(kind, ()) and "transparency" not in image.info
        return _TYPES[kind] if plain and orientation_of(image) == 1 else None
