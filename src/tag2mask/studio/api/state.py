"""What every part of the interface shares: the project, its events, the settings of the server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tag2mask.core.record import ImageRecord
from tag2mask.studio.api.events import Events
from tag2mask.studio.project import Project

_log = logging.getLogger(__name__)


class ApiError(Exception):
    """A request that cannot be answered: status and what the page shows."""

    def __init__(self, status: int, error: str, remedy: str | None = None):
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy

    def body(self) -> dict[str, Any]:
        """`{"error": ..., "remedy"?: ...}`."""
        return {"error": self.error} | ({} if self.remedy is None else {"remedy": self.remedy})


@dataclass(slots=True)
class Studio:
    """One open project with what its server shares.

    Attributes:
        project: the project.
        events: news for open pages.
        weights: pretrained weights for suggestions and training, as `model.weights`; None: those of the settings.
        device: as in `Segmenter.from_pretrained`.
        is_ahead: load a network in the background before somebody asks for what needs it.
        closing: called when the server ends, last first.
        shared: what parts share with each other, by its name.
    """

    project: Project
    events: Events = field(default_factory=Events)
    weights: str | None = None
    device: str = "auto"
    is_ahead: bool = False
    closing: list[Callable[[], None]] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)

    def record(self, name: str) -> ImageRecord:
        """The image of a name in a request.

        Raises:
            ApiError: 404, there is none.
        """
        found = self.project.find(name)
        if found is None:
            raise ApiError(404, f"{name}: no such image in this project", "load the page again")
        return found

    def close(self) -> None:
        """End what runs in the background."""
        self.events.close()
        while self.closing:
            try:
                self.closing.pop()()
            except Exception:  # the others must end too
                _log.exception("ending a part of the studio failed")
