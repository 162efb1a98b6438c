"""Wrong passwords make the next attempt wait."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from tag2mask.core.hosts import Application, Message, Receive, Scope, Send, refuse

LONGEST_SECONDS = 60.0
"""Longest wait of one address."""

_FORGOTTEN_SECONDS = 900.0
_SECONDS_BETWEEN = 0.1
_LONGEST_LINE_SECONDS = 10.0
_ADDRESSES = 1000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Visitor:
    """Attempts from one address: wrong ones in a row, when the next may be made, whether one is under way."""

    wrong: int = 0
    free: float = 0.0
    busy: bool = False


class LoginThrottle:
    """ASGI middleware that slows down attempts to log in.

    After n wrong passwords in a row from an address, the next attempt waits 2^(n - 1) seconds, at most a minute; the
    right password ends that, and so does a quarter of an hour. All addresses together have ten attempts a second. An
    address has one attempt at a time; another one is answered 429. At most 1,000 addresses are remembered. An address
    of IPv6 stands for its network (/64), of which one machine may use any.
    """

    def __init__(self, app: Application, path: str = "/login"):
        """Guard an application.

        Args:
            app: the application; it answers a right password with 200, a wrong one with 400.
            path: where passwords are posted to.
        """
        self.app = app
        self.path = path
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._next = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, at its time if it is an attempt."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].rstrip("/") != self.path:
            await self.app(scope, receive, send)
            return
        address = _address(scope)
        seconds = self._begin(address)
        if seconds is None:
            after = [(b"retry-after", str(math.ceil(LONGEST_SECONDS)).encode())]
            await refuse(send, 429, "another attempt to log in is under way; wait for it", after)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await asyncio.sleep(seconds)
            await self.app(scope, receive, noting)
        finally:
            self._end(address, status)

    def _begin(self, address: str) -> float | None:
        """Seconds until an attempt may be made, which is under way now; None if it may not be made."""
        now = time.monotonic()
        self._forget(now)
        visitor = self._visitors.get(address)
        line = max(0.0, self._next - now)
        if (visitor is not None and visitor.busy) or line > _LONGEST_LINE_SECONDS or len(self._visitors) > _ADDRESSES:
            return None
        visitor = self._visitors.setdefault(address, _Visitor())
        visitor.busy = True
        self._next = max(now, self._next) + _SECONDS_BETWEEN
        return max(line, visitor.free - now)

    def _end(self, address: str, status: int) -> None:
        visitor = self._visitors.pop(address, _Visitor())
        visitor.busy = False
        if status == 400:
            visitor.wrong += 1
            seconds = min(LONGEST_SECONDS, 2.0 ** min(visitor.wrong - 1, 10))
            visitor.free = time.monotonic() + seconds
            _log.warning(
                "wrong user name or password from %s, %d in a row; the next attempt waits %.0f s",
                *(address, visitor.wrong, seconds),
            )
        if visitor.wrong and status != 200:
            self._visitors[address] = visitor  # the newest at the end

    def _forget(self, now: float) -> None:
        """Forget addresses that have been quiet, and the oldest where there are too many."""
        for address, visitor in list(self._visitors.items()):
            if visitor.busy:
                continue
            if now - visitor.free <= _FORGOTTEN_SECONDS and len(self._visitors) < _ADDRESSES:
                break  # those behind it are newer
            del self._visitors[address]


def _address(scope: Scope) -> str:
    client = scope.get("client")
    host = str(client[0]) if client else "?"
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return host
