"""Route of export: masks of the project as one file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from tag2mask.core.files import make_folder
from tag2mask.studio.api.shared import masks_of
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.exporting import export_project, masks_to_export

_TYPES = {".json": "application/json", ".zip": "application/zip"}


class Export(BaseModel):
    """Body of `/api/export`."""

    model_config = ConfigDict(extra="forbid")

    to: str
    which: Literal["all", "kept", "selection"] = "all"
    names: list[str] | None = None
    polygons: bool = False


def router(studio: Studio) -> APIRouter:
    """All routes of this module."""
    routes = APIRouter()
    layers = masks_of(studio).layers

    @routes.post("/api/export")
    def export(body: Export) -> Response:
        """The masks of all images, of those kept, or of a selection, as a file to download.

        The headers say how many images are in it, and how many were asked for but have no mask that can be read.
        """
        asked = _asked(studio, body, layers.kept_names())
        names = masks_to_export(layers, asked)
        if not names:
            what = "no mask was kept yet" if body.which == "kept" else "none of these images has a mask yet"
            raise ApiError(409, what, "train, or keep a mask, first")
        exports = make_folder(studio.project.cache / "exports")
        folder = Path(tempfile.mkdtemp(dir=exports))  # where there is room for the masks: beside them
        try:
            path, outcome = export_project(layers, names, to=body.to, folder=folder, polygons=body.polygons)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        headers = {"X-Images": str(outcome.written), "X-Left-Out": str(len(asked) - outcome.written)}
        return FileResponse(
            path,
            media_type=_TYPES[path.suffix],
            filename=path.name,
            headers={**headers, "Cache-Control": "no-store"},
            background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
        )

    shutil.rmtree(studio.project.cache / "exports", ignore_errors=True)  # of a server that was killed
    return routes


def _asked(studio: Studio, body: Export, kept: list[str]) -> list[str]:
    """Names of the images that are asked for, in the order of the project."""
    if body.which == "kept":
        return kept
    if body.which == "all":
        return list(studio.project.names)
    if not body.names:
        raise ApiError(422, "names: a selection names at least one image")
    for name in body.names:
        studio.record(name)
    return sorted(set(body.names), key=studio.project.row)
