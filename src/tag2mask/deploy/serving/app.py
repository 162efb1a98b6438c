"""The HTTP interface of one server: paths, responses, metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from prometheus_client import generate_latest
from starlette.requests import ClientDisconnect

from tag2mask import __version__
from tag2mask.core.errors import ConfigError
from tag2mask.core.hosts import HostGuard
from tag2mask.deploy.serving.limits import Limits
from tag2mask.deploy.serving.metrics import Metrics
from tag2mask.deploy.serving.middleware import HeadAsGet, RequestLog
from tag2mask.deploy.serving.pace import Pace
from tag2mask.deploy.serving.pool import BoundedPool
from tag2mask.deploy.serving.responses import MaskFormat, MaskRequest
from tag2mask.deploy.serving.schemas import BINARY, IMAGE_TYPES, MASK_RESPONSES, Health, Model
from tag2mask.deploy.serving.uploads import Desk, Uploads
from tag2mask.inference import Segmenter
from tag2mask.inference.memory import memory_bound
from tag2mask.method.memory import parse_bytes

CLOSED_BY_CLIENT = 499

_Tags = Annotated[
    list[str] | None, Query(description="Classes that are present; none: the network decides on all classes.")
]
_Unknown = Annotated[list[str] | None, Query(description="Beside `tags`: classes that are left to the network.")]
_Format = Annotated[MaskFormat, Query(description="A palette PNG of class indices, or COCO run lengths.")]
_PARAMETERS = {"tags", "unknown", "format"}
_BODY = {"requestBody": {"required": True, "content": dict.fromkeys(IMAGE_TYPES, BINARY)}}


def create_app(
    segmenter: Segmenter,
    limits: Limits | None = None,
    *,
    hosts: frozenset[str] | None = None,
    request_log: bool = False,
    folder: Path | None = None,
    max_memory: int | str | None = None,
) -> FastAPI:
    """Build the application that serves one network.

    Args:
        segmenter: the network.
        limits: on size, time and queue; those on connections are not the application's, see `connections`.
        hosts: names that are answered, as `known_hosts` gives them; None: every name.
        request_log: log every request.
        folder: for the files of uploads while they are received; None: the system's for temporary files.
        max_memory: bytes that the process may take, such as "2GiB"; the workers share what the network leaves.

    Returns:
        The application; `app.state.metrics` are its metrics.

    Raises:
        ConfigError: `max_memory` is no amount, or too little for the network and an image for each worker.
    """
    limits = limits or Limits()
    share = _share(segmenter, max_memory, limits.parallel)
    pool = BoundedPool(limits.parallel, limits.queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Close the pool when the server ends."""
        yield
        pool.close()

    app = FastAPI(title="tag2mask", version=__version__, lifespan=lifespan, summary="Masks of images")
    metrics = app.state.metrics = Metrics(pool)
    _add_mask(app, Desk(segmenter, limits, pool, Pace(limits.parallel), Uploads(limits), folder, share), metrics)
    _add_status(app, segmenter, pool, metrics)
    app.add_middleware(HeadAsGet)
    app.add_middleware(HostGuard, hosts=hosts)
    if request_log:
        app.add_middleware(RequestLog)
    return app


def _share(segmenter: Segmenter, max_memory: int | str | None, workers: int) -> int | None:
    """Bytes for the network and the image of one of the workers."""
    if max_memory is None:
        return None
    own = segmenter.backend.own_bytes
    share = own + (parse_bytes(max_memory) - own) // workers
    try:
        memory_bound(segmenter.backend, segmenter.config.prediction, share)
    except ConfigError as error:
        raise ConfigError(f"{error} (`max_memory` {max_memory} is shared by {workers} workers)") from None
    return share


def _add_mask(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    @app.post("/v1/mask", responses=MASK_RESPONSES, response_class=Response, openapi_extra=_BODY)
    async def mask(
        request: Request, tags: _Tags = None, unknown: _Unknown = None, format: _Format = MaskFormat.PNG
    ) -> Response:
        """Segment the image in the body."""
        started = time.perf_counter()
        try:
            _refuse_unknown(request)
            found = await desk.segment(request, MaskRequest(tags, unknown or [], format))
            response = Response(found.content, media_type=found.media_type, headers=found.headers)
        except HTTPException as error:
            metrics.count(error.status_code)
            raise
        except ClientDisconnect:
            metrics.count(CLOSED_BY_CLIENT)
            return Response(status_code=CLOSED_BY_CLIENT)
        metrics.count(200, time.perf_counter() - started)
        return response


def _refuse_unknown(request: Request) -> None:
    """Refuse parameters that would be ignored: a misspelt `tags` would give a mask of whatever the network finds."""
    if strange := sorted(set(request.query_params) - _PARAMETERS):
        known = ", ".join(sorted(_PARAMETERS))
        raise HTTPException(422, f"unknown parameter '{strange[0]}'; expected {known}")


def _add_status(app: FastAPI, segmenter: Segmenter, pool: BoundedPool, metrics: Metrics) -> None:
    about = Model(classes=list(segmenter.classes), fingerprint=segmenter.fingerprint(), version=__version__)

    @app.get("/v1/model")
    async def model() -> Model:
        """Tell which network is served."""
        return about

    @app.get("/health")
    async def health() -> Health:
        """Tell whether the server works; it answers also while it is busy."""
        return Health(status="ok", pending=pool.pending, capacity=pool.capacity)

    @app.get("/metrics", name="metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")
