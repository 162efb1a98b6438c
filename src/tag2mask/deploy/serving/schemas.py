"""Bodies of the responses, as the description of the HTTP interface (OpenAPI) shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp", "application/octet-stream")
BINARY = {"schema": {"type": "string", "format": "binary"}}

_ERRORS = {
    403: "A host that this server does not answer to, or a page of another site.",
    408: "The upload took too long.",
    413: "Too many bytes or pixels.",
    415: "The content type of the body is no image.",
    422: "No readable image, or an unknown class.",
    503: "Too busy, or the answer took too long: try again after Retry-After seconds.",
}


class RunLengths(BaseModel):
    """COCO's run lengths, uncompressed: column by column, background first."""

    size: tuple[int, int]
    counts: list[int]


class Annotation(BaseModel):
    """One class of an image; `category_id` is the class index, from 1."""

    category_id: int
    category: str
    area: int
    bbox: tuple[int, int, int, int]
    iscrowd: int
    segmentation: RunLengths


class Annotations(BaseModel):
    """A mask as COCO annotations, with the probability of every class."""

    height: int
    width: int
    tag_probs: dict[str, float]
    annotations: list[Annotation]


class Problem(BaseModel):
    """What was wrong with a request."""

    detail: Any


class Model(BaseModel):
    """The network that is served."""

    classes: list[str]
    fingerprint: str
    version: str


class Health(BaseModel):
    """Whether the server works, and how busy it is."""

    status: str
    pending: int
    capacity: int


MASK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Annotations, "content": {"image/png": BINARY}, "description": "The mask."},
    **{status: {"model": Problem, "description": text} for status, text in _ERRORS.items()},
}
"""Responses to /v1/mask by status."""
