"""Routes of training: start, stop, progress, and what kept masks have brought."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from tag2mask.core.errors import DataError
from tag2mask.studio.api.shared import masks_of, preparing_of
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.corrections import Comparison, Corrections
from tag2mask.studio.training_process import BusyError, Trainings, Wanted, presets
from tag2mask.studio.training_status import described


class Training(BaseModel):
    """Body of `POST /api/train`."""

    model_config = ConfigDict(extra="forbid")

    preset: str = "auto"
    backbone: str | None = None
    epochs: int | None = Field(None, ge=1, le=100_000)
    minutes: float | None = None
    corrected: bool = True
    run: str | None = None


def router(studio: Studio) -> APIRouter:
    """All routes of this module."""
    routes = APIRouter()

    def notify(kind: str) -> None:
        studio.events.publish(kind)  # type: ignore[arg-type]
        if kind == "project" and studio.is_ahead:  # another run is chosen
            preparing_of(studio).network()

    trainings = Trainings(studio.project, studio.weights, studio.device, notify)
    corrections = Corrections(masks_of(studio), lambda: notify("masks"))
    trainings.watch()
    studio.closing += [trainings.close, corrections.close]

    @routes.post("/api/train", status_code=202)
    def start(body: Training) -> dict[str, Any]:
        """Start `tag2mask train` in a process of its own, or go on with a run."""
        if body.minutes is not None:
            raise ApiError(422, "minutes: a training takes a number of epochs, not minutes", "give epochs, or stop it")
        wanted = Wanted(body.preset, body.backbone or None, body.epochs, body.corrected, body.run)
        try:
            return {"run": trainings.start(wanted)}
        except BusyError as error:
            raise ApiError(409, str(error)) from None
        except DataError as error:
            raise ApiError(422, str(error)) from None

    @routes.post("/api/train/stop", status_code=202)
    def stop() -> dict[str, Any]:
        """Ask the training to stop; epochs that have ended are kept, and it can go on."""
        try:
            return {"run": trainings.stop()}
        except BusyError as error:
            raise ApiError(409, str(error)) from None

    @routes.get("/api/train")
    def progress() -> dict[str, Any]:
        """How far the last training is."""
        return {**described(trainings.status()), "presets": ["auto", *presets()]}

    @routes.get("/api/corrections")
    def compare() -> dict[str, Any]:
        """MIoU against the kept masks, before and after a run learned from them."""
        return _compared(corrections.compare())

    return routes


def _compared(found: Comparison) -> dict[str, Any]:
    return {
        "state": found.state,
        "corrected": found.corrected,
        "compared": found.compared,
        "done": found.done,
        "before": found.before,
        "after": found.after,
        "interval": found.gain,
        "interval_before": found.intervals.get("before"),
        "interval_after": found.intervals.get("after"),
        "note": found.note,
    }
