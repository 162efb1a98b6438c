"""Pictures of masks and maps: overlays, heat maps, and sheets of them with titles and captions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.masks import voc_colours

Palette = Literal["safe", "voc"]
Picture = NDArray[np.uint8]

_INK, _PAPER, _CELL = (32, 32, 32), (255, 255, 255), (240, 240, 240)
_MARGIN, _GAP = 16, 8

# fmt: off
# Okabe and Ito, "Color Universal Design", 2008: apart for all common kinds of colour blindness.
_OKABE_ITO = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)

# Points of the map "inferno" (van der Walt and Smith, 2015): dark to light, apart without colour.
_INFERNO = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85),
    (227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164),
)
# fmt: on


def palette_colours(palette: Palette = "safe") -> Picture:
    """A colour for each mask value: uint8 (256, 3) RGB; background black, 255 whitish.

    Args:
        palette: `safe`: the first seven classes can be told apart with any common kind of colour
            blindness, the next fourteen are darker and lighter shades of them, then VOC's colours.
            `voc`: those of PASCAL VOC, as in written masks.

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


def overlay(
    image: Picture,
    mask: NDArray[Any],
    *,
    alpha: float = 0.5,
    classes: Sequence[str] | None = None,
    legend: bool = False,
    palette: Palette = "safe",
    outline: bool = True,
) -> Picture:
    """Lay a mask over its image: classes tinted, background as it is, 255 hatched in grey.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: integers (H, W), class indices or `IGNORE_INDEX`.
        alpha: strength of the tint, 0..1.
        classes: names without background, for the legend.
        legend: add a strip below with the names of the classes that occur.
        palette: see `palette_colours`.
        outline: draw the borders between classes in their full colour.

    Returns:
        uint8 (H, W, 3) RGB; with `legend` higher by the strip.

    Raises:
        ValueError: shapes do not fit, `alpha` is out of range, or a legend lacks names.
    """
    _check_image(image)
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask {mask.shape} and image {image.shape[:2]} (H, W) must have the same size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; expected 0 to 1")
    mask = mask.astype(np.uint8)
    colours = palette_colours(palette)
    colours[IGNORE_INDEX] = (224, 224, 224)
    strength = np.full(256, alpha, np.float32)
    strength[BACKGROUND] = 0
    weight = strength[mask]
    height, width = mask.shape
    hatch = np.add.outer(np.arange(height), np.arange(width)) % 8 < 3
    weight[(mask == IGNORE_INDEX) & ~hatch] *= 0.3
    if outline:
        weight[_borders(mask) & (mask != BACKGROUND)] = 1 if alpha else 0
    mixed = image * (1 - weight[..., None]) + colours[mask] * weight[..., None]
    picture: Picture = np.round(mixed).astype(np.uint8)
    if not legend:
        return picture
    if classes is None:
        raise ValueError("a legend needs the names of the classes")
    present = [int(value) for value in np.unique(mask) if value != BACKGROUND]
    return np.concatenate([picture, legend_strip(classes, width, present=present, palette=palette)])


def legend_strip(
    classes: Sequence[str], width: int, *, present: Sequence[int] | None = None, palette: Palette = "safe"
) -> Picture:
    """Names of classes beside their colours, as many lines as it takes.

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
    colours[IGNORE_INDEX] = (224, 224, 224)
    size = 14
    line = _line_height(size) + 4
    placed: list[tuple[int, int, int, str]] = []
    x, y = 6, 4
    for index in indices:
        if index != IGNORE_INDEX and not 1 <= index <= len(classes):
            raise ValueError(f"class index {index} has no name among {len(classes)} classes")
        name = "undecided" if index == IGNORE_INDEX else classes[index - 1]
        text = _shorten(name, max(1, width - 12 - size - 5), size)
        needed = size + 5 + _text_width(text, size)
        if x > 6 and x + needed > width - 6:
            x, y = 6, y + line
        placed.append((x, y, index, text))
        x += needed + 12
    strip = Image.new("RGB", (width, y + line + 2), _PAPER)
    draw = ImageDraw.Draw(strip)
    for left, top, index, text in placed:
        box = (left, top + 2, left + size - 1, top + 1 + size)
        draw.rectangle(box, fill=tuple(int(v) for v in colours[index]), outline=(128, 128, 128))
        draw.text((left + size + 5, top), text, fill=_INK, font=_font(size))
    return np.array(strip)


def heatmap(image: Picture, values: NDArray[Any], *, alpha: float = 0.6) -> Picture:
    """Lay a map over its image: dark where it is 0, light yellow where it is 1.

    Args:
        image: uint8 (H, W, 3) RGB; shown in grey below the colours.
        values: floats (h, w) in 0..1, any size: resized to the image. Values outside are clipped.
        alpha: strength of the colours, 0..1.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: shapes do not fit, or values are not finite.
    """
    _check_image(image)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a map is (h, w) with h, w > 0; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the map holds values that are not finite (nan or inf)")
    height, width = image.shape[:2]
    small = Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    points = np.linspace(0, 1, len(_INFERNO))
    table = np.array(_INFERNO, np.float64)
    colours = np.stack([np.interp(resized, points, table[:, channel]) for channel in range(3)], axis=-1)
    grey = image @ np.array([0.299, 0.587, 0.114])
    mixed = grey[..., None] * (1 - alpha) + colours * alpha
    picture: Picture = np.round(mixed).astype(np.uint8)
    return picture


def sheet(
    rows: Sequence[Sequence[Picture | None]],
    *,
    titles: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    cell: tuple[int, int] = (240, 320),
    text_size: int = 16,
    legend: Sequence[str] | None = None,
    palette: Palette = "safe",
) -> Picture:
    """Arrange pictures in a table with a title above each column and a caption beside each row.

    Args:
        rows: pictures uint8 (H, W, 3) of any size; None leaves the cell empty. Each is scaled to
            fit its cell whole and centred; rows may be shorter than others.
        titles: one per column; wrapped to three lines at most.
        captions: one per row; wrapped, shortened with an ellipsis only where the row is full.
        cell: height and width of a cell in pixels.
        text_size: of titles and captions, in pixels.
        legend: names of classes, shown with their colours below the table.
        palette: of the legend.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: no rows, or numbers of titles or captions do not fit.
    """
    columns = _count_columns(rows, titles, captions)
    cell_height, cell_width = cell
    left, texts = _caption_column(captions or (), cell_height, text_size)
    headings = [_wrap(title, cell_width, text_size, 3) for title in titles or ()]
    top = _MARGIN + (max(map(len, headings)) * _line_height(text_size) + _GAP if headings else 0)
    canvas = Image.new(
        "RGB",
        (
            left + columns * (cell_width + _GAP) - _GAP + _MARGIN,
            top + len(rows) * (cell_height + _GAP) - _GAP + _MARGIN,
        ),
        _PAPER,
    )
    for k, heading in enumerate(headings):
        x = left + k * (cell_width + _GAP)
        first = top - _GAP - len(heading) * _line_height(text_size)
        _write(canvas, heading, (x, first), text_size, centred=cell_width)
    for r, row in enumerate(rows):
        y = top + r * (cell_height + _GAP)
        if texts:
            first = y + (cell_height - len(texts[r]) * _line_height(text_size)) // 2
            _write(canvas, texts[r], (_MARGIN, first), text_size)
        for k, picture in enumerate(row):
            _place(canvas, picture, (left + k * (cell_width + _GAP), y), cell)
    table = np.array(canvas)
    if legend is None:
        return table
    strip = legend_strip(legend, table.shape[1] - left - _MARGIN + 6, palette=palette)
    footer = np.full((strip.shape[0] + _GAP, table.shape[1], 3), 255, np.uint8)
    footer[: strip.shape[0], left - 6 : left - 6 + strip.shape[1]] = strip
    return np.concatenate([table[: _GAP - _MARGIN], footer])


def _count_columns(
    rows: Sequence[Sequence[Picture | None]], titles: Sequence[str] | None, captions: Sequence[str] | None
) -> int:
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a sheet needs at least one row with one picture")
    if titles is not None and len(titles) != columns:
        raise ValueError(f"{len(titles)} titles for {columns} columns")
    if captions is not None and len(captions) != len(rows):
        raise ValueError(f"{len(captions)} captions for {len(rows)} rows")
    return columns


def _write(
    canvas: Image.Image, lines: Sequence[str], corner: tuple[int, int], size: int, centred: int | None = None
) -> None:
    """Write lines below each other from `corner` (x, y), or centred in a width from there."""
    draw = ImageDraw.Draw(canvas)
    for k, text in enumerate(lines):
        indent = 0 if centred is None else (centred - _text_width(text, size)) / 2
        position = (corner[0] + indent, corner[1] + k * _line_height(size))
        draw.text(position, text, fill=_INK, font=_font(size))


def _caption_column(captions: Sequence[str], height: int, size: int) -> tuple[int, list[list[str]]]:
    """Left edge of the pictures, and the lines of each caption."""
    if not captions:
        return _MARGIN, []
    limit = 12 * size
    lines = max(1, height // _line_height(size))
    texts = [_wrap(caption, limit, size, lines) for caption in captions]
    widest = max((_text_width(text, size) for block in texts for text in block), default=0)
    return _MARGIN + widest + _MARGIN, texts


def _place(canvas: Image.Image, picture: Picture | None, corner: tuple[int, int], cell: tuple[int, int]) -> None:
    x, y = corner
    height, width = cell
    canvas.paste(_CELL, (x, y, x + width, y + height))
    if picture is None:
        return
    _check_image(picture)
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    # Small pictures, such as class maps, keep their pixels visible; large ones are averaged.
    method = Image.Resampling.NEAREST if scale >= 3 else Image.Resampling.LANCZOS
    scaled = Image.fromarray(np.ascontiguousarray(picture)).resize(size, method)
    canvas.paste(scaled, (x + (width - size[0]) // 2, y + (height - size[1]) // 2))


def _borders(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with a neighbour (of 4) of another class: bool (H, W)."""
    border = np.zeros(mask.shape, np.bool_)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border


def _check_image(image: NDArray[Any]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"an image is uint8 (H, W, 3) with H, W > 0; got {image.dtype} {image.shape}")


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _line_height(size: int) -> int:
    return round(size * 1.35)


def _text_width(text: str, size: int) -> int:
    return int(np.ceil(_font(size).getlength(text)))


def _shorten(text: str, width: int, size: int) -> str:
    if _text_width(text, size) <= width:
        return text
    while text and _text_width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}..." if text else ""


def _wrap(text: str, width: int, size: int, most: int) -> list[str]:
    """Lines no wider than `width`; words too long are broken, lines beyond `most` shortened away."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        current = ""
        for word in paragraph.split():
            joined = f"{current} {word}" if current else word
            if _text_width(joined, size) <= width:
                current = joined
                continue
            if current:
                lines.append(current)
            while _text_width(word, size) > width and len(word) > 1:
                cut = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or _text_width(word[:n], size) <= width)
                lines.append(word[:cut])
                word = word[cut:]
            current = word
        lines.append(current)
    if len(lines) > most:
        lines = [*lines[: most - 1], _shorten(" ".join(lines[most - 1 :]), width, size)]
    return lines
