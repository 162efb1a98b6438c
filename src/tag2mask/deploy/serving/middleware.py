"""Layers around the application: a line of the log for each request, and HEAD."""

from __future__ import annotations

import logging
import time

from tag2mask.core.hosts import Application, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)
_LONGEST_PATH = 200


class RequestLog:
    """ASGI middleware that logs `method=POST path=/v1/mask status=200 ms=412 received=83204 sent=2211`.

    The path is as it was sent, without the query, in which the tags are. Bytes are those of the bodies. A request whose
    client is gone has the status 499.
    """

    def __init__(self, app: Application):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, received, sent = time.perf_counter(), 500, 0, 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b"")) if scope["method"] != "HEAD" else 0
            await send(message)

        try:
            await self.app(scope, counting_receive, counting_send)
        finally:
            path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:_LONGEST_PATH]
            milliseconds = 1000 * (time.perf_counter() - started)
            _log.info(
                "method=%s path=%s status=%d ms=%.0f received=%d sent=%d",
                *(scope["method"], path, status, milliseconds, received, sent),
            )


class HeadAsGet:
    """ASGI middleware that answers HEAD as GET; the server leaves out the body."""

    def __init__(self, app: Application):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
