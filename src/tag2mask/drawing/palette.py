"""Colours of class indices in drawings."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tag2mask.drawing.image import RgbImage
from tag2mask.masks.palette_png import voc_colours

Palette = Literal["safe", "voc"]

UNDECIDED_GREY = (224, 224, 224)
"""Colour of `IGNORE_INDEX` in overlays and legends."""

# fmt: off
# Okabe and Ito, "Color Universal Design", 2008: distinguishable with all common kinds of colour blindness.
_OKABE_ITO = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)
# fmt: on


def palette_colours(palette: Palette = "safe") -> RgbImage:
    """A colour for each mask value: uint8 (256, 3) RGB; background is black, 255 is nearly white.

    Args:
        palette: `safe`: the first seven classes are distinguishable with any common kind of colour
            blindness, the next fourteen are darker and lighter shades of them, then VOC's colours follow.
            `voc`: the colours of PASCAL VOC, as in mask files.

    Raises:
        ValueError: there is no such palette.
    """
    colours = voc_colours().copy()
    if palette == "voc":
        return colours
    if palette != "safe":
        raise ValueError(f"palette {palette!r}; expected 'safe' or 'voc'")
    base = np.array(_OKABE_ITO, np.float64)
    shades = np.concatenate([base, base * 0.55, 255 - (255 - base) * 0.45])
    colours[1 : 1 + len(shades)] = np.round(shades).astype(np.uint8)
    return colours
