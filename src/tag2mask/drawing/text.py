"""Text in drawings: font, measuring, wrapping and shortening."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import ImageFont

INK = (32, 32, 32)
PAPER = (255, 255, 255)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font at a size in pixels."""
    return ImageFont.load_default(size=size)


def line_height(size: int) -> int:
    """Distance in pixels between two lines of text."""
    return round(size * 1.35)


def text_width(text: str, size: int) -> int:
    """Width of a text in pixels, rounded up."""
    return int(np.ceil(font(size).getlength(text)))


def shortened(text: str, width: int, size: int) -> str:
    """The text, cut and ended with an ellipsis where it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}..." if text else ""


def wrapped(text: str, width: int, size: int, most: int) -> list[str]:
    """Break a text into at most `most` lines of at most `width` pixels.

    A word that is too wide is broken; text that needs more lines ends in an ellipsis.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        current = ""
        for word in paragraph.split():
            joined = f"{current} {word}" if current else word
            if text_width(joined, size) <= width:
                current = joined
                continue
            if current:
                lines.append(current)
            while text_width(word, size) > width and len(word) > 1:
                cut = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or text_width(word[:n], size) <= width)
                lines.append(word[:cut])
                word = word[cut:]
            current = word
        lines.append(current)
    if len(lines) > most:
        lines = [*lines[: most - 1], shortened(" ".join(lines[most - 1 :]), width, size)]
    return lines
