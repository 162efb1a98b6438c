"""The application of the studio: routes of every part, errors as JSON, headers and guards.

A part is a module of this package with `router(studio: Studio) -> APIRouter`. It takes project, events and settings
from `studio`, raises `ApiError` or any `Tag2MaskError`, and appends to `studio.closing` what must happen when the
server ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from tag2mask import __version__
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.hosts import HostGuard
from tag2mask.studio.api import events as event_routes
from tag2mask.studio.api.guards import BodyLimit, Headers, PasswordGuard
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.logins import LoginThrottle

STATIC = Path(__file__).parents[1] / "static"
"""The page, built from `studio-web/`."""

PARTS = ("tags", "suggestions", "review", "training", "export")
"""Modules of this package with routes; one that is not there is left out."""


def create_app(studio: Studio, *, hosts: frozenset[str] | None = None, password: str | None = None) -> FastAPI:
    """Build the application of one project.

    Args:
        studio: the project, its events and settings.
        hosts: names that are answered, as `core.hosts.known_hosts` gives them; None: every name.
        password: asked of every visitor; None: none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Close the project when the server ends."""
        yield
        studio.close()

    app = FastAPI(title="tag2mask studio", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.studio = studio
    _add_errors(app)
    app.include_router(event_routes.router(studio.events))
    for name in PARTS:
        if find_spec(f"{__package__}.{name}") is not None:
            app.include_router(import_module(f"{__package__}.{name}").router(studio))
    _add_page(app)
    app.add_middleware(BodyLimit)
    if password:
        app.add_middleware(PasswordGuard, password=password, secret=studio.project.secret())
        app.add_middleware(LoginThrottle)
    app.add_middleware(HostGuard, hosts=hosts)
    app.add_middleware(Headers)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every error is `{"error": ..., "remedy"?: ...}`."""

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status)

    @app.exception_handler(Tag2MaskError)
    async def input_error(_: Request, error: Tag2MaskError) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found: list[Any] = list(error.errors())
        where = ".".join(str(part) for part in found[0]["loc"]) if found else "the request"
        what = found[0]["msg"] if found else "invalid"
        return JSONResponse({"error": f"{where}: {what}"}, 422)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, dict(error.headers or {}))


def _add_page(app: FastAPI) -> None:
    """Serve the built page; its files have no digest in their names, so browsers ask each time whether they changed."""
    if not (STATIC / "index.html").is_file():
        return

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/", StaticFiles(directory=STATIC), name="static")
