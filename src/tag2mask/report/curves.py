"""Curves of a report."""

from __future__ import annotations

import io
import re
from typing import Any

_LOSSES = ("tag_loss", "contrast_loss", "pixel_loss")
_COLOURS = ("#0072b2", "#009e73", "#d55e00")
_STYLES = ("-", "-.", "--")
_INK = "#123456"  # stands for the page's colour of text, which is light on a dark page
_POINTS = 10.5  # 14 CSS pixels, as the tables have


def curves(epochs: list[dict[str, float]]) -> str:
    """Losses by epoch as SVG in the page's font, without anything that a browser would fetch; empty without epochs.

    `report.css` makes the lines lighter on a dark page.
    """
    if not epochs:
        return ""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [name for name in _LOSSES if any(name in one for one in epochs)]
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
    settings: Any = {"svg.hashsalt": "tag2mask", "svg.fonttype": "none", "font.size": _POINTS, **ink}
    settings |= dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize", "axes.labelsize"), _POINTS)
    with rc_context(settings):
        figure = Figure(figsize=(4.8, 2.8), layout="constrained", facecolor="none")
        axes: Any = figure.add_subplot(facecolor="none")
        for name, colour, style in zip(names, _COLOURS, _STYLES, strict=False):
            points = [(one["epoch"], one[name]) for one in epochs if name in one and "epoch" in one]
            label = name.replace("_", " ")
            marker = "o" if len(points) < 40 else None
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, marker=marker, markersize=3)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_the_page(stream.getvalue())


def _for_the_page(drawing: str) -> str:
    """The drawing without its own fonts and colours, with a text for readers who cannot see it."""
    drawing = drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
    drawing = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", drawing)  # matplotlib before 3.10
    drawing = re.sub(r" ?font-family: [^;\"]+;?", "", drawing)
    return drawing.replace("<svg ", '<svg role="img" aria-label="Losses by epoch; the table has the numbers" ', 1)
