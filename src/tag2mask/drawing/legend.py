"""Names of classes beside their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.drawing.heatmap import colour_bar
from tag2mask.drawing.image import RgbImage
from tag2mask.drawing.palette import UNDECIDED_DARK, UNDECIDED_LIGHT, Colour, Palette, palette_colours
from tag2mask.drawing.text import INK, PAPER, font, line_height, shortened, text_width

_TEXT_SIZE = 14
_BAR_WIDTH = 130
_EDGE = (128, 128, 128)


class _Entry(NamedTuple):
    """What a legend shows: an image of `line` pixels height at most, and a text beside it."""

    key: Image.Image
    text: str


def legend_strip(
    classes: Sequence[str],
    width: int,
    *,
    present: Sequence[int] | None = None,
    palette: Palette | Sequence[Colour] = "safe",
    bar: str | None = None,
) -> RgbImage:
    """Names of classes beside their colours, on as many lines as they need.

    Args:
        classes: names without background.
        width: of the strip, in pixels.
        present: class indices to show (255: undecided); None: all classes.
        palette: see `palette_colours`.
        bar: what is drawn as a heat map in the colour map "inferno"; a colour bar with this name is added.

    Returns:
        uint8 (h, width, 3) RGB; names too long for the width are shortened with an ellipsis.

    Raises:
        ValueError: a class index has no name.
    """
    indices = list(range(1, len(classes) + 1)) if present is None else list(present)
    colours = palette_colours(palette)
    entries = []
    for index in indices:
        if index != IGNORE_INDEX and not 1 <= index <= len(classes):
            raise ValueError(f"class index {index} has no name among {len(classes)} classes")
        colour = tuple(int(value) for value in colours[index])
        name = "undecided" if index == IGNORE_INDEX else classes[index - 1]
        entries.append(_Entry(_hatched() if index == IGNORE_INDEX else _swatch(colour), name))
    if bar is not None:
        entries.append(_Entry(_bar(), bar))
    return _laid_out(entries, width)


def _laid_out(entries: Sequence[_Entry], width: int) -> RgbImage:
    """The entries from left to right, on a new line where one is full."""
    line = line_height(_TEXT_SIZE) + 4
    placed: list[tuple[int, int, _Entry]] = []
    x, y = 6, 4
    for key, name in entries:
        text = shortened(name, max(1, width - 12 - key.width - 5), _TEXT_SIZE)
        needed = key.width + 5 + text_width(text, _TEXT_SIZE)
        if x > 6 and x + needed > width - 6:
            x, y = 6, y + line
        placed.append((x, y, _Entry(key, text)))
        x += needed + 12
    strip = Image.new("RGB", (width, y + line + 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for left, top, (key, text) in placed:
        # A strip narrower than a bar shows the beginning of it, and keeps its margin.
        strip.paste(key.crop((0, 0, min(key.width, max(1, width - 9)), key.height)), (left, top + 2))
        draw.text((left + key.width + 5, top), text, fill=INK, font=font(_TEXT_SIZE))
    return np.array(strip)


def _swatch(colour: tuple[int, ...]) -> Image.Image:
    swatch = Image.new("RGB", (_TEXT_SIZE, _TEXT_SIZE), _EDGE)
    swatch.paste(colour, (1, 1, _TEXT_SIZE - 1, _TEXT_SIZE - 1))
    return swatch


def _hatched() -> Image.Image:
    """The stripes of undecided pixels."""
    swatch = _swatch(UNDECIDED_LIGHT)
    for y in range(1, _TEXT_SIZE - 1):
        for x in range(1, _TEXT_SIZE - 1):
            if (x + y) // 3 % 2:
                swatch.putpixel((x, y), UNDECIDED_DARK)
    return swatch


def _bar() -> Image.Image:
    """The colours of 0 to 1, without the margin above and below them."""
    return Image.fromarray(colour_bar(_BAR_WIDTH)[3:-3])
