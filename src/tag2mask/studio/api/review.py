"""Routes of review: the queue, masks, drafts, predictions with other settings, and what helps to paint."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tag2mask.config.schema import CrfConfig
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.studio.api.pictures import add_pictures
from tag2mask.studio.api.shared import masks_of, network_of, preparing_of
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.layers import Layers, Mask, encode_grey
from tag2mask.studio.masks_of import MasksOf, Source
from tag2mask.studio.project import NO_MASK, Project, TagChange
from tag2mask.studio.rest import Rest

_OPENING_SECONDS = 1.5
_NOT_KEPT = {"Cache-Control": "no-store"}

Base = Annotated[str | None, Header()]
"""A header with the version that a page has changed; versions come in `X-Version`, of kept masks in `X-Kept` too."""


class Prediction(BaseModel):
    """Body of `/api/predict`; what is left out is as in the mask that is shown. `tags` null: the network decides."""

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
    if studio.is_ahead:
        _load_soon(studio)
    return routes


def _load_soon(studio: Studio) -> None:
    """Load the network of the chosen run, once the page has had time to open."""
    timer = threading.Timer(_OPENING_SECONDS, preparing_of(studio).network)
    timer.daemon = True
    timer.start()
    studio.closing.append(timer.cancel)


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
        return png(found[0], {"X-Source": found[1], "X-Kept": masks.layers.kept_version(name)})


def _add_drafts(routes: APIRouter, studio: Studio, layers: Layers) -> None:
    def news(name: str) -> dict[str, str]:
        """Tell open pages which version of a draft is there now; as a header, too."""
        version = layers.draft_version(name)
        studio.events.publish("drafts", name=name, version=version)
        return {"X-Version": version}

    @routes.get("/api/draft")
    def draft(name: str) -> Response:
        """What was painted and not kept, 255 where nothing was; 204: nothing."""
        studio.record(name)
        with studio.project.lock:
            found, version = layers.draft(name), {"X-Version": layers.draft_version(name)}
        return Response(status_code=204, headers=_NOT_KEPT | version) if found is None else png(found, version)

    @routes.put("/api/draft", status_code=204)
    async def put(request: Request, name: str, x_base: Base = None) -> Response:
        """Save what is painted; it is on disk when this answers.

        With the version that was painted on: what somebody else painted meanwhile stays, and the header `X-Joined`
        says so.
        """
        studio.record(name)
        joined = await _put(layers.put_draft, name, await request.body(), base=x_base)
        return Response(status_code=204, headers=news(name) | ({"X-Joined": "1"} if joined else {}))

    @routes.delete("/api/draft", status_code=204)
    def drop(name: str, x_base: Base = None) -> Response:
        """Forget what is painted; with a version: unless there is another now."""
        studio.record(name)
        layers.drop_draft(name, base=x_base)
        return Response(status_code=204, headers=news(name))


def _add_keeping(routes: APIRouter, studio: Studio, layers: Layers) -> None:
    @routes.post("/api/keep")
    async def keep(
        request: Request, response: Response, name: str, x_base: Base = None, x_draft: Base = None
    ) -> dict[str, Any]:
        """Keep a mask; tags that are not known yet follow from it.

        With the version of the kept mask that it corrects: one that somebody else kept meanwhile stays, this one
        becomes a draft, and the header `X-Not-Kept` says so.
        """
        studio.record(name)
        mask, is_kept = await _put(layers.keep, name, await request.body(), base=x_base, draft_base=x_draft)
        tags = await run_in_threadpool(tag_as_painted, studio.project, name, mask) if is_kept else 0
        version = response.headers["X-Version"] = layers.kept_version(name)
        studio.events.publish("masks", name=name, version=version)
        if tags:
            studio.events.publish("tags")
        if not is_kept:
            response.headers["X-Not-Kept"] = "1"
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
    def settings(name: str | None = None) -> dict[str, Any]:
        """The settings of prediction that the chosen run has; what a change of them needs of an image is prepared."""
        usual = network_of(masks).segmenting.usual(None)
        if name is not None:
            preparing_of(studio).image(studio.record(name).name)
        return {"gate": usual.gate, "crf": usual.crf.model_dump(mode="json")}

    @routes.post("/api/predict")
    def predict(body: Prediction) -> Response:
        """The mask with other tags or settings; nothing is saved."""
        studio.record(body.name)
        network = network_of(masks)
        if "tags" not in body.model_fields_set:
            usual = masks.usual_choice(body.name, network)
        else:
            usual = network.segmenting.usual(None if body.tags is None else masks.given_tags(body.tags, network))
        gate = usual.gate if body.gate is None else body.gate
        choice = replace(usual, gate=gate, crf=crf_settings(usual.crf, body.crf or {}))
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


async def _put(save: Any, name: str, content: bytes, **bases: str | None) -> Any:
    """Save what a page sends; what is wrong with it is 422."""
    try:
        return await run_in_threadpool(save, name, content, **bases)
    except DataError as error:
        raise ApiError(422, str(error)) from None
