"""Masks for CVAT, by its two ways of automatic annotation.

- A function for `cvat-cli task auto-annotate` and for CVAT's agents, which runs on a machine of one's own:
  `create` below, https://docs.cvat.ai/docs/api_sdk/sdk/auto-annotation/. `tag2mask.deploy.cvat` is the module to name
  there, its parameters are those of `create`.
- A serverless function that CVAT calls: `serverless_shapes`, used by the `main.py` that
  `tag2mask.deploy.cvat_function` writes.

Masks are CVAT's: run lengths of the bounding box, row by row, first those of pixels outside the region, then left, top,
right and bottom of the box, inclusive.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.masks.polygons import TOLERANCE, edge_polygons
from tag2mask.masks.run_lengths import RunLengthError, bounding_box, class_regions, coco_region, run_lengths

if TYPE_CHECKING:
    from tag2mask.inference import Segmenter

Shape = Literal["mask", "polygon"]

_SECONDS = 120.0
_MOST_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A class that was found in an image.

    Attributes:
        index: of the class.
        region: (H, W) bool.
        confidence: the tag classifier's probability of the class, in [0, 1].
    """

    index: int
    region: NDArray[np.bool_]
    confidence: float


class Source(Protocol):
    """What finds classes in images."""

    classes: tuple[str, ...]

    def find(self, image: Image.Image) -> Iterator[Found]:
        """The classes that have pixels, by index."""


class LocalSource:
    """A network on this machine."""

    def __init__(self, segmenter: Segmenter):
        self._segmenter = segmenter
        self.classes = segmenter.classes

    def find(self, image: Image.Image) -> Iterator[Found]:
        """Segment an image.

        Raises:
            DataError: it is none that can be read.
        """
        prediction = self._segmenter.predict(image)
        for index, region in class_regions(prediction.mask, len(self.classes)):
            yield Found(index, region, float(prediction.tag_probs[index - 1]))


class ServedSource:
    """A network behind `tag2mask serve`."""

    def __init__(self, url: str):
        """Ask a server for its classes.

        Raises:
            ConfigError: there is no such server.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"`url` {url!r}: expected the address of `tag2mask serve`, such as http://localhost:8000")
        self._url = url.rstrip("/")
        about = self._ask(urllib.request.Request(f"{self._url}/v1/model"))
        try:
            self.classes = tuple(str(name) for name in about["classes"])
        except (KeyError, TypeError):
            raise ConfigError(f"`url` {url}: answers, but not as `tag2mask serve` does; check the address") from None

    def find(self, image: Image.Image) -> Iterator[Found]:
        """Send an image as PNG, and read the answer.

        Raises:
            DataError: the server refuses the image, or answers something else.
        """
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "PNG")
        headers = {"Content-Type": "image/png"}
        answer = self._ask(urllib.request.Request(f"{self._url}/v1/mask?format=rle", stream.getvalue(), headers))
        try:
            for one in answer["annotations"]:
                region = coco_region(one["segmentation"]["counts"], (image.height, image.width))
                yield Found(int(one["category_id"]), region, float(answer["tag_probs"][one["category"]]))
        except (KeyError, TypeError, ValueError, RunLengthError) as error:
            raise DataError(f"{self._url}: an answer that is none of `tag2mask serve` ({error!r})") from None

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:
                return json.loads(response.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(2000).decode("utf-8", "replace")
            raise DataError(f"{self._url}: refused ({error.code}): {text}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ConfigError(f"`url` {self._url}: no answer of `tag2mask serve` ({reason}); is it running?") from None


class DetectionFunction:
    """A function of `cvat_sdk.auto_annotation`.

    Attributes:
        spec: the labels, with class indices as their ids.
    """

    def __init__(self, source: Source, shape: Shape = "mask", tolerance: float = TOLERANCE):
        """Take a network.

        Args:
            source: the network.
            shape: of annotations; CVAT's switch to convert masks to polygons has the last word.
            tolerance: in pixels, of polygons.

        Raises:
            MissingExtraError: CVAT's SDK is not installed.
        """
        self._cvat: Any = require("cvat", "annotating in CVAT", "cvat_sdk.auto_annotation")
        self._source = source
        self._shape = shape
        self._tolerance = tolerance
        labels = [self._cvat.label_spec(name, index, type=shape) for index, name in enumerate(source.classes, start=1)]
        self.spec = self._cvat.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Image.Image) -> Sequence[Any]:
        """Annotate an image: a mask a class, or a polygon for each part of it.

        Args:
            context: of `cvat_sdk.auto_annotation`: `conf_threshold` is compared with the probability of the class,
                `conv_mask_to_poly` asks for polygons.
            image: as CVAT shows it.
        """
        threshold = getattr(context, "conf_threshold", None) or 0.0
        is_polygon = self._shape == "polygon" or getattr(context, "conv_mask_to_poly", False)
        shapes = []
        for found in self._source.find(image):
            if found.confidence < threshold:
                continue
            if is_polygon:
                polygons = edge_polygons(found.region, self._tolerance)
                shapes += [self._cvat.polygon(found.index, polygon.ravel().tolist()) for polygon in polygons]
            else:
                shapes.append(self._cvat.mask(found.index, cvat_points(found.region)))
        return shapes


def create(
    model: str = "", url: str = "", shape: str = "mask", tolerance: float = TOLERANCE, device: str = "auto"
) -> DetectionFunction:
    """Make the function; CVAT's command line passes what follows `-p`, such as `-p model=str:runs/mine`.

    Args:
        model: folder of a run, 'user/name' on the Hugging Face Hub, or an ONNX file.
        url: instead: address of `tag2mask serve`, so that this machine needs no network.
        shape: `mask` or `polygon`; labels of a task that have a type must have this one.
        tolerance: in pixels, of polygons; 0 for exact outlines.
        device: as in `Segmenter.from_pretrained`.

    Raises:
        ConfigError: both or none of `model` and `url` are given, `shape` is another, or there is no server.
        DataError: there is no network.
        MissingExtraError: what is needed is not installed.
    """
    if shape not in ("mask", "polygon"):
        raise ConfigError(f"`shape` {shape!r}: expected 'mask' or 'polygon'")
    if bool(model) == bool(url):
        raise ConfigError("give either `model` (a run's folder or an ONNX file) or `url` (of `tag2mask serve`)")
    if url:
        return DetectionFunction(ServedSource(url), "polygon" if shape == "polygon" else "mask", tolerance)
    from tag2mask.inference import Segmenter

    source = LocalSource(Segmenter.from_pretrained(model, device=device))
    return DetectionFunction(source, "polygon" if shape == "polygon" else "mask", tolerance)


def cvat_points(region: NDArray[np.bool_]) -> list[float]:
    """`points` of a mask of CVAT.

    Args:
        region: (H, W) bool, not empty.
    """
    left, top, width, height = bounding_box(region)
    lengths = run_lengths(region[top : top + height, left : left + width].ravel())
    return [float(number) for number in (*lengths.tolist(), left, top, left + width - 1, top + height - 1)]


def image_of_request(body: object) -> Image.Image:
    """The image of a request that CVAT sends to a serverless function.

    Args:
        body: `{"image": base64, "threshold": ...}`.

    Raises:
        DataError: there is no image in it.
    """
    text = body.get("image") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise DataError('the request has no image; expected {"image": "<Base64>"}')
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
        image.load()
    except (binascii.Error, ValueError, UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"the image of the request cannot be read ({error}); expected JPEG or PNG in Base64") from None
    return image


def serverless_shapes(
    source: Source, image: Image.Image, threshold: float = 0.0, tolerance: float = TOLERANCE
) -> list[dict[str, Any]]:
    """What a serverless function answers: each part of each class, as a mask and as a polygon.

    CVAT takes one polygon for a mask where its switch "Convert masks to polygons" is on. So every connected part is an
    annotation of its own, and nothing is lost by the switch.

    Args:
        source: the network.
        image: of the request.
        threshold: classes of a smaller probability are left out.
        tolerance: in pixels, of polygons.

    Returns:
        `mask`: the pixels of the bounding box, row by row, 0 or 1, then left, top, right, bottom.
    """
    import cv2

    answer = []
    for found in source.find(image):
        if found.confidence < threshold:
            continue
        count, parts = cv2.connectedComponents(found.region.astype(np.uint8), connectivity=8)
        for part in range(1, count):
            region = parts == part
            left, top, width, height = bounding_box(region)
            bits = region[top : top + height, left : left + width].ravel().astype(np.uint8)
            [polygon] = edge_polygons(region, tolerance)
            answer.append(
                {
                    "confidence": f"{found.confidence:.4f}",
                    "label": source.classes[found.index - 1],
                    "type": "mask",
                    "points": polygon.ravel().tolist(),
                    "mask": [*bits.tolist(), left, top, left + width - 1, top + height - 1],
                }
            )
    return answer
