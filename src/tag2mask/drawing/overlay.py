"""A mask drawn over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.drawing.image import RgbImage, check_image
from tag2mask.drawing.legend import legend_strip
from tag2mask.drawing.palette import UNDECIDED_GREY, Palette, palette_colours

_STRIP = 256


def overlay(
    image: RgbImage,
    mask: NDArray[Any],
    *,
    alpha: float = 0.5,
    classes: Sequence[str] | None = None,
    legend: bool = False,
    palette: Palette = "safe",
    outline: bool = True,
) -> RgbImage:
    """Draw a mask over its image: classes tinted, background unchanged, 255 hatched in grey.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: integers (H, W), class indices or `IGNORE_INDEX`.
        alpha: opacity of the tint, 0 to 1.
        classes: names without background, for the legend.
        legend: add a strip below with the names of the classes that occur; needs `classes`.
        palette: see `palette_colours`.
        outline: draw the borders between classes in their full colour.

    Returns:
        uint8 (H, W, 3) RGB; with `legend` taller by the strip.

    Raises:
        ValueError: the shapes differ, `alpha` is out of range, or a legend lacks names.
    """
    check_image(image)
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask {mask.shape} and image {image.shape[:2]} (H, W) must have the same size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; expected 0 to 1")
    mask = mask.astype(np.uint8)
    colours = palette_colours(palette)
    colours[IGNORE_INDEX] = UNDECIDED_GREY
    strength = np.full(256, alpha, np.float32)
    strength[BACKGROUND] = 0
    height, width = mask.shape
    borders = _borders(mask) if outline else None
    drawn: RgbImage = np.empty(image.shape, np.uint8)
    for top in range(0, height, _STRIP):  # a large image in floating point would take much memory
        rows = slice(top, top + _STRIP)
        part = mask[rows]
        weight = strength[part]
        hatch = np.add.outer(np.arange(top, top + len(part)), np.arange(width)) % 8 < 3
        weight[(part == IGNORE_INDEX) & ~hatch] *= 0.3
        if borders is not None:
            weight[borders[rows] & (part != BACKGROUND)] = 1 if alpha else 0
        mixed = image[rows] * (1 - weight[..., None]) + colours[part] * weight[..., None]
        drawn[rows] = np.round(mixed)
    if not legend:
        return drawn
    if classes is None:
        raise ValueError("a legend needs the names of the classes")
    present = [int(value) for value in np.unique(mask) if value != BACKGROUND]
    return np.concatenate([drawn, legend_strip(classes, width, present=present, palette=palette)])


def _borders(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with a neighbour (of 4) of another class: bool (H, W)."""
    border = np.zeros(mask.shape, np.bool_)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border
