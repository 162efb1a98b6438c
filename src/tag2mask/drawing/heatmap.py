"""A map of values drawn over its image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tag2mask.drawing.image import RgbImage, check_image
from tag2mask.drawing.palette import Colour
from tag2mask.drawing.text import INK, PAPER, font, line_height, text_width

_FULL = 0.7
"""Value at which a class map has the colour of its class; towards 1 it becomes lighter."""
_LIGHTEST = 0.8
_TEXT_SIZE = 14


def ramp(colour: Colour | None = None) -> RgbImage:
    """Colours of the values 0 to 1 in 256 steps, uint8 (256, 3) RGB, from dark to light.

    Args:
        colour: of a class: from black by this colour towards white. None: the colour map "inferno".
    """
    steps = np.arange(256, dtype=np.uint8)
    if colour is None:
        return np.asarray(cv2.applyColorMap(steps[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1], np.uint8)
    own = np.array(colour, np.float64)
    stops = np.stack([np.zeros(3), own, own + (255 - own) * _LIGHTEST])
    channels = [np.interp(steps / 255, (0, _FULL, 1), stops[:, k]) for k in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def heatmap(
    image: RgbImage, values: NDArray[Any], *, alpha: float = 0.6, colour: Colour | None = None, bar: bool = False
) -> RgbImage:
    """Draw a map over its image: dark where it is 0, light where it is 1.

    Args:
        image: uint8 (H, W, 3) RGB; shown in grey below the colours.
        values: floats (h, w) in [0, 1], any size: resized to the image. Values outside are clipped.
        alpha: opacity of the colours, 0 to 1.
        colour: of the class whose map it is, see `ramp`; None: the colour map "inferno".
        bar: add a strip below with the colours of 0 to 1.

    Returns:
        uint8 (H, W, 3) RGB; with `bar` taller by the strip.

    Raises:
        ValueError: `image` is not uint8 (H, W, 3), `values` is not (h, w) or not finite.
    """
    check_image(image)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a map is (h, w) with h, w > 0; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the map holds values that are not finite (nan or inf)")
    height, width = image.shape[:2]
    # Pillow, because it averages where the map is larger than the image; cv2.INTER_LINEAR would skip values.
    small = Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    colours = ramp(colour)[np.round(resized * 255).astype(np.uint8)]
    grey = image @ np.array([0.299, 0.587, 0.114])
    mixed = grey[..., None] * (1 - alpha) + colours * alpha
    drawn: RgbImage = np.round(mixed).astype(np.uint8)
    return np.concatenate([drawn, colour_bar(width, colour=colour)]) if bar else drawn


def colour_bar(width: int, *, colour: Colour | None = None) -> RgbImage:
    """The colours of the values 0 to 1 with these numbers at their ends, uint8 (h, width, 3) RGB."""
    height = line_height(_TEXT_SIZE) + 6
    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    first, last = 6 + text_width("0", _TEXT_SIZE) + 6, width - 6 - text_width("1", _TEXT_SIZE) - 6
    draw.text((6, 3), "0", fill=INK, font=font(_TEXT_SIZE))
    draw.text((last + 6, 3), "1", fill=INK, font=font(_TEXT_SIZE))
    if last > first:
        steps = np.round(np.linspace(0, 255, last - first)).astype(np.uint8)
        block = np.broadcast_to(ramp(colour)[steps], (height - 10, last - first, 3))
        strip.paste(Image.fromarray(np.ascontiguousarray(block)), (first, 5))
    return np.array(strip)
