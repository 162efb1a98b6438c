"""What the header of a TIFF says, also of those that Pillow cannot decode."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from tag2mask.images.kinds import special_file

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _DESCRIPTION = 256, 257, 258, 262, 270
_SAMPLES, _PLANAR, _EXTRA, _FORMAT = 277, 284, 338, 339
_NODATA = 42113  # GDAL's
_GEOREFERENCED = (33550, 33922, 34264, 34735)
_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PLAIN_PHOTOMETRIC = (0, 1, 2)  # grey and RGB: not a palette, CMYK, YCbCr, Lab
_OME_CHANNELS = re.compile(r'<(?:\w+:)?Pixels\b[^>]*\bSizeC="(\d+)"')
_IMAGEJ_CHANNELS = re.compile(r"^channels=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """The first image of a TIFF.

    Attributes:
        size: (H, W) as stored.
        samples: values of a pixel, alpha included.
        alpha: whether one of them is alpha.
        deep: whether a value has more than 8 bits.
        plain: whether the values are grey, RGB or bands, not indices of a palette or inks.
        georeferenced: whether it says where it lies.
        channels: that OME or ImageJ say it has, which may lie in pages of their own.
        nodata: value of pixels that hold none, as GDAL writes it.
        pillow: whether Pillow can open it and, as far as the header says, decode it.
    """

    size: tuple[int, int]
    samples: int
    alpha: bool
    deep: bool
    plain: bool
    georeferenced: bool
    channels: int
    nodata: float | None
    pillow: bool

    @property
    def bands(self) -> int:
        """Bands that may be chosen: not alpha."""
        return self.channels if self.in_pages else self.samples - self.alpha

    @property
    def in_pages(self) -> bool:
        """Whether the bands lie in pages of their own."""
        return self.channels > 1 and self.samples == 1


def tiff_header(path: Path) -> TiffHeader | None:
    """The header of a file; None where it is no TIFF, or its header is damaged (which decoding says)."""
    try:
        if special_file(path.stat().st_mode) is not None:  # opening a named pipe may wait forever
            return None
        with path.open("rb") as stream:
            return _parsed(stream) if stream.read(4) in _MAGIC else None
    except Exception:  # a damaged header raises nearly anything, and decoding it says what
        return None


def _parsed(stream: IO[bytes]) -> TiffHeader:
    stream.seek(0)
    start = stream.read(8)
    if start[2:3] == b"+" or start[3:4] == b"+":
        start += stream.read(8)
    tags = ImageFileDirectory_v2(start)
    stream.seek(tags.next)
    tags.load(stream)
    extra = _tuple(tags.get(_EXTRA, ()))
    samples, photometric = int(tags.get(_SAMPLES, 1)), int(tags.get(_PHOTOMETRIC, 1))
    alpha = any(kind in (1, 2) for kind in extra)
    bits, formats = max(_tuple(tags.get(_BITS, (1,)))), _tuple(tags.get(_FORMAT, (1,)))
    pillow = photometric not in _PLAIN_PHOTOMETRIC or samples == 1
    if not pillow:  # some others Pillow opens, and fails to decode
        chunky = bits == 8 or (bits == 16 and set(formats) == {1} and int(tags.get(_PLANAR, 1)) == 1)
        pillow = (photometric == 2 and samples in (3, 4) and chunky) or (samples == 2 and alpha and bits == 8)
    if pillow:
        pillow = False
        with suppress(Exception):
            stream.seek(0)
            TiffImageFile(stream)
            pillow = True
    text = str(tags.get(_DESCRIPTION, ""))
    channels = (_OME_CHANNELS if "<OME" in text or ":OME" in text else _IMAGEJ_CHANNELS).search(text)
    if channels is not None and not ("OME" in text or text.startswith("ImageJ=")):
        channels = None
    return TiffHeader(
        size=(int(tags[_HEIGHT]), int(tags[_WIDTH])),
        samples=samples,
        alpha=alpha,
        deep=bits > 8,
        plain=photometric in _PLAIN_PHOTOMETRIC,
        georeferenced=any(tag in tags for tag in _GEOREFERENCED),
        channels=1 if channels is None else int(channels.group(1)),
        nodata=_number(tags.get(_NODATA)),
        pillow=pillow,
    )


def nodata_of(tags: Any) -> float | None:
    """The value of pixels that hold none, from the tags of an opened TIFF."""
    return _number(tags.get(_NODATA))


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _number(value: Any) -> float | None:
    try:
        return float(str(value).strip("\x00 "))
    except ValueError:
        return None
