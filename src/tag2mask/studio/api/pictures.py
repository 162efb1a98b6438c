"""Routes of what is looked at beside the mask: steps of the method, class maps, superpixels."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import cv2
import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from PIL import Image
from starlette.responses import Response

from tag2mask.drawing import Colour, overlay
from tag2mask.studio.api.shared import network_of
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.layers import encode_grey
from tag2mask.studio.masks_of import MasksOf, Network
from tag2mask.studio.pixels import image_version
from tag2mask.studio.recent import Recent
from tag2mask.studio.segmenting import Drawing
from tag2mask.studio.superpixels import MOST_SEGMENTS, superpixels

_NOT_KEPT = {"Cache-Control": "no-store"}
_USUAL_COUNT = 600
_REMEMBERED = 16
_QUALITY = 88


def add_pictures(routes: APIRouter, studio: Studio, masks: MasksOf) -> None:
    """Add the routes."""
    segments: Recent[tuple[str, int], bytes] = Recent(_REMEMBERED)

    @routes.get("/api/steps")
    def steps(name: str) -> dict[str, list[dict[str, str]]]:
        """Captions of the steps from the network to the mask, and where their drawings are."""
        studio.record(name)
        found = _drawings(masks, name, network_of(masks))
        urls = [f"/api/step?{urlencode({'name': name, 'k': k})}" for k in range(len(found))]
        return {"steps": [{"caption": one[1], "url": url} for one, url in zip(found, urls, strict=True)]}

    @routes.get("/api/step")
    def step(name: str, k: int = Query(ge=0)) -> Response:
        """The drawing of a step."""
        studio.record(name)
        found = _drawings(masks, name, network_of(masks))
        if k >= len(found):
            raise ApiError(404, f"step {k}: there are {len(found)}", "ask for the steps again: tags have changed")
        stream = io.BytesIO()
        Image.fromarray(found[k][0]).save(stream, format="JPEG", quality=_QUALITY)
        return Response(stream.getvalue(), media_type="image/jpeg", headers=_NOT_KEPT)

    @routes.get("/api/class-map")
    def class_map(name: str, position: int = Query(alias="class", ge=0)) -> Response:
        """The class map of a class at the work size, 0 to 255 for 0 to 1."""
        studio.record(name)
        if position >= len(studio.project.classes):
            raise ApiError(404, f"class {position}: there are {len(studio.project.classes)}", "load the page again")
        network = network_of(masks)
        wanted = network.link.of_project[position]
        in_run = network.link.name_in_run(wanted)
        if in_run is None:
            raise ApiError(409, f"{wanted!r}: this class was added after the run was trained", "train again")
        values = network.segmenting.class_map(masks.image(name), in_run)
        return Response(encode_grey(values), media_type="image/png", headers=_NOT_KEPT)

    @routes.get("/api/superpixels")
    def cut(name: str, count: int = Query(_USUAL_COUNT, ge=1, le=MOST_SEGMENTS)) -> Response:
        """Number of each pixel's segment at the work size, a 16-bit grey PNG."""
        path = studio.record(name).path

        def compute() -> bytes:
            return _encoded(superpixels(masks.image(name).pixels, count))

        content = segments.get_or_compute((image_version(path, "superpixels"), count), compute)
        return Response(content, media_type="image/png", headers=_NOT_KEPT)


def _drawings(masks: MasksOf, name: str, network: Network) -> list[Drawing]:
    """Drawings of the steps for the tags of an image, or those that the network finds, with their captions."""
    image, choice, segmenting = masks.image(name), masks.usual_choice(name, network), network.segmenting
    before = network.link.to_project(segmenting.without_crf(image, choice))
    after = masks.predicted(name)
    probs = dict(zip(segmenting.classes, segmenting.tag_probs(image, choice).tolist(), strict=True))
    tags = choice.tags
    if tags is None:
        tags = tuple(one for one, value in probs.items() if value >= 0.5)
    colours = [_rgb(one.colour) for one in masks.project.classes]
    drawings = [
        *segmenting.steps(image, tags, probs),
        (overlay(image.pixels, before, palette=colours), "before the CRF"),
    ]
    return drawings if after is None else [*drawings, (overlay(image.pixels, after, palette=colours), "after the CRF")]


def _rgb(colour: str) -> Colour:
    """A colour from `#rrggbb`."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _encoded(values: NDArray[np.uint16]) -> bytes:
    _, content = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return content.tobytes()
