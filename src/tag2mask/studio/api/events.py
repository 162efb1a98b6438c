"""News for open pages, as Server-Sent Events: what changed, not the change itself; the page asks for that."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import StreamingResponse

EventType = Literal["training", "suggestions", "masks", "project", "tags", "drafts"]

_BEAT_SECONDS = 10.0
_MOST_WAITING = 256  # events of a page that does not read


class Events:
    """Passes events from any thread to every open page.

    Events that wait for a slow page are joined: of each type that carries no more than its name only one waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._is_closed = False

    def publish(self, kind: EventType, **data: Any) -> None:
        """Send an event to every open page; from any thread.

        Args:
            kind: what changed.
            data: plain JSON values beside `type`.
        """
        text = json.dumps({"type": kind, **data}, ensure_ascii=False)
        with self._lock:
            queues = list(self._queues.items())
        for queue, loop in queues:
            _call(loop, _put, queue, text)

    def close(self) -> None:
        """End every stream, so that the server can end; later streams end at once."""
        with self._lock:
            self._is_closed = True
            queues = list(self._queues.items())
        for queue, loop in queues:
            _call(loop, _put, queue, None)

    async def stream(self) -> AsyncIterator[str]:
        """Lines of Server-Sent Events for one page, with a comment now and then so that proxies keep it open."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        with self._lock:
            if self._is_closed:
                return
            self._queues[queue] = asyncio.get_running_loop()
        try:
            yield "retry: 1000\n\n: open\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _BEAT_SECONDS)
                except TimeoutError:
                    yield ": still there\n\n"
                    continue
                if text is None:
                    return
                yield f"data: {text}\n\n"
        finally:
            with self._lock:
                self._queues.pop(queue, None)


def router(events: Events) -> APIRouter:
    """The route `/api/events`."""
    found = APIRouter()

    @found.get("/api/events")
    async def stream() -> StreamingResponse:
        """Stream events until the page closes or the server ends."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events.stream(), media_type="text/event-stream", headers=headers)

    return found


def _call(loop: asyncio.AbstractEventLoop, function: Any, *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:  # the loop has ended, and its pages with it
        return


def _put(queue: asyncio.Queue[str | None], text: str | None) -> None:
    """Put an event into a queue; where it is full, the oldest goes: the page asks for all when it reads again."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(text)
