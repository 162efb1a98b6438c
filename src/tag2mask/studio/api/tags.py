"""Routes of the project, its images, their thumbnails and tags, and the classes."""

from __future__ import annotations

import json
import logging
import threading
import unicodedata
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tag2mask import __version__
from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.images.decode import image_size
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.layers import note_new_name
from tag2mask.studio.pixels import image_version, work_pixels
from tag2mask.studio.project import KEPT, Project, TagChange
from tag2mask.studio.project_file import is_colour, is_key
from tag2mask.studio.removal import without_class
from tag2mask.studio.thumbnails import SIDES, Thumbnails

_TAGS = {"present": Tag.PRESENT, "absent": Tag.ABSENT, "unknown": Tag.UNKNOWN}
_FOREVER = "private, max-age=31536000, immutable"
_ASK = "private, no-cache"
_MOST_CHANGES = 1_000_000
_GONE = 499  # the client has closed the connection

_log = logging.getLogger(__name__)


class Change(BaseModel):
    """A tag of an image; `class` is the position in the list of classes, from 0."""

    name: str
    position: int = Field(alias="class")
    value: Literal["present", "absent", "unknown"]


class Changes(BaseModel):
    """Body of `/api/tags`."""

    changes: list[Change] = Field(max_length=_MOST_CHANGES)


class NewClass(BaseModel):
    """Body of `/api/classes`."""

    name: str


class ClassChange(BaseModel):
    """Body of `PATCH /api/classes/{index}`: what is left out stays."""

    name: str | None = None
    colour: str | None = None
    key: str | None = None


def router(studio: Studio) -> APIRouter:
    """All routes of this module."""
    found = APIRouter()
    _add_project(found, studio)
    _add_pixels(found, studio)
    _add_tags(found, studio)
    _add_classes(found, studio)
    _look_for_damage(studio)
    return found


def _add_project(routes: APIRouter, studio: Studio) -> None:
    project = studio.project

    @routes.get("/api/project")
    def about() -> dict[str, Any]:
        """Classes with their numbers of images, and what the project holds."""
        return project_facts(project)

    @routes.get("/api/images")
    def images() -> Response:
        """Tags and masks of all images, as parallel arrays in the order of `names`."""
        return Response(json.dumps(image_facts(project), ensure_ascii=False, separators=(",", ":")), headers=_JSON)


_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def project_facts(project: Project) -> dict[str, Any]:
    """What `/api/project` answers."""
    states, tagged, masks = project.states(), project.tagged(), project.masks()
    classes = [
        {
            "name": one.name,
            "colour": one.colour,
            "key": one.key,
            "present": int((states[:, k] == Tag.PRESENT).sum()),
            "absent": int((states[:, k] == Tag.ABSENT).sum()),
        }
        for k, one in enumerate(project.classes)
    ]
    return {
        "name": project.root.name,
        "folder": str(project.root),
        "classes": classes,
        "images": len(project.names),
        "tagged": int(tagged.sum()),
        "kept": int((masks == KEPT).sum()),
        "run": project.run,
        "runs": project.runs(),
        "read_only": False,
        "left_out": project.left_out,
        "version": __version__,
    }


def image_facts(project: Project) -> dict[str, Any]:
    """What `/api/images` answers: parallel arrays."""
    states, tagged, masks = project.states(), project.tagged(), project.masks()
    uncertain, corrupt = project.uncertainties(), project.corrupt
    names = project.names
    return {
        "names": list(names),
        "present": [np.flatnonzero(row).tolist() for row in states == Tag.PRESENT],
        "absent": [np.flatnonzero(row).tolist() for row in states == Tag.ABSENT],
        "state": ["tagged" if one else "untagged" for one in tagged.tolist()],
        "mask": masks.tolist(),
        "uncertainty": [uncertain.get(printable(name)) for name in project.names]
        if uncertain
        else [None] * len(tagged),
        "corrupt": [name for name in names if name in corrupt] if corrupt else [],
    }


def _add_pixels(routes: APIRouter, studio: Studio) -> None:
    thumbnails = Thumbnails(studio.project.cache / "thumbs")
    studio.closing.append(thumbnails.close)

    @routes.get("/api/thumb")
    async def thumb(request: Request, name: str, side: int = Query(192, ge=1, le=SIDES[-1]), v: str = "") -> Response:
        """A JPEG of an image, its long side `side` rounded up."""
        path = studio.record(name).path

        async def is_wanted() -> bool:
            return not await request.is_disconnected()

        try:
            version = await run_in_threadpool(thumbnails.version, path, side)
            if _is_known(request, version):
                return Response(status_code=304, headers=_caching(version, v))
            made = await thumbnails.get(path, side, is_wanted)
        except DataError as error:
            raise _damaged(studio, name, error) from None
        if made is None:
            return Response(status_code=_GONE)
        return Response(made[0], media_type="image/jpeg", headers=_caching(version, v))

    @routes.get("/api/pixels")
    def pixels(request: Request, name: str, v: str = "") -> Response:
        """The image for the canvas: upright, at the work size, which the headers say."""
        path = studio.record(name).path
        try:
            version = image_version(path, "pixels")
            if _is_known(request, version):
                return Response(status_code=304, headers=_caching(version, v))
            found = work_pixels(path)
        except DataError as error:
            raise _damaged(studio, name, error) from None
        height, width = found.size
        sizes = {"X-Width": str(width), "X-Height": str(height), "X-Scale": f"{found.scale:.8g}"}
        return Response(found.content, media_type=found.media_type, headers=_caching(version, v) | sizes)


def _is_known(request: Request, version: str) -> bool:
    return f'"{version}"' in request.headers.get("if-none-match", "")


def _caching(version: str, asked: str) -> dict[str, str]:
    return {"ETag": f'"{version}"', "Cache-Control": _FOREVER if asked else _ASK}


def _damaged(studio: Studio, name: str, error: DataError) -> ApiError:
    if studio.project.note_corrupt(name, str(error)):
        studio.events.publish("project")
    return ApiError(422, str(error), "replace the file, or take it out of the folder")


def _add_tags(routes: APIRouter, studio: Studio) -> None:
    project = studio.project

    @routes.post("/api/tags")
    def change(body: Changes) -> dict[str, Any]:
        """Change tags; they are on disk when this answers."""
        changes = [TagChange(one.name, one.position, _TAGS[one.value]) for one in body.changes]
        tagged = project.set_tags(changes)
        studio.events.publish("tags", tagged=tagged)
        return {"ok": True, "tagged": tagged}


def _add_classes(routes: APIRouter, studio: Studio) -> None:
    project = studio.project

    @routes.post("/api/classes")
    def add(body: NewClass) -> dict[str, Any]:
        """Add a class behind the others."""
        made = project.add_class(unicodedata.normalize("NFC", body.name.strip()))
        studio.events.publish("project")
        return {"index": project.classes.index(made), "name": made.name, "colour": made.colour, "key": made.key}

    @routes.patch("/api/classes/{index}")
    def change(index: int, body: ClassChange) -> dict[str, Any]:
        """Give a class another name, colour or key."""
        _check_index(project, index)
        if body.colour is not None and not is_colour(body.colour.lower()):
            raise ApiError(422, f"colour {body.colour!r}: expected #rrggbb")
        if body.key is not None and not is_key(body.key.lower()):
            raise ApiError(422, f"key {body.key!r}: expected one letter or figure, or nothing")
        given = {
            "name": None if body.name is None else unicodedata.normalize("NFC", body.name.strip()),
            "colour": None if body.colour is None else body.colour.lower(),
            "key": None if body.key is None else body.key.lower(),
        }
        with project.lock:
            known = {name: value for name, value in given.items() if value is not None}
            before = project.class_names[index]
            project.change_class(index, replace(project.classes[index], **known))
            made = project.classes[index]
            if made.name != before:
                note_new_name(project, before, made.name)
        studio.events.publish("project")
        return {"index": index, "name": made.name, "colour": made.colour, "key": made.key}

    @routes.delete("/api/classes/{index}")
    def remove(index: int, force: bool = False) -> dict[str, Any]:
        """Remove a class; refused where tags or masks use it, unless `force` is true."""
        with project.lock:
            _check_index(project, index)
            tags = int((project.states()[:, index] != Tag.UNKNOWN).sum())
            masks, changed = without_class(project, index + 1)
            if (tags or masks) and not force:
                name = project.classes[index].name
                raise ApiError(
                    409,
                    f"class {name!r} is tagged present or absent in {tags} images and painted in {masks} masks",
                    "removing it drops these tags and makes its pixels background; repeat with force=true",
                )
            project.remove_class(index, changed)
        studio.events.publish("project")
        studio.events.publish("masks")
        return {"ok": True, "tags": tags, "masks": masks}


def _check_index(project: Project, index: int) -> None:
    if not 0 <= index < len(project.classes):
        raise ApiError(404, f"class {index}: there are {len(project.classes)}", "load the page again")


def _look_for_damage(studio: Studio) -> None:
    """Read the headers of all images in the background; damage behind them shows when a thumbnail is made."""
    ended = threading.Event()

    def look() -> None:
        project, new = studio.project, 0
        for name in project.names:
            if ended.is_set():
                return
            try:
                image_size(project.path(name))
            except DataError as error:
                new += project.note_corrupt(name, str(error))
        if new:
            _log.warning("images that cannot be read: %d; the page marks them", new)
            studio.events.publish("project")

    thread = threading.Thread(target=look, name="headers", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join(5)

    studio.closing.append(end)
