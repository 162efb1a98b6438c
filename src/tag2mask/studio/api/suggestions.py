"""Routes of suggested tags."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tag2mask.core.errors import DataError
from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.suggestions import Suggestions


def router(studio: Studio) -> APIRouter:
    """All routes of this module."""
    routes = APIRouter()

    def changed() -> None:
        studio.events.publish("suggestions")

    suggestions = Suggestions(studio.project, changed, weights=studio.weights, device=studio.device)
    studio.closing.append(suggestions.close)

    @routes.post("/api/suggestions", status_code=202)
    def start() -> dict[str, Any]:
        """Fit a probe to the tags there are; events say how far it is."""
        try:
            suggestions.start()
        except DataError as error:
            raise ApiError(409, str(error)) from None
        return {"ok": True}

    @routes.get("/api/suggestions")
    def facts() -> dict[str, Any]:
        """State, progress, images least certain first, and the probability of each class in them."""
        return suggestions.facts()

    return routes
