"""Small images of a report: each step of the method beside the image, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.drawing import Palette, heatmap, overlay
from tag2mask.images.decode import read_image
from tag2mask.images.resize import scaled_size
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.models.checkpoint import RunFolder

_SIDE = 240
_MOST_MAPS = 3


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small image as a data URI, with its caption and a text for readers who cannot see it."""

    caption: str
    alt: str
    uri: str
    width: int
    height: int


def steps_of(segmenter: Segmenter, run: RunFolder, record: ImageRecord, palette: Palette) -> list[Thumbnail]:
    """Image, class maps, foreground prior, mask from the tags, prediction without tags and ground truth of one image.

    Raises:
        DataError: the image or one of its masks cannot be read.
    """
    image = read_image(record.path)
    steps, positions = segmenter.steps(image, record.present)
    found = [_thumbnail("image", f"Image {record.name}", image)]
    for position, values in list(zip(positions, steps.maps, strict=True))[:_MOST_MAPS]:
        name = segmenter.classes[position]
        found.append(_thumbnail(f"class map: {name}", f"Class map of {name} in {record.name}", heatmap(image, values)))
    prior = heatmap(image, steps.prior)
    found.append(_thumbnail("foreground prior", f"Foreground prior of {record.name}", prior))
    masks: list[tuple[str, NDArray[np.uint8]]] = []
    from_tags = mask_path(run.masks, record.name)
    if from_tags.is_file():
        caption = "mask, from the tags" if record.corrected is None else "mask, corrected by a person"
        masks.append((caption, read_mask(from_tags)))
    masks.append(("prediction, without tags", segmenter.predict(image).mask))
    if record.gt_mask is not None and record.gt_mask.is_file():
        masks.append(("ground truth", interpret_mask(record.gt_mask, segmenter.classes).mask))
    for caption, mask in masks:
        if mask.shape == image.shape[:2]:
            alt = f"{caption} of {record.name}: {_shown(mask, segmenter.classes)}"
            found.append(_thumbnail(caption, alt, overlay(image, mask, palette=palette)))
    return found


def small_overlay(run: RunFolder, record: ImageRecord, classes: tuple[str, ...], palette: Palette) -> Thumbnail | None:
    """A training image with its mask laid over; None where one of them cannot be read any more."""
    try:
        image, mask = read_image(record.path), read_mask(mask_path(run.masks, record.name))
    except DataError:
        return None
    if mask.shape != image.shape[:2]:
        return None
    alt = f"Mask of {record.name}: {_shown(mask, classes)}"
    return _thumbnail(record.name, alt, overlay(image, mask, palette=palette))


def _shown(mask: NDArray[np.uint8], classes: tuple[str, ...]) -> str:
    """Names of the classes in a mask, for a text."""
    names = [classes[index - 1] for index in np.unique(mask).tolist() if 0 < index <= len(classes)]
    return ", ".join(names) or "background alone"


def _thumbnail(caption: str, alt: str, pixels: NDArray[np.uint8]) -> Thumbnail:
    height, width = scaled_size((pixels.shape[0], pixels.shape[1]), min(_SIDE, max(pixels.shape[:2])))
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=82)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(caption, alt, uri, width, height)
