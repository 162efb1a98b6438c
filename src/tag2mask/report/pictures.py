"""Pictures of a report: each step of the method beside the photograph, and curves."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.drawing import Palette, heatmap, overlay
from tag2mask.images.decode import read_image, scaled_size
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import mask_path, read_mask
from tag2mask.models.checkpoint import RunFolder

_SIDE = 240
_MOST_MAPS = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data URI, with its caption and what it shows, for those who do not see it."""

    caption: str
    alt: str
    uri: str
    width: int
    height: int


def steps_of(predictor: Predictor, run: RunFolder, item: ImageRecord, palette: Palette) -> list[Picture]:
    """Photograph, class maps, prior, pseudo mask, prediction and human mask of one image, small."""
    image = read_image(item.path)
    steps = predictor.steps(image, item.present)
    found = [_picture("photograph", f"Photograph {item.name}", image)]
    for name, values in list(zip(steps.classes, steps.maps, strict=True))[:_MOST_MAPS]:
        found.append(_picture(f"class map: {name}", f"Where {name} is found in {item.name}", heatmap(image, values)))
    prior = heatmap(image, steps.prior)
    found.append(_picture("foreground prior", f"Where anything stands out in {item.name}", prior))
    made = mask_path(run.masks, item.name)
    masks: list[tuple[str, NDArray[np.uint8]]] = []
    if made.is_file():
        masks.append(("pseudo mask, from the tags", read_mask(made)))
    masks.append(("prediction, without tags", predictor.predict(image).mask))
    if item.gt_mask is not None and item.gt_mask.is_file():
        masks.append(("human mask", read_mask(item.gt_mask)))
    for caption, mask in masks:
        if mask.shape == image.shape[:2]:
            shows = ", ".join(predictor.classes[k - 1] for k in np.unique(mask) if 0 < k <= len(predictor.classes))
            text = f"{caption} of {item.name}: {shows or 'background alone'}"
            found.append(_picture(caption, text, overlay(image, mask, palette=palette)))
    return found


def small_overlay(run: RunFolder, item: ImageRecord, classes: tuple[str, ...], palette: Palette) -> Picture | None:
    """The mask of a training image over it; None where one of them is not there any more."""
    try:
        image, mask = read_image(item.path), read_mask(mask_path(run.masks, item.name))
    except DataError:
        return None
    if mask.shape != image.shape[:2]:
        return None
    shows = ", ".join(classes[k - 1] for k in np.unique(mask) if 0 < k <= len(classes))
    return _picture(
        item.name, f"Mask of {item.name}: {shows or 'background alone'}", overlay(image, mask, palette=palette)
    )


def _picture(caption: str, alt: str, pixels: NDArray[np.uint8]) -> Picture:
    height, width = scaled_size((pixels.shape[0], pixels.shape[1]), min(_SIDE, max(pixels.shape[:2])))
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=82)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Picture(caption, alt, uri, width, height)


def curves(epochs: list[dict[str, float]]) -> str:
    """Losses by epoch as SVG, without anything that a browser would fetch; empty without epochs."""
    if not epochs:
        return ""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [name for name in ("tag_loss", "contrast_loss", "pixel_loss") if any(name in one for one in epochs)]
    with rc_context({"svg.hashsalt": "tag2mask", "svg.fonttype": "none", "font.size": 11}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes: Any = figure.add_subplot()
        colours = ("#0072B2", "#009E73", "#D55E00")
        for name, colour, style in zip(names, colours, ("-", "-.", "--"), strict=False):
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
    return drawing.replace("<svg ", '<svg role="img" aria-label="Losses by epoch; the numbers are in the table" ', 1)
