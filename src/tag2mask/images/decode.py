"""Decoding an image as it is displayed: upright, in colour, 8 bits a channel.

What "as displayed" means here:

- the EXIF orientation is applied;
- transparency is composited on white, as most viewers and browsers show it on a page;
- CMYK is converted by Pillow's plain formula, embedded colour profiles are not applied;
- 16-bit grey is scaled from its whole range (0..65535, or 0..4095 for 12-bit TIFF), not from the
  values that happen to occur; a TIFF that says "white is zero" is inverted;
- 32-bit integer and floating point images have no agreed white: see `tag2mask.images.levels.free_range`;
- with `data.range`, values of more than 8 bits are scaled by percentiles of the image: see `tag2mask.images.levels`;
- TIFF with more than three bands, or of another kind that Pillow does not read: see `tag2mask.images.raster`;
- pixels that hold no value (nan, GDAL's nodata) become the median, and `note` says how many;
- of an animation, a multi-page file or a phone's file with several images (MPO), the first image;
- HEIC is read where pi-heif or pillow-heif is installed;
- a JPEG that lacks its end marker and nothing else is read (`note` says so); a truncated one is an error.

All functions are safe to call from several threads: no global setting of Pillow is changed. (A
program that sets Pillow's own `LOAD_TRUNCATED_IMAGES` gets what it asked for: truncated images
are then filled instead of refused.)
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.images.deep import deep_grey, note_stored, without_value
from tag2mask.images.exif import orientation_of
from tag2mask.images.jpeg_end import stream_is_whole, with_end
from tag2mask.images.kinds import HEIC, heic_plugin, kind_of_content, special_file
from tag2mask.images.kinds import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from tag2mask.images.limits import DEFAULT_MAX_PIXELS as DEFAULT_MAX_PIXELS
from tag2mask.images.limits import MAX_PIXELS_VARIABLE as MAX_PIXELS_VARIABLE
from tag2mask.images.limits import TooManyPixelsError as TooManyPixelsError
from tag2mask.images.limits import check_pixels
from tag2mask.images.limits import max_pixels as max_pixels
from tag2mask.images.notes import BANDS, NO_VALUE, nobody
from tag2mask.images.notes import NO_END as NO_END
from tag2mask.images.notes import SEVERAL as SEVERAL
from tag2mask.images.notes import Note as Note
from tag2mask.images.raster import open_raster, raster_of
from tag2mask.images.reading import AS_STORED, Reading
from tag2mask.images.tiff_header import TiffHeader

_TOO_LARGE_FOR_PILLOW = (
    "Pillow refuses an image of this format and size; make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS"
)

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "HEIF")

_BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # orientation that undoes another
_STRIP = 512
_WIDTH_TAG, _HEIGHT_TAG = 256, 257

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


def read_image(path: Path, *, reading: Reading = AS_STORED, note: Callable[[Note], None] = nobody) -> NDArray[np.uint8]:
    """Decode `path` as it is displayed.

    Args:
        path: the file.
        reading: bands, and the range of values of more than 8 bits.
        note: called with what is odd about the file, although it can be read.

    Returns:
        uint8 (H, W, 3), RGB, own memory, C-contiguous and writable.

    Raises:
        DataError: the file is missing, a directory, empty, truncated or damaged, not an image, or
            larger than `max_pixels()`; a band is not there, or what reads such a file is not installed.
    """
    if (header := raster_of(path, reading)) is not None:
        return _read_raster(path, header, reading, note)
    with open_image(path, whole=True, note=note) as image:
        orientation = orientation_of(image)
        load_pixels(image, path)
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # Pillow turns TIFF while loading
            orientation = 1
        if image.mode == "LAB":
            raise DataError(
                f"{printable(path)}: colours are stored as CIE Lab, which cannot be read; convert it to RGB"
            )
        grey = image.mode in {"1", "L", "LA", "La"} or _is_deep(image)
        chosen = reading.chosen(1 if grey else 3, path)
        if _is_deep(image):
            pixels = np.ascontiguousarray(_turned(deep_grey(image, path, reading, note), _BACK[orientation]))
        else:
            pixels = _to_rgb(image, orientation)
    note_stored(path, pixels, note)
    return pixels if grey or chosen == (1, 2, 3) else np.ascontiguousarray(pixels[:, :, _three(chosen)])


def _three(chosen: tuple[int, ...]) -> list[int]:
    """Positions of three channels, from the numbers of one or three bands."""
    return [band - 1 for band in (chosen * 3 if len(chosen) == 1 else chosen)]


def _read_raster(path: Path, header: TiffHeader, reading: Reading, note: Callable[[Note], None]) -> NDArray[np.uint8]:
    """Read a TIFF that Pillow does not read as it is asked for."""
    shown = printable(path)
    check_pixels(shown, header.size, deep=header.deep)
    with open_raster(path, reading, header) as image:
        check_pixels(shown, image.shape, deep=header.deep)
        pixels, missing = image.whole()
        for text in image.remarks():
            note(Note(SEVERAL if "images in this file" in text else BANDS, f"{shown}: {text}"))
    if missing:
        note(Note(NO_VALUE, f"{shown}: {without_value(missing, pixels.shape[0] * pixels.shape[1])}"))
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """Size (H, W) of `path` as it is displayed, from its header, without decoding the pixels.

    Raises:
        DataError: as `read_image`, except that damage behind the header is not seen.
    """
    if (header := raster_of(path)) is not None:
        check_pixels(printable(path), header.size, deep=header.deep)
        return header.size
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
    note: Callable[[Note], None] = nobody,
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
            check_pixels(shown, (image.size[1], image.size[0]), deep=_is_deep(image))
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
