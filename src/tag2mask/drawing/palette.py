"""Colours of class indices in drawings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import MAX_CLASSES
from tag2mask.drawing.image import RgbImage
from tag2mask.masks.palette_png import voc_colours

Palette = Literal["safe", "voc"]

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

UNDECIDED_LIGHT: Colour = (224, 224, 224)
UNDECIDED_DARK: Colour = (64, 64, 64)
"""The stripes of `IGNORE_INDEX` in overlays and legends: one of them is seen on any image."""

# fmt: off
# Okabe and Ito, "Color Universal Design", 2008: distinguishable with all common kinds of colour blindness.
_OKABE_ITO = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)
# fmt: on
_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)


def palette_colours(palette: Palette | Sequence[Colour] = "safe") -> RgbImage:
    """A colour for each mask value: uint8 (256, 3) RGB; background is black, 255 is nearly white.

    Args:
        palette: `safe`: the first seven classes are distinguishable with any common kind of colour
            blindness, the next fourteen are darker and lighter shades of them, then VOC's colours follow.
            `voc`: the colours of PASCAL VOC, as in mask files. Or the colours of the classes themselves,
            (C, 3) from 0 to 255, without background.

    Raises:
        ValueError: there is no such palette, or these are no colours.
    """
    colours = voc_colours().copy()
    if isinstance(palette, str):
        if palette not in ("safe", "voc"):
            raise ValueError(f"palette {palette!r}; expected 'safe' or 'voc'")
        own = _shades() if palette == "safe" else np.zeros((0, 3))
    else:
        own = np.asarray(palette, np.float64) if len(palette) else np.zeros((0, 3))
        if own.ndim != 2 or own.shape[1] != 3 or len(own) > MAX_CLASSES or not ((own >= 0) & (own <= 255)).all():
            raise ValueError(f"colours of classes are (C, 3) from 0 to 255, C up to {MAX_CLASSES}; got {own.shape}")
    colours[1 : 1 + len(own)] = np.round(own).astype(np.uint8)
    return colours


def tones_beside(colours: RgbImage) -> RgbImage:
    """For each colour, uint8 (N, 3), black or white: whichever differs more in lightness."""
    linear = (colours / 255.0) ** 2.2
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    # Contrast by WCAG 2: (lighter + 0.05) / (darker + 0.05); equal towards black and white at 0.179.
    tones: RgbImage = np.where(luminance[:, None] > 0.179, _DARK, _LIGHT).astype(np.uint8)
    return tones


def _shades() -> NDArray[np.float64]:
    base = np.array(_OKABE_ITO, np.float64)
    return np.concatenate([base, base * 0.55, 255 - (255 - base) * 0.45])
