"""Grey images of more than 8 bits that Pillow has decoded, as 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.images.levels import Levels, free_range, held_pixels, sample_step
from tag2mask.images.notes import BANDS, NEARLY_BLACK, NO_VALUE, Note, nobody
from tag2mask.images.reading import Reading, left_out
from tag2mask.images.tiff_header import nodata_of, tiff_header

_PHOTOMETRIC_TAG, _BITS_TAG = 262, 258
_DARK = 32  # of 255


def deep_grey(
    image: ImageFile.ImageFile, path: Path, reading: Reading, note: Callable[[Note], None]
) -> NDArray[np.uint8]:
    """Grey of more than 8 bits as uint8 (H, W, 3), of a decoded image.

    Raises:
        DataError: no pixel holds a value.
    """
    values = np.asarray(image)
    white: float | None = None
    inverted, nodata = False, None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_TAG, (16,))
        inverted = image.tag_v2.get(_PHOTOMETRIC_TAG) == 0
        nodata = nodata_of(image.tag_v2)
        if image.mode.startswith("I;16"):
            white = float(2 ** int(bits[0]) - 1)
    elif image.mode != "F":  # PNG and PGM: Pillow gives the range 0..65535
        white = 65535.0
    valid = held_pixels(values, nodata)
    if valid is not None:
        if not valid.any():
            raise DataError(f"{printable(path)}: no pixel holds a finite value; leave it out")
        missing = int(valid.size - np.count_nonzero(valid))
        note(Note(NO_VALUE, f"{printable(path)}: {without_value(missing, valid.size)}"))
    if reading.range is not None:
        step = sample_step((values.shape[0], values.shape[1]))
        some = None if valid is None else valid[::step, ::step]
        levels = Levels.measured([values[::step, ::step]], [some], reading.range, path)
        rgb = levels.applied([values], [valid])
    elif white is not None:
        table = np.round(np.arange(int(white) + 1) * (255.0 / white)).astype(np.uint8)
        grey = table[np.minimum(values, int(white))]
        if valid is not None:
            grey[~valid] = np.median(grey[valid])
        rgb = np.repeat(grey[:, :, None], 3, axis=2)
    else:
        rgb = np.repeat(free_range(values, valid)[:, :, None], 3, axis=2)
    if inverted:
        rgb = 255 - rgb
    transparent: Any = image.info.get("transparency")
    if isinstance(transparent, int):
        rgb[values == transparent] = 255
    return rgb


def note_stored(path: Path, pixels: NDArray[np.uint8], note: Callable[[Note], None]) -> None:
    """Note what Pillow leaves out of a TIFF, and values that fill little of their range."""
    if note is nobody or (header := tiff_header(path)) is None:
        return
    if header.samples - header.alpha > 3 and header.plain:
        text = left_out((1, 2, 3), header.samples - header.alpha)
        note(Note(BANDS, f"{printable(path)}: {text}"))
    if header.deep and header.plain and (top := int(pixels.max())) < _DARK:
        share = max(1, round(100 * top / 255))
        text = f"its values fill {share} % of their range, so the image is nearly black; `data.range` stretches them"
        note(Note(NEARLY_BLACK, f"{printable(path)}: {text}, e.g. to [1, 99]"))


def without_value(missing: int, pixels: int) -> str:
    """What is said of pixels without a value."""
    return f"{missing:,} of {pixels:,} pixels hold no value (nan, nodata), they are read as the median"
