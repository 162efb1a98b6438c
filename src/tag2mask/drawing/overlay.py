"""A mask drawn over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.drawing.image import RgbImage, check_image
from tag2mask.drawing.legend import legend_strip
from tag2mask.drawing.palette import UNDECIDED_DARK, UNDECIDED_LIGHT, Colour, Palette, palette_colours, tones_beside

_STRIP = 256
_SIDE_OF_A_LINE = 600  # pixels of the long side for each pixel of an outline's width
_HATCH = 3  # width of a stripe, in widths of a line


def overlay(
    image: RgbImage,
    mask: NDArray[Any],
    *,
    alpha: float = 0.5,
    classes: Sequence[str] | None = None,
    legend: bool = False,
    palette: Palette | Sequence[Colour] = "safe",
    outline: bool = True,
) -> RgbImage:
    """Draw a mask over its image: classes tinted, background unchanged, 255 (undecided) hatched in two greys.

    Outlines have two tones, the colour of their class and black or white inside it, so that one of them is seen on
    any image. They are wider on large images.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: integers (H, W), class indices or `IGNORE_INDEX`.
        alpha: opacity of the tint, 0 to 1; with 0 nothing is drawn.
        classes: names without background, for the legend.
        legend: add a strip below with the names of the classes that occur; needs `classes`.
        palette: see `palette_colours`.
        outline: draw the borders between classes.

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
    drawn = _tinted(image, mask, alpha, palette)
    if outline and alpha:
        _outline(drawn, mask, palette)
    if not legend:
        return drawn
    if classes is None:
        raise ValueError("a legend needs the names of the classes")
    present = [int(value) for value in np.unique(mask) if value != BACKGROUND]
    return np.concatenate([drawn, legend_strip(classes, mask.shape[1], present=present, palette=palette)])


def _line_width(shape: tuple[int, ...]) -> int:
    return max(1, round(max(shape) / _SIDE_OF_A_LINE))


def _tinted(image: RgbImage, mask: NDArray[np.uint8], alpha: float, palette: Palette | Sequence[Colour]) -> RgbImage:
    """The image with its classes tinted, and stripes where it is undecided."""
    colours = palette_colours(palette)
    strength = np.full(256, alpha, np.float32)
    strength[BACKGROUND] = 0
    height, width = mask.shape
    stripe = _HATCH * _line_width(mask.shape)
    drawn: RgbImage = np.empty(image.shape, np.uint8)
    for top in range(0, height, _STRIP):  # a large image in floating point would take much memory
        rows = slice(top, top + _STRIP)
        part = mask[rows]
        tint, weight = colours[part], strength[part]
        undecided = part == IGNORE_INDEX
        if undecided.any():
            light = np.add.outer(np.arange(top, top + len(part)), np.arange(width)) // stripe % 2 == 0
            tint = np.where((undecided & light)[..., None], UNDECIDED_LIGHT, tint)
            tint = np.where((undecided & ~light)[..., None], UNDECIDED_DARK, tint)
        drawn[rows] = np.round(image[rows] * (1 - weight[..., None]) + tint * weight[..., None])
    return drawn


def _outline(drawn: RgbImage, mask: NDArray[np.uint8], palette: Palette | Sequence[Colour]) -> None:
    """Draw both tones of the borders into `drawn`, inside the classes: background stays as it is."""
    colours = palette_colours(palette)
    colours[IGNORE_INDEX] = UNDECIDED_LIGHT
    width = _line_width(mask.shape)
    outer = _borders(mask)
    if not outer.any():
        return
    if width > 1:
        outer = _wider(outer, width - 1)
    inner = _wider(outer, width) & ~outer
    for border, table in ((inner, tones_beside(colours)), (outer, colours)):
        rows, columns = np.nonzero(border & (mask != BACKGROUND))
        drawn[rows, columns] = table[mask[rows, columns]]


def _wider(border: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Pixels within `by` pixels of a border."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.dilate(border.view(np.uint8), kernel).view(np.bool_)


def _borders(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with a neighbour (of 4) of another class: bool (H, W)."""
    border = np.zeros(mask.shape, np.bool_)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border
