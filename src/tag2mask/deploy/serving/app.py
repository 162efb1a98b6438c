"""The HTTP interface: paths, limits, errors and figures of one server."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from prometheus_client import generate_latest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from tag2mask import __version__
from tag2mask.core.errors import DataError
from tag2mask.deploy.serving.answers import Answer, Form, TooLargeError, answer
from tag2mask.deploy.serving.figures import Figures
from tag2mask.deploy.serving.limits import Limits
from tag2mask.deploy.serving.pool import BoundedPool, OverloadedError
from tag2mask.inference.prediction import MaskMaker

CLOSED_BY_CLIENT = 499
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_KINDS = ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp", "application/octet-stream")


class RunLengths(BaseModel):
    """COCO's run lengths, uncompressed: column by column, background first."""

    size: tuple[int, int]
    counts: list[int]


class Annotation(BaseModel):
    """One class of a photograph; `category_id` is the class index, from 1."""

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


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    reasons = {
        408: "The upload took too long.",
        413: "Too many bytes or pixels.",
        415: "The body's content type is no image.",
        422: "No readable image, or an unknown class.",
        503: "Too busy, or the answer took too long: try again after Retry-After seconds.",
    }
    return {code: {"model": Problem, "description": reasons[code]} for code in codes}


def create_app(predictor: MaskMaker, limits: Limits | None = None) -> FastAPI:
    """Build the application that serves one network.

    Args:
        predictor: the network.
        limits: on size, time and queue.
    """
    limits = limits or Limits()
    pool = BoundedPool(limits.busy, limits.queue)
    figures = Figures(pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.close()

    app = FastAPI(title="tag2mask", version=__version__, lifespan=lifespan, summary="Masks of photographs")
    model = Model(classes=list(predictor.classes), fingerprint=predictor.fingerprint(), version=__version__)

    @app.post(
        "/v1/mask",
        responses={
            200: {"model": Annotations, "content": {"image/png": _BINARY}, "description": "The mask."},
            **_problems(408, 413, 415, 422, 503),
        },
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(_KINDS, _BINARY)}},
    )
    async def mask(
        request: Request,
        tags: Annotated[
            list[str] | None, Query(description="Classes that are present; none: the network says.")
        ] = None,
        maybe: Annotated[list[str] | None, Query(description="Beside `tags`: left to the network.")] = None,
        format: Annotated[Form, Query(description="A palette PNG of class indices, or COCO run lengths.")] = Form.PNG,
    ) -> Response:
        """Segment the photograph in the body."""
        started = time.perf_counter()
        try:
            found = await _serve(request, predictor, pool, limits, tags, maybe or [], format)
            response = Response(found.content, media_type=found.media_type, headers=found.headers)
        except HTTPException as error:
            figures.count(error.status_code)
            raise
        except ClientDisconnect:
            figures.count(CLOSED_BY_CLIENT)
            return Response(status_code=CLOSED_BY_CLIENT)
        figures.count(200, time.perf_counter() - started)
        return response

    @app.get("/v1/model")
    async def about() -> Model:
        """Which network this is."""
        return model

    @app.get("/health")
    async def health() -> Health:
        """Answer whether the server works; also while it is busy."""
        return Health(status="ok", pending=pool.pending, capacity=pool.capacity)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(figures.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


async def _serve(
    request: Request,
    predictor: MaskMaker,
    pool: BoundedPool,
    limits: Limits,
    tags: list[str] | None,
    maybe: list[str],
    form: Form,
) -> Answer:
    """Receive, queue, wait; every way to fail has its status."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(
            415, f"the content type is '{kind}'; send the photograph's bytes as image/jpeg, image/png, ..."
        )
    if pool.full:  # before the upload, which would be for nothing
        raise _busy("too many photographs are waiting")
    with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
        upload = Path(folder) / "photograph"
        await _receive(request, upload, limits)
        try:
            future = pool.submit(
                answer, predictor, upload, tags=tags, maybe=maybe, form=form, max_pixels=limits.max_pixels
            )
        except OverloadedError:
            raise _busy("too many photographs are waiting") from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), limits.seconds)
        except TimeoutError:
            raise _busy(f"no answer within {limits.seconds:g} seconds") from None
        except asyncio.CancelledError:
            if future.cancelled():
                raise _busy("the server is closing") from None
            raise
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from None
        except DataError as error:
            raise HTTPException(422, str(error)) from None


async def _receive(request: Request, upload: Path, limits: Limits) -> None:
    """Write the body to a file as it comes, within the limits."""
    large = HTTPException(413, f"the upload has more than {limits.max_bytes:,} bytes")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise large
    count = 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with upload.open("wb") as file:
                async for chunk in request.stream():
                    count += len(chunk)
                    if count > limits.max_bytes:
                        raise large
                    file.write(chunk)
    except TimeoutError:
        raise HTTPException(408, f"the upload took more than {limits.upload_seconds:g} seconds") from None


def _busy(reason: str) -> HTTPException:
    return HTTPException(503, reason, headers={"Retry-After": "1"})
