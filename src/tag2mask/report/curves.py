"""Curves of a report."""

from __future__ import annotations

import io
from typing import Any

_LOSSES = ("tag_loss", "contrast_loss", "pixel_loss")
_COLOURS = ("#0072B2", "#009E73", "#D55E00")
_STYLES = ("-", "-.", "--")


def curves(epochs: list[dict[str, float]]) -> str:
    """Losses by epoch as SVG, without anything that a browser would fetch; empty without epochs."""
    if not epochs:
        return ""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [name for name in _LOSSES if any(name in one for one in epochs)]
    with rc_context({"svg.hashsalt": "tag2mask", "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes: Any = figure.add_subplot()
        for name, colour, style in zip(names, _COLOURS, _STYLES, strict=False):
            points = [(one["epoch"], one[name]) for one in epochs if name in one and "epoch" in one]
            label = name.replace("_", " ")
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, marker="o", markersize=3)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing = stream.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace("<svg ", '<svg role="img" aria-label="Losses by epoch; the table has the numbers" ', 1)
