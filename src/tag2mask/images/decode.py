"""Decoding an image as it is displayed: upright, in colour, 8 bits a channel.

What "as displayed" means here:

- the EXIF orientation is applied;
- transparency is composited on white, as most viewers and browsers show it on a page;
- CMYK is converted by Pillow's plain formula, embedded colour profiles are not applied;
- 16-bit grey is scaled from its whole range (0..65535, or 0..4095 for 12-bit TIFF), not from the
  values that happen to occur; a TIFF that says "white is zero" is inverted;
- 32-bit integer and floating point images have no agreed white: see `_scale_free_range`;
- of an animation, a multi-page file or a phone's file with several images (MPO), the first image;
- HEIC is read where pi-heif or pillow-heif is installed;
- a JPEG that lacks its end marker and nothing else is read (`note` says so); a truncated one is an error.

All functions are safe to call from several threads: no global setting of Pillow is changed. (A
program that sets Pillow's own `LOAD_TRUNCATED_IMAGES` gets what it asked for: truncated images
are then filled instead of refused.)
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.text import printable
from tag2mask.images.exif import orientation_of
from tag2mask.images.jpeg_end import stream_is_whole, with_end
from tag2mask.images.kinds import HEIC, heic_plugin, kind_of_content, special_file
from tag2mask.images.kinds import IMAGE_SUFFIXES as IMAGE_SUFFIXES

MAX_PIXELS_VARIABLE = "TAG2MASK_MAX_PIXELS"
"""Environment variable that sets another limit than `DEFAULT_MAX_PIXELS`."""

DEFAULT_MAX_PIXELS = 110_000_000
"""At 3 bytes a pixel and a few copies, an image of this size takes about 1 GiB of memory."""

_TOO_LARGE_FOR_PILLOW = (
    "Pillow refuses an image of this format and size; make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS"
)

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "HEIF")

_PHOTOMETRIC_TAG = 262
_BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # orientation that undoes another
_STRIP = 512
_WIDTH_TAG, _HEIGHT_TAG, _BITS_TAG = 256, 257, 258

_DAMAGED = "the image is truncated or damaged"
_AGAIN = "copy or download it again"

_NO_IMAGE = (
    (re.compile(rb"\s*<(!doctype|html|head)", re.IGNORECASE), "a web page: the download failed"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer: run `git lfs pull`"),
    (re.compile(rb"\x00\x05\x16\x07"), "what macOS keeps beside a file: it is no image"),
)


def _said(error: object) -> str:
    """What a library says, in one line without control characters."""
    return printable(" ".join(str(error).split()))


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd about an image that can be read.

    Attributes:
        kind: what it is, such as `NO_END`.
        message: the same in a sentence that names the file.
    """

    kind: str
    message: str

    def __str__(self) -> str:
        return self.message


NO_END = "JPEG without its end"
SEVERAL = "several images in one file"


def _nobody(_: Note) -> None:
    """What is noted is dropped."""


class TooManyPixelsError(DataError):
    """An image has more pixels than are read."""


def max_pixels() -> int:
    """Pixels an image may have; larger ones are refused before they are decoded.

    A small file can claim a huge image, so there is a limit: `DEFAULT_MAX_PIXELS`, or what the environment
    variable TAG2MASK_MAX_PIXELS says at the time of the call. Images with more than 8 bits a channel may have a
    quarter of it. For TIFF and WebP Pillow's own limit, `PIL.Image.MAX_IMAGE_PIXELS`, holds as well.

    Raises:
        ConfigError: the variable is set to something that is no whole number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").strip()
    if not text:
        return DEFAULT_MAX_PIXELS
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer() or value < 1:
        raise ConfigError(
            f"{MAX_PIXELS_VARIABLE} is {text!r}; expected a whole number of pixels above 0, such as 1e8 or "
            f"110_000_000; correct this environment variable, or unset it for {DEFAULT_MAX_PIXELS:,}"
        )
    return int(value)


def read_image(path: Path, *, note: Callable[[Note], None] = _nobody) -> NDArray[np.uint8]:
    """Decode `path` as it is displayed.

    Args:
        path: the file.
        note: called with what is odd about the file, although it can be read.

    Returns:
        uint8 (H, W, 3), RGB, own memory, C-contiguous and writable.

    Raises:
        DataError: the file is missing, a directory, empty, truncated or damaged, not an image, or
            larger than `max_pixels()`.
    """
    with open_image(path, whole=True, note=note) as image:
        orientation = orientation_of(image)
        load_pixels(image, path)
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # Pillow turns TIFF while loading
            orientation = 1
        if image.mode == "LAB":
            raise DataError(
                f"{printable(path)}: colours are stored as CIE Lab, which cannot be read; convert it to RGB"
            )
        if _is_deep(image):
            return np.ascontiguousarray(_turned(_deep_grey(image, path), _BACK[orientation]))
        return _to_rgb(image, orientation)


def image_size(path: Path) -> tuple[int, int]:
    """Size (H, W) of `path` as it is displayed, from its header, without decoding the pixels.

    Raises:
        DataError: as `read_image`, except that damage behind the header is not seen.
    """
    with open_image(path) as image:
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            width, height = int(image.tag_v2[_WIDTH_TAG]), int(image.tag_v2[_HEIGHT_TAG])
        return (width, height) if orientation_of(image) >= 5 else (height, width)


@contextmanager
def open_image(
    path: Path,
    *,
    formats: tuple[str, ...] = _FORMATS,
    remedy: str = "convert it to JPEG or PNG",
    whole: bool = False,
    note: Callable[[Note], None] = _nobody,
) -> Iterator[ImageFile.ImageFile]:
    """Open the image `path` without decoding its pixels; it closes with the context.

    Args:
        path: the file.
        formats: Pillow's names of the formats that may be read.
        remedy: what to do with a file in another format.
        whole: check that a JPEG has its end marker, or supply it where nothing else is missing.
        note: as in `read_image`; needs `whole`.

    Raises:
        DataError: the file is missing, a directory, a named pipe or a device, empty, not an image, above
            `max_pixels()`, or (`whole`) a truncated JPEG.
    """
    shown = printable(path)
    with _opened(path) as stream:
        image = _identify(stream, shown, formats, remedy)
        try:
            width, height = image.size
            if width <= 0 or height <= 0:
                raise DataError(f"{shown}: the image is {width} x {height} pixels; replace the file")
            limit = max_pixels() // (4 if _is_deep(image) else 1)
            if width * height > limit:
                raise TooManyPixelsError(
                    f"{shown}: the image claims {width} x {height} pixels, the limit is {limit:,} pixels for its kind; "
                    f"make it smaller, cut it into pieces, or set {MAX_PIXELS_VARIABLE} higher if you trust the file"
                )
            if whole and image.format == "JPEG" and not ImageFile.LOAD_TRUNCATED_IMAGES and not stream_is_whole(stream):
                image = _ended(stream, shown)
                note(Note(NO_END, f"{shown}: this JPEG lacks its end marker and nothing else, it is read"))
            if whole and has_several(image):
                note(Note(SEVERAL, f"{shown}: only the first of the images in this file is read"))
            yield image
        finally:
            image.close()


def has_several(image: ImageFile.ImageFile) -> bool:
    """Whether an opened file is an animation or has several pages; previews in a phone's JPEG do not count."""
    with suppress(Exception):  # damage behind the first image
        return bool(getattr(image, "is_animated", False))
    return False


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading; what is no file is not even opened, which may wait forever."""
    shown = printable(path)
    try:
        if (what := special_file(path.stat().st_mode)) is not None:
            raise DataError(f"{shown}: this is {what}, an image file was expected")
        stream = path.open("rb")
    except FileNotFoundError as error:
        if path.is_symlink():
            raise DataError(f"{shown}: a broken link; put the file itself there") from error
        raise DataError(f"{shown}: no such file; check its name and folder") from error
    except IsADirectoryError as error:
        raise DataError(f"{shown}: this is a folder, an image file was expected") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown}: cannot be read ({reason}); check its name and permissions") from error
    with stream:
        yield stream


def _ended(stream: IO[bytes], shown: str) -> ImageFile.ImageFile:
    """The JPEG in a file that lacks its end marker, opened with one.

    Raises:
        DataError: part of the image is missing, too.
    """
    stream.seek(0)
    try:
        data = with_end(stream.read())
        if data is not None:
            return JpegImagePlugin.JpegImageFile(io.BytesIO(data), shown)
    except MemoryError:
        raise
    except Exception as error:
        raise DataError(f"{shown}: {_DAMAGED} ({_said(error)}); {_AGAIN}") from error
    raise DataError(f"{shown}: {_DAMAGED} (the file ends before the image does); {_AGAIN}")


def load_pixels(image: ImageFile.ImageFile, path: Path) -> None:
    """Decode the pixels of an opened image.

    Raises:
        DataError: the data is truncated or damaged.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"{printable(path)}: {_TOO_LARGE_FOR_PILLOW} ({_said(error)})") from error
    except Exception as error:  # decoders raise nearly anything: OSError, ValueError, struct.error, ...
        raise DataError(f"{printable(path)}: {_DAMAGED} ({_said(error)}); {_AGAIN}") from error


def _identify(stream: IO[bytes], shown: str, formats: tuple[str, ...], remedy: str) -> ImageFile.ImageFile:
    # Image.open would do, but for its limit of pixels, which is a global setting of the process.
    prefix = stream.read(512)
    if not prefix:
        raise DataError(f"{shown}: the file is empty (0 bytes); {_AGAIN}")
    Image.init()
    damage: Exception | str | None = None
    for name in formats:
        try:
            factory, accepted = _factory(name, prefix)
            if isinstance(accepted, str):  # why this installation of Pillow cannot read the format
                damage = accepted
            if isinstance(accepted, str) or not accepted:
                continue
            stream.seek(0)
            image: ImageFile.ImageFile = factory(stream, shown)
            return image
        except MemoryError:
            raise
        except Image.DecompressionBombError as error:
            raise TooManyPixelsError(f"{shown}: {_TOO_LARGE_FOR_PILLOW} ({_said(error)})") from error
        except Exception as error:
            damage = error
    kind = kind_of_content(prefix)
    if damage is not None and (kind is None or (kind is HEIC and heic_plugin() is not None)):
        raise DataError(
            f"{shown}: the header is truncated, damaged or of a kind that cannot be read ({_said(damage)}); {_AGAIN}, "
            f"or {remedy}"
        )
    if kind is not None:
        raise DataError(
            f"{shown}: not an image in a format that can be read (it looks like {kind.what}: {kind.remedy})"
        )
    likeness = next((what for pattern, what in _NO_IMAGE if pattern.match(prefix)), None)
    seen = f"it looks like {likeness}" if likeness else f"it starts with {prefix[:8]!r}"
    raise DataError(f"{shown}: not an image in a format that can be read ({seen}); {remedy}")


def _factory(name: str, prefix: bytes) -> tuple[Any, bool | str]:
    """Pillow's class for a format, and whether it accepts a file that begins so, or why it cannot read it."""
    if name == "HEIF":  # not registered with Pillow, whose list of formats belongs to the whole process
        return heic_plugin(), heic_plugin() is not None and kind_of_content(prefix) is HEIC
    if name not in Image.OPEN:
        return None, False
    factory, accept = Image.OPEN[name]
    if name == "JPEG":  # not Pillow's factory, which looks for further images: in a damaged table, too
        factory = JpegImagePlugin.JpegImageFile
    return factory, True if accept is None else accept(prefix[:16])


def _is_deep(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _to_rgb(image: ImageFile.ImageFile, orientation: int) -> NDArray[np.uint8]:
    """The decoded image upright, uint8 (H, W, 3), made strip by strip: each copy of a large image counts."""
    turned = orientation >= 5
    size = (image.width, image.height) if turned else (image.height, image.width)
    out = np.empty((*size, 3), np.uint8)
    lying = _turned(out, orientation)  # written in the order in which the image is stored
    transparent = image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info
    for top in range(0, image.height, _STRIP):
        whole = image.height <= _STRIP
        strip = image if whole else image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        if transparent:
            strip = strip.convert("LA") if strip.mode == "La" else strip
            strip = strip if strip.mode == "RGBA" else strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, (255, 255, 255, 255)), strip)
        lying[top : top + _STRIP] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    return out


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The view of an upright image (H, W, 3) whose rows are those of the file, by EXIF orientation."""
    if orientation in (3, 4):
        pixels = pixels[::-1]
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    if orientation in (7, 8):
        pixels = pixels[::-1]
    if orientation in (6, 7):
        pixels = pixels[:, ::-1]
    return pixels.swapaxes(0, 1) if orientation >= 5 else pixels


def _deep_grey(image: ImageFile.ImageFile, path: Path) -> NDArray[np.uint8]:
    values = np.asarray(image)
    white: float | None = None
    inverted = False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_TAG, (16,))
        inverted = image.tag_v2.get(_PHOTOMETRIC_TAG) == 0
        if image.mode.startswith("I;16"):
            white = float(2 ** int(bits[0]) - 1)
    elif image.mode != "F":  # PNG and PGM: Pillow gives the range 0..65535
        white = 65535.0
    if white is not None:
        levels = np.round(np.arange(int(white) + 1) * (255.0 / white)).astype(np.uint8)
        grey = levels[np.minimum(values, int(white))]
    else:
        grey = _scale_free_range(values, path)
    if inverted:
        grey = 255 - grey
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    transparent: Any = image.info.get("transparency")
    if isinstance(transparent, int):
        rgb[values == transparent] = 255
    return rgb


def _scale_free_range(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """8-bit grey from integers or floats whose format does not say what white is.

    The first range that holds all values is taken: 0..1 (floats alone), 0..255, 0..65535, and
    else the image's own minimum to maximum.
    """
    if not np.isfinite(values).all():
        raise DataError(f"{printable(path)}: pixels that are not finite numbers (nan, inf); save it as 8-bit or 16-bit")
    low, high = float(values.min()), float(values.max())
    ranges = [1.0] * (values.dtype.kind == "f") + [255.0, 65535.0]
    white = next((limit for limit in ranges if low >= 0 and high <= limit), None)
    start, span = (0.0, white) if white is not None else (low, high - low)
    scaled = (values.astype(np.float64) - start) * (255.0 / (span or 1.0))
    return np.round(scaled).astype(np.uint8)
