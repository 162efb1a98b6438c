"""Names of classes beside their colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.drawing.image import RgbImage
from tag2mask.drawing.palette import UNDECIDED_GREY, Palette, palette_colours
from tag2mask.drawing.text import INK, PAPER, font, line_height, shortened, text_width

_TEXT_SIZE = 14


def legend_strip(
    classes: Sequence[str], width: int, *, present: Sequence[int] | None = None, palette: Palette = "safe"
) -> RgbImage:
    """Names of classes beside their colours, on as many lines as they need.

    Args:
        classes: names without background.
        width: of the strip, in pixels.
        present: class indices to show (255: undecided); None: all classes.
        palette: see `palette_colours`.

    Returns:
        uint8 (h, width, 3) RGB; names too long for the width are shortened with an ellipsis.

    Raises:
        ValueError: a class index has no name.
    """
    indices = list(range(1, len(classes) + 1)) if present is None else list(present)
    colours = palette_colours(palette)
    colours[IGNORE_INDEX] = UNDECIDED_GREY
    size = _TEXT_SIZE
    line = line_height(size) + 4
    placed: list[tuple[int, int, int, str]] = []
    x, y = 6, 4
    for index in indices:
        if index != IGNORE_INDEX and not 1 <= index <= len(classes):
            raise ValueError(f"class index {index} has no name among {len(classes)} classes")
        name = "undecided" if index == IGNORE_INDEX else classes[index - 1]
        text = shortened(name, max(1, width - 12 - size - 5), size)
        needed = size + 5 + text_width(text, size)
        if x > 6 and x + needed > width - 6:
            x, y = 6, y + line
        placed.append((x, y, index, text))
        x += needed + 12
    strip = Image.new("RGB", (width, y + line + 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for left, top, index, text in placed:
        box = (left, top + 2, left + size - 1, top + 1 + size)
        draw.rectangle(box, fill=tuple(int(v) for v in colours[index]), outline=(128, 128, 128))
        draw.text((left + size + 5, top), text, fill=INK, font=font(size))
    return np.array(strip)
