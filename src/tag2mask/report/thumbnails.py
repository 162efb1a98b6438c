"""Images of a report: each step of the method beside the image, as data URIs with their legends."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.drawing import Colour, Palette, heatmap, overlay, palette_colours, ramp
from tag2mask.images.decode import read_image
from tag2mask.images.resize import scaled_size
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.models.checkpoint import RunFolder

_MOST_SIDE = 640
"""Long side of an image in the report at most: what is seen when it is enlarged."""
_LEAST_SIDE = 480
"""Small images are scaled up to this, so that outlines over them are thin."""
_MOST_MAPS = 4
_STOPS = 9

HATCHED = "hatched"
Key = tuple[str, str]
"""A class in a legend: its name and its colour as `#rrggbb`; `HATCHED` for undecided pixels, empty for background."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image as a data URI.

    Attributes:
        caption: what it is.
        alt: text for readers who cannot see it.
        uri: the image.
        width: in pixels.
        height: in pixels.
        legend: the classes that are in it.
        bar: colours of the values 0 to 1 of a heat map, as a list of CSS colours; empty: it is none.
    """

    caption: str
    alt: str
    uri: str
    width: int
    height: int
    legend: tuple[Key, ...] = ()
    bar: str = ""


@dataclass(slots=True)
class Steps:
    """The steps of one image, and what is not shown of them."""

    thumbnails: list[Thumbnail] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Drawings:
    """Draws images of a report in the colours of its classes."""

    def __init__(self, classes: tuple[str, ...], palette: Palette):
        self.classes = classes
        self.palette: Palette = palette
        self._colours = palette_colours(palette)

    def colour(self, position: int) -> Colour:
        """The colour of the class at a position, as in masks."""
        red, green, blue = self._colours[position + 1].tolist()
        return red, green, blue

    def image(self, caption: str, alt: str, pixels: NDArray[np.uint8]) -> Thumbnail:
        """An image, (H, W, 3) uint8, as it is."""
        height, width = pixels.shape[:2]
        return Thumbnail(caption, alt, _encoded(pixels), width, height)

    def mask(self, caption: str, alt: str, pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Thumbnail:
        """A mask of any size over an image, (H, W, 3) uint8."""
        height, width = pixels.shape[:2]
        small = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        values = [value for value in np.unique(mask).tolist() if value != BACKGROUND]
        legend = tuple(self._key(value) for value in values)
        drawn = overlay(pixels, small, palette=self.palette)
        return Thumbnail(caption, alt, _encoded(drawn), width, height, legend or (("background alone", ""),))

    def heat(
        self, caption: str, alt: str, pixels: NDArray[np.uint8], values: NDArray[np.float32], position: int | None
    ) -> Thumbnail:
        """A map (h, w) over an image, (H, W, 3) uint8: that of a class in its colour, of none in "inferno"."""
        height, width = pixels.shape[:2]
        colour = None if position is None else self.colour(position)
        steps = ramp(colour)[np.linspace(0, 255, _STOPS).round().astype(int)]
        bar = ", ".join(_hex(one) for one in steps)
        return Thumbnail(caption, alt, _encoded(heatmap(pixels, values, colour=colour)), width, height, bar=bar)

    def _key(self, value: int) -> Key:
        if value == IGNORE_INDEX:
            return "undecided", HATCHED
        name = self.classes[value - 1] if value <= len(self.classes) else f"class {value}"
        return name, _hex(self._colours[value])


def steps_of(segmenter: Segmenter, run: RunFolder, record: ImageRecord, palette: Palette) -> Steps:
    """Image, class maps, foreground prior, mask from the tags, prediction without tags and ground truth of one image.

    Raises:
        DataError: the image or one of its masks cannot be read.
    """
    image = read_image(record.path, reading=segmenter.reading)
    small = _fitted(image)
    draw, name = Drawings(segmenter.classes, palette), record.name
    steps, positions = segmenter.steps(image, record.present)
    found = Steps([draw.image("image", f"Image {name}", small)])
    for position, values in list(zip(positions.tolist(), steps.maps, strict=True))[:_MOST_MAPS]:
        label = segmenter.classes[position]
        found.thumbnails.append(
            draw.heat(f"class map: {label}", f"Class map of {label} in {name}", small, values, position)
        )
    if len(positions) > _MOST_MAPS:
        left = [segmenter.classes[position] for position in positions[_MOST_MAPS:]]
        found.notes.append(f"class maps that are not shown: {', '.join(left)}")
    prior = draw.heat("foreground prior", f"Foreground prior of {name}", small, steps.prior, None)
    found.thumbnails.append(prior)
    masks: list[tuple[str, NDArray[np.uint8]]] = []
    from_tags = mask_path(run.masks, name)
    if from_tags.is_file():
        caption = "mask, from the tags" if record.corrected is None else "mask, corrected by a person"
        masks.append((caption, read_mask(from_tags)))
    masks.append(("prediction, without tags", segmenter.predict(image).mask))
    if record.gt_mask is not None:
        if record.gt_mask.is_file():
            masks.append(("ground truth", interpret_mask(record.gt_mask, segmenter.classes).mask))
        else:
            found.notes.append(f"ground truth: there is no {record.gt_mask}")
    for caption, mask in masks:
        if mask.shape == image.shape[:2]:
            found.thumbnails.append(draw.mask(caption, f"{caption.capitalize()}, of {name}", small, mask))
        else:
            sizes = " x ".join(map(str, mask.shape[::-1])), " x ".join(map(str, image.shape[1::-1]))
            found.notes.append(f"{caption}: not shown, it has {sizes[0]} pixels and the image {sizes[1]}")
    return found


def small_overlay(run: RunFolder, record: ImageRecord, classes: tuple[str, ...], palette: Palette) -> Thumbnail | None:
    """A training image with its mask laid over; None where one of them cannot be read any more."""
    try:
        image, mask = read_image(record.path), read_mask(mask_path(run.masks, record.name))
    except DataError:
        return None
    if mask.shape != image.shape[:2]:
        return None
    return Drawings(classes, palette).mask(record.name, f"Mask of {record.name}", _fitted(image), mask)


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image, scaled down to the most or up to the least that the report shows."""
    side = max(image.shape[:2])
    times = 1 if side >= _LEAST_SIDE else min(math.ceil(_LEAST_SIDE / side), _MOST_SIDE // side)
    height, width = scaled_size((image.shape[0], image.shape[1]), min(_MOST_SIDE, times * side))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def _encoded(pixels: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    # Colours at full resolution: thin outlines would lose theirs.
    Image.fromarray(pixels).save(stream, format="JPEG", quality=78, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)
