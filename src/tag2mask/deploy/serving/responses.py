"""From an uploaded image to the body of a response: decoding within limits, prediction, encoding."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.errors import DataError
from tag2mask.images.decode import TooManyPixelsError, image_size, read_image
from tag2mask.inference import Prediction, Segmenter
from tag2mask.masks.palette_png import encode_mask
from tag2mask.masks.run_lengths import bounding_box, class_regions, coco_counts


class MaskFormat(StrEnum):
    """How a mask is sent: a palette PNG of class indices, or COCO's run lengths as JSON."""

    PNG = "png"
    RLE = "rle"


@dataclass(frozen=True, slots=True)
class MaskRequest:
    """What a client asks of its image.

    Attributes:
        tags: names of the classes that are present; None: the network decides on all classes.
        unknown: beside `tags`, classes that are left to the network.
        format: of the mask.
    """

    tags: list[str] | None = None
    unknown: list[str] = field(default_factory=list)
    format: MaskFormat = MaskFormat.PNG


@dataclass(frozen=True, slots=True)
class MaskResponse:
    """The body of a response with its media type and headers."""

    content: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def checked_pixels(upload: Path, max_pixels: int, fits: Callable[[tuple[int, int]], None] | None = None) -> int:
    """Pixels of an uploaded image by its header; it is not decoded.

    Args:
        upload: file of the image.
        max_pixels: most of them.
        fits: raises `DataError` for a size (H, W) that memory cannot hold.

    Raises:
        TooManyPixelsError: they are more than `max_pixels`, than can be read at all, or than memory can hold.
        DataError: it is no readable image.
    """
    try:
        height, width = image_size(upload)
    except DataError as error:
        raise _without_path(error, upload) from None
    if height * width > max_pixels:
        raise TooManyPixelsError(f"the image has {width} x {height} pixels, the limit is {max_pixels:,} pixels")
    if fits is not None:
        try:
            fits((height, width))
        except DataError as error:
            raise TooManyPixelsError(str(error)) from None
    return height * width


def respond(segmenter: Segmenter, upload: Path, wanted: MaskRequest, *, max_memory: int | None = None) -> MaskResponse:
    """Segment an uploaded image, whose size was checked.

    Args:
        segmenter: the network.
        upload: file of the image.
        wanted: what the client asks for.
        max_memory: as in `Segmenter.predict`.

    Raises:
        TooManyPixelsError: it has more pixels than can be read.
        DataError: it is damaged, or a tag is unknown.
    """
    try:
        image = read_image(upload, reading=segmenter.reading)
    except DataError as error:
        raise _without_path(error, upload) from None
    prediction = segmenter.predict(image, wanted.tags, unknown=wanted.unknown, max_memory=max_memory)
    if wanted.format is MaskFormat.PNG:
        content = encode_mask(prediction.mask, classes=len(prediction.classes))
        return MaskResponse(content, "image/png", {"X-Class-Indices": ",".join(map(str, np.unique(prediction.mask)))})
    body = json.dumps(_annotations(prediction), ensure_ascii=False)
    return MaskResponse(body.encode(), "application/json")


def _without_path(error: DataError, upload: Path) -> DataError:
    """The same error without the path of this machine."""
    return type(error)(str(error).replace(str(upload), "the image"))


def _annotations(prediction: Prediction) -> dict[str, Any]:
    """The mask as COCO annotations; run lengths column by column, uncompressed."""
    mask, classes = prediction.mask, prediction.classes
    return {
        "height": mask.shape[0],
        "width": mask.shape[1],
        "tag_probs": {name: round(float(value), 4) for name, value in zip(classes, prediction.tag_probs, strict=True)},
        "annotations": [
            {
                "category_id": index,
                "category": classes[index - 1],
                "area": int(np.count_nonzero(region)),
                "bbox": list(bounding_box(region)),
                "iscrowd": 0,
                "segmentation": {"size": list(mask.shape), "counts": coco_counts(region)},
            }
            for index, region in class_regions(mask, len(classes))
        ],
    }
