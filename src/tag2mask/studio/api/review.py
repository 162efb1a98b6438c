"""Routes of review: the queue, masks, drafts, predictions with other settings, and what helps to paint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tag2mask.config.schema import CrfConfig
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.studio.api.pictures import add_pictures
from tag2mask.studio.api.shared import masks_of, network_of
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.layers import Layers, Mask, encode_grey
from tag2mask.studio.masks_of import MasksOf, Source
from tag2mask.studio.project import NO_MASK, Project, TagChange
from tag2mask.studio.rest import Rest
from tag2mask.studio.segmenting import Choice

_NOT_KEPT = {"Cache-Control": "no-store"}


class Prediction(BaseModel):
    """Body of `/api/predict`; what is left out is as the run has it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    tags: list[str] | None = None
    gate: float | None = Field(None, ge=0, le=1)
    crf: dict[str, Any] | None = None


def router(studio: Studio) -> APIRouter:
    """All routes of this module."""
    routes = APIRouter()
    masks = masks_of(studio)
    _add_masks(routes, studio, masks)
    _add_drafts(routes, studio, masks.layers)
    _add_keeping(routes, studio, masks.layers)
    _add_predictions(routes, studio, masks)
    _add_rest(routes, studio, masks)
    add_pictures(routes, studio, masks)
    return routes


def _add_masks(routes: APIRouter, studio: Studio, masks: MasksOf) -> None:
    @routes.get("/api/queue")
    def queue() -> dict[str, Any]:
        """Images, those with the most uncertain mask first, and which of them are done."""
        return {"order": review_order(studio.project), "kept": masks.layers.kept_names()}

    @routes.get("/api/mask")
    def mask(name: str, source: Literal["auto", "predicted", "draft", "kept", "first"] = "auto") -> Response:
        """A mask at the work size; the header says which one it is."""
        studio.record(name)
        chosen: Source = source
        found = masks.mask(name, chosen)
        if found is None:
            raise ApiError(404, f"{name}: there is no such mask yet", "train first, or paint one")
        return png(found[0], {"X-Source": found[1]})


def _add_drafts(routes: APIRouter, studio: Studio, layers: Layers) -> None:
    @routes.get("/api/draft")
    def draft(name: str) -> Response:
        """What was painted and not kept, 255 where nothing was; 204: nothing."""
        studio.record(name)
        found = layers.draft(name)
        return Response(status_code=204, headers=_NOT_KEPT) if found is None else png(found)

    @routes.put("/api/draft", status_code=204)
    async def put(request: Request, name: str) -> Response:
        """Save what is painted; it is on disk when this answers."""
        studio.record(name)
        content = await request.body()
        await _put(layers.put_draft, name, content)
        return Response(status_code=204)

    @routes.delete("/api/draft", status_code=204)
    def drop(name: str) -> Response:
        """Forget what is painted."""
        studio.record(name)
        layers.drop_draft(name)
        return Response(status_code=204)


def _add_keeping(routes: APIRouter, studio: Studio, layers: Layers) -> None:
    @routes.post("/api/keep")
    async def keep(request: Request, name: str) -> dict[str, Any]:
        """Keep a mask; tags that are not known yet follow from it."""
        studio.record(name)
        mask = await _put(layers.keep, name, await request.body())
        tags = await run_in_threadpool(tag_as_painted, studio.project, name, mask)
        studio.events.publish("masks")
        if tags:
            studio.events.publish("tags")
        return {"kept": len(layers.kept_names()), "tags": tags}

    @routes.delete("/api/keep")
    def take_back(name: str) -> dict[str, Any]:
        """Make a kept mask a draft again."""
        studio.record(name)
        if not layers.take_back(name):
            raise ApiError(404, f"{name}: no mask of it was kept")
        studio.events.publish("masks")
        return {"kept": len(layers.kept_names())}


def _add_predictions(routes: APIRouter, studio: Studio, masks: MasksOf) -> None:
    @routes.get("/api/settings")
    def settings() -> dict[str, Any]:
        """The settings of prediction that the chosen run has."""
        usual = network_of(masks).segmenting.usual(None)
        return {"gate": usual.gate, "crf": usual.crf.model_dump(mode="json")}

    @routes.post("/api/predict")
    def predict(body: Prediction) -> Response:
        """The mask with other tags or settings; nothing is saved."""
        studio.record(body.name)
        network = network_of(masks)
        usual = network.segmenting.usual(None if body.tags is None else masks.given_tags(body.tags, network))
        choice = Choice(
            usual.tags, usual.gate if body.gate is None else body.gate, crf_settings(usual.crf, body.crf or {})
        )
        return png(masks.predict(body.name, network, choice), {"X-Source": "predicted"})


def _add_rest(routes: APIRouter, studio: Studio, masks: MasksOf) -> None:
    rest = Rest(masks, lambda: studio.events.publish("masks"))
    studio.closing.append(rest.close)

    @routes.get("/api/predictions")
    def status() -> dict[str, Any]:
        """How many images have no mask of the chosen run, and how far predicting them is."""
        return asdict(rest.status())

    @routes.post("/api/predictions", status_code=202)
    def start() -> dict[str, Any]:
        """Predict the masks that are missing, such as those of untagged images, in the background."""
        try:
            rest.start()
        except DataError as error:
            raise ApiError(409, str(error)) from None
        return asdict(rest.status())

    @routes.delete("/api/predictions")
    def stop() -> dict[str, Any]:
        """Stop; masks that are written stay."""
        rest.stop()
        return asdict(rest.status())


def review_order(project: Project) -> list[str]:
    """Images that can be read: by uncertainty, then those with another mask, then the others, each as the project."""
    uncertain, masks, corrupt = project.uncertainties(), project.masks(), project.corrupt
    names = [name for name in project.names if name not in corrupt]
    known = {name: uncertain.get(printable(name)) for name in names}

    def rank(name: str) -> tuple[int, float]:
        value = known[name]
        if value is not None:
            return 0, -value
        return (1, 0.0) if masks[project.row(name)] != NO_MASK else (2, 0.0)

    return sorted(names, key=rank)


def tag_as_painted(project: Project, name: str, mask: Mask) -> int:
    """Tag an image by its kept mask where that says more than its tags; returns how many tags have changed.

    A painted class is present. One that is not is absent where nothing was known of it and no pixel is undecided.
    """
    with project.lock:
        states = project.states()[project.row(name)]
        there = np.bincount(mask.ravel(), minlength=256) > 0
        changes = []
        for position, state in enumerate(states.tolist()):
            if there[position + 1] and state != Tag.PRESENT:
                changes.append(TagChange(name, position, Tag.PRESENT))
            elif not there[position + 1] and state == Tag.UNKNOWN and not there[IGNORE_INDEX]:
                changes.append(TagChange(name, position, Tag.ABSENT))
        if changes:
            project.set_tags(changes)
        return len(changes)


def crf_settings(usual: CrfConfig, given: dict[str, Any]) -> CrfConfig:
    """Settings of the CRF, some of them given.

    Raises:
        ApiError: 422, an unknown name or a value out of range.
    """
    try:
        return CrfConfig.model_validate({**usual.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ApiError(422, f"crf.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def png(mask: Mask, headers: dict[str, str] | None = None) -> Response:
    """A mask as an answer."""
    return Response(encode_grey(mask), media_type="image/png", headers={**_NOT_KEPT, **(headers or {})})


async def _put(save: Any, name: str, content: bytes) -> Any:
    """Save what a page sends; what is wrong with it is 422."""
    try:
        return await run_in_threadpool(save, name, content)
    except DataError as error:
        raise ApiError(422, str(error)) from None
