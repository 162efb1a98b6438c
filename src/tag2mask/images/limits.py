"""How many pixels an image may have."""

from __future__ import annotations

import math
import os

from tag2mask.core.errors import ConfigError, DataError

MAX_PIXELS_VARIABLE = "TAG2MASK_MAX_PIXELS"
"""Environment variable that sets another limit than `DEFAULT_MAX_PIXELS`."""

DEFAULT_MAX_PIXELS = 110_000_000
"""At 3 bytes a pixel and a few copies, an image of this size takes about 1 GiB of memory."""


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


def check_pixels(shown: str, size: tuple[int, int], *, deep: bool) -> None:
    """Refuse an image (H, W) that is empty or has too many pixels.

    Raises:
        DataError: it has no pixel, or (`TooManyPixelsError`) more than `max_pixels()`, or a quarter of it if it is
            `deep`: more than 8 bits a channel.
    """
    height, width = size
    if width <= 0 or height <= 0:
        raise DataError(f"{shown}: the image is {width} x {height} pixels; replace the file")
    limit = max_pixels() // (4 if deep else 1)
    if width * height > limit:
        raise TooManyPixelsError(
            f"{shown}: the image claims {width} x {height} pixels, the limit is {limit:,} pixels for its kind; "
            f"make it smaller, cut it into pieces, or set {MAX_PIXELS_VARIABLE} higher if you trust the file"
        )
