"""Time limits of connections: for headers, idleness and answers that nobody takes.

uvicorn has a time limit for idle connections alone, and every byte ends it: a client that sends nothing, or a byte now
and then, holds its connection for ever, and with `limit_concurrency` such clients lock all others out. ASGI middleware
comes too late, since it sees whole requests only. So the limits are in the protocol, as absolute times that no byte
extends; those for the body of an upload are in `uploads`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tag2mask.core.hosts import Receive, Scope, Send, refuse
from tag2mask.deploy.serving.limits import Limits

_YOUNG_SECONDS = 1.0
_REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class State(Enum):
    """What a connection is doing.

    Attributes:
        WAITING: for the headers of a request, some of which may be there.
        BUSY: its request is received or answered; the application has the time limits.
        LINGERING: answered before its whole request was there; many clients send all of it before they read.
        IDLE: answered, and nothing was sent since.
        CLOSING: closed, but what was sent is not taken yet.
        CLOSED: gone.
    """

    WAITING = "no request in time"
    BUSY = "busy"
    LINGERING = "refused request not ended"
    IDLE = "idle"
    CLOSING = "answer not taken"
    CLOSED = "closed"


class Connections:
    """The open connections of a server, and who has to go when there are too many."""

    def __init__(self, limits: Limits, closed: Callable[[str], None] = lambda reason: None):
        """Start without connections.

        Args:
            limits: of the server.
            closed: called with the reason whenever a connection is ended by the server.
        """
        self.limits = limits
        self.closed = closed
        self._open: set[TimedProtocol] = set()

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, **arguments: Any) -> TimedProtocol:
        """A protocol for a new connection; uvicorn's `http` setting."""
        return TimedProtocol(self, **arguments)

    def enter(self, new: TimedProtocol) -> bool:
        """Count a new connection, in place of another one if there are too many; False if none can go."""
        room = len(self._open) < self.limits.connections or self._end_one()
        self._open.add(new)
        return room

    def leave(self, gone: TimedProtocol) -> None:
        """Count a connection no more."""
        self._open.discard(gone)

    def _end_one(self) -> bool:
        """End the connection that is least likely to be of an honest client: the oldest without a request."""
        now = time.monotonic()

        def rank(one: TimedProtocol) -> tuple[int, float]:
            young = now - one.since < _YOUNG_SECONDS
            order = {State.WAITING: 3 if young else 0, State.CLOSING: 1, State.LINGERING: 1, State.IDLE: 2}
            return order[one.state], one.since

        free = [one for one in self._open if one.state is not State.BUSY]
        if not free:
            return False
        min(free, key=rank).end("too many connections")
        return True


class TimedProtocol(H11Protocol):
    """uvicorn's protocol with time limits.

    Attributes:
        state: what the connection is doing.
        since: when that began, by `time.monotonic`.
    """

    def __init__(self, book: Connections, **arguments: Any):
        super().__init__(**arguments)
        self.book = book
        self.state = State.WAITING
        self.since = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time for the headers."""
        super().connection_made(transport)
        if not self.book.enter(self):
            self.app = _too_many
        self._start(self.book.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all times."""
        self.state = State.CLOSED
        self.book.leave(self)
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was sent."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Go on after an answer."""
        super().on_response_complete()
        self._follow()

    def shutdown(self) -> None:
        """Close once the answer is sent."""
        super().shutdown()
        self._follow()

    def timeout_keep_alive_handler(self) -> None:
        """Close what is idle."""
        super().timeout_keep_alive_handler()
        self._follow()

    def pause_writing(self) -> None:
        """Start the time that the client has to take the answer."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.book.limits.write_seconds, self.end, State.CLOSING.value)

    def resume_writing(self) -> None:
        """The client took it."""
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().resume_writing()

    def end(self, reason: str) -> None:
        """Close at once, whatever was not sent yet."""
        self.book.closed(reason)
        self.book.leave(self)
        self.transport.abort()

    def _follow(self) -> None:
        """Take up the state that uvicorn's is now, with its time; one that goes on keeps its time."""
        state = self._found()
        if state is self.state or self.state is State.CLOSED:
            return
        self.state, self.since = state, time.monotonic()
        limits = self.book.limits
        seconds = {
            State.WAITING: limits.header_seconds,
            State.IDLE: limits.idle_seconds,
            State.LINGERING: limits.upload_seconds,
            State.CLOSING: limits.write_seconds,
        }
        self._start(seconds.get(state))

    def _found(self) -> State:
        if self.transport.is_closing():
            return State.CLOSING
        if self.cycle is not None and not self.cycle.response_complete:
            return State.BUSY
        if self.conn.our_state is not h11.IDLE:
            return State.LINGERING
        return State.IDLE if self.cycle is not None and not self.conn.trailing_data[0] else State.WAITING

    def _start(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._time_is_over)

    def _time_is_over(self) -> None:
        if self.state in (State.CLOSING, State.LINGERING):
            self.end(self.state.value)
            return
        if self.state is State.WAITING:
            self.book.closed(self.state.value)
            if self.conn.trailing_data[0]:  # some headers came: the client may read why it gets no answer
                self.transport.write(_REQUEST_TIMEOUT)
        self.transport.close()
        self._follow()


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer where every connection has a request of its own."""
    await refuse(send, 503, "too many connections", [(b"retry-after", b"1"), (b"connection", b"close")])
