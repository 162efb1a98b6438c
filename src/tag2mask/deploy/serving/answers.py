"""An uploaded photograph to the body of an answer: decoding within limits, prediction, encoding."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.images.decode import image_size, read_image
from tag2mask.inference.prediction import MaskMaker, Prediction
from tag2mask.masks.palette_png import encode_mask
from tag2mask.masks.run_lengths import bounding_box, class_regions, coco_counts


class Form(StrEnum):
    """How a mask is sent: a palette PNG of class indices, or COCO's run lengths as JSON."""

    PNG = "png"
    RLE = "rle"


class TooLargeError(DataError):
    """A photograph has more pixels than the server takes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer with its media type and headers."""

    content: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def answer(
    predictor: MaskMaker,
    upload: Path,
    *,
    tags: list[str] | None,
    maybe: list[str],
    form: Form,
    max_pixels: int,
) -> Answer:
    """Segment the photograph in the file `upload`.

    Raises:
        TooLargeError: it has more than `max_pixels` pixels by its header; it is not decoded.
        DataError: it is no readable image, or a tag is unknown.
    """
    try:
        height, width = image_size(upload)
        if height * width > max_pixels:
            raise TooLargeError(f"the photograph has {width} x {height} pixels, the limit is {max_pixels:,} pixels")
        image = read_image(upload)
    except TooLargeError:
        raise
    except DataError as error:
        raise DataError(str(error).replace(str(upload), "the photograph")) from None
    prediction = predictor.predict(image, tags, maybe=maybe)
    if form is Form.PNG:
        content = encode_mask(prediction.mask, classes=len(predictor.classes))
        return Answer(content, "image/png", {"X-Class-Indices": ",".join(map(str, np.unique(prediction.mask)))})
    body = json.dumps(_run_lengths(prediction, predictor.classes), ensure_ascii=False)
    return Answer(body.encode(), "application/json")


def _run_lengths(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, Any]:
    """The mask as COCO annotations; run lengths column by column, uncompressed."""
    mask: NDArray[np.uint8] = prediction.mask
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
