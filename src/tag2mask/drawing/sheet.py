"""Images in a table with titles and captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tag2mask.drawing.image import RgbImage, check_image
from tag2mask.drawing.legend import legend_strip
from tag2mask.drawing.palette import Colour, Palette
from tag2mask.drawing.text import INK, PAPER, font, line_height, text_width, wrapped

_CELL_GREY = (240, 240, 240)
_MARGIN, _GAP = 16, 8


def sheet(
    rows: Sequence[Sequence[RgbImage | None]],
    *,
    titles: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    cell: tuple[int, int] = (240, 320),
    text_size: int = 16,
    legend: Sequence[str] | None = None,
    present: Sequence[int] | None = None,
    bar: str | None = None,
    palette: Palette | Sequence[Colour] = "safe",
) -> RgbImage:
    """Arrange images in a table with a title above each column and a caption beside each row.

    Args:
        rows: images, uint8 (H, W, 3) of any size; None leaves the cell empty. Each is scaled to
            fit its cell whole and centred; rows may be shorter than others.
        titles: one per column; wrapped to three lines at most.
        captions: one per row; wrapped, shortened with an ellipsis only where the row is full.
        cell: height and width of a cell in pixels.
        text_size: of titles and captions, in pixels.
        legend: names of classes, shown with their colours below the table.
        present: class indices that the legend shows (255: undecided); None: all of `legend`.
        bar: name of what is drawn as a heat map; a colour bar is added to the legend.
        palette: of the legend.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: no rows, or the number of titles or captions differs from that of columns or rows.
    """
    columns = _count_columns(rows, titles, captions)
    cell_height, cell_width = cell
    left, texts = _caption_column(captions or (), cell_height, text_size)
    headings = [wrapped(title, cell_width, text_size, 3) for title in titles or ()]
    top = _MARGIN + (max(map(len, headings)) * line_height(text_size) + _GAP if headings else 0)
    canvas = Image.new(
        "RGB",
        (
            left + columns * (cell_width + _GAP) - _GAP + _MARGIN,
            top + len(rows) * (cell_height + _GAP) - _GAP + _MARGIN,
        ),
        PAPER,
    )
    for k, heading in enumerate(headings):
        x = left + k * (cell_width + _GAP)
        first = top - _GAP - len(heading) * line_height(text_size)
        _write(canvas, heading, (x, first), text_size, centred=cell_width)
    for r, row in enumerate(rows):
        y = top + r * (cell_height + _GAP)
        if texts:
            first = y + (cell_height - len(texts[r]) * line_height(text_size)) // 2
            _write(canvas, texts[r], (_MARGIN, first), text_size)
        for k, image in enumerate(row):
            _place(canvas, image, (left + k * (cell_width + _GAP), y), cell)
    table = np.array(canvas)
    if legend is None and bar is None:
        return table
    strip = legend_strip(legend or (), table.shape[1] - left - _MARGIN + 6, present=present, palette=palette, bar=bar)
    return _with_legend(table, strip, left)


def _with_legend(table: RgbImage, strip: RgbImage, left: int) -> RgbImage:
    """The table with a legend below it, flush with the images at `left`."""
    footer = np.full((strip.shape[0] + _GAP, table.shape[1], 3), 255, np.uint8)
    footer[: strip.shape[0], left - 6 : left - 6 + strip.shape[1]] = strip
    return np.concatenate([table[: _GAP - _MARGIN], footer])


def _count_columns(
    rows: Sequence[Sequence[RgbImage | None]], titles: Sequence[str] | None, captions: Sequence[str] | None
) -> int:
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a sheet needs at least one row with one image")
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
        indent = 0 if centred is None else (centred - text_width(text, size)) / 2
        position = (corner[0] + indent, corner[1] + k * line_height(size))
        draw.text(position, text, fill=INK, font=font(size))


def _caption_column(captions: Sequence[str], height: int, size: int) -> tuple[int, list[list[str]]]:
    """Left edge of the images, and the lines of each caption."""
    if not captions:
        return _MARGIN, []
    limit = 12 * size
    lines = max(1, height // line_height(size))
    texts = [wrapped(caption, limit, size, lines) for caption in captions]
    widest = max((text_width(text, size) for block in texts for text in block), default=0)
    return _MARGIN + widest + _MARGIN, texts


def _place(canvas: Image.Image, image: RgbImage | None, corner: tuple[int, int], cell: tuple[int, int]) -> None:
    x, y = corner
    height, width = cell
    canvas.paste(_CELL_GREY, (x, y, x + width, y + height))
    if image is None:
        return
    check_image(image)
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Small images, such as class maps, keep their pixels visible; large ones are averaged.
    method = Image.Resampling.NEAREST if scale >= 3 else Image.Resampling.LANCZOS
    scaled = Image.fromarray(np.ascontiguousarray(image)).resize(size, method)
    canvas.paste(scaled, (x + (width - size[0]) // 2, y + (height - size[1]) // 2))
