"""Which names a server answers to, and from which pages it takes requests.

A server that listens on loopback alone is still reached by every page that this machine's browser shows. Two headers,
which a page cannot forge, tell what sent a request:

- `Host`: a page of `http://evil.example:8000` whose name is made to point to 127.0.0.1 while it is open ("DNS
  rebinding") counts as the server's own page for the browser, but its requests name `evil.example`.
- `Sec-Fetch-Site`, or `Origin` in older browsers and without encryption: a page of another site that posts a form or a
  file. The rule is that of Go's `net/http.CrossOriginProtection`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from tag2mask.core.errors import ConfigError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ANY = "*"
"""Among the allowed hosts: every name, so that none is checked."""

ADDRESSES = "(addresses)"
"""Among the known hosts: every address in figures. No name can be made to point to another machine by it."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]\\?#]+)(?::(\d{1,5}))?", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_SHOWN = 80


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def in_url(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets.

    >>> in_url("::1"), in_url("127.0.0.1")
    ('[::1]', '127.0.0.1')
    """
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def known_hosts(bound: str, allowed: Iterable[str] = ()) -> frozenset[str] | None:
    """The names that a server answers to, beside those that mean loopback; None: to every name.

    A server that others reach answers to addresses in figures too, such as those of a load balancer's checks.

    Args:
        bound: address that it listens on.
        allowed: names it is reached by, such as that of a reverse proxy; `*` for every name.

    Raises:
        ConfigError: an allowed host is no name.
    """
    names = set()
    for given in allowed:
        if given == ANY:
            return None
        found = _split(given)
        if found is None:
            raise ConfigError(f"`allowed_hosts` {given!r}: expected a host name, such as masks.example.org")
        names.add(found[0])
    if is_loopback(bound):
        return frozenset(names | {bound.strip("[]").lower()})
    return frozenset(names | {ADDRESSES}) if names else None


class HostGuard:
    """ASGI middleware that answers 403 to requests of foreign names and of other sites' pages.

    Starlette's `TrustedHostMiddleware` is not used: it takes no IPv6 address, and knows nothing of origins.
    """

    def __init__(self, app: Application, hosts: frozenset[str] | None):
        """Guard an application.

        Args:
            app: the application.
            hosts: result of `known_hosts`.
        """
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        reason = self.refusal(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refuse(send, 403, reason)

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused, or None."""
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        # None at all is HTTP/1.0, such as the checks of a load balancer; browsers always send it.
        for host in hosts:
            if not self._is_own(host):
                return f"this server does not answer to the host {host[:_SHOWN]!r}; name it in `allowed_hosts`"
        site = next((value for name, value in headers if name == b"sec-fetch-site"), None)
        origin = next((value for name, value in headers if name == b"origin"), None)
        foreign = f"a page of another site ({(origin or site or '')[:_SHOWN]!r}) may not send requests here"
        if site in ("same-origin", "none"):
            return None
        if origin is not None:
            known = self._is_allowed(origin) or any(_same(origin, host) for host in hosts)
            return (
                None if known else f"{foreign}; if it is this server behind a proxy, name its host in `allowed_hosts`"
            )
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE
        return foreign if unsafe and site is not None else None

    def _is_own(self, host: str) -> bool:
        if self.hosts is None:
            return True
        found = _split(host)
        if found is None:
            return False
        return found[0] in self.hosts or is_loopback(found[0]) or (ADDRESSES in self.hosts and _is_address(found[0]))

    def _is_allowed(self, origin: str) -> bool:
        found = _split(origin.partition("://")[2])
        return self.hosts is not None and found is not None and found[0] in self.hosts and not is_loopback(found[0])


async def refuse(send: Send, status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer a request with an error as JSON."""
    body = json.dumps({"detail": detail}).encode()
    sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def _split(host: str) -> tuple[str, int | None] | None:
    """Name in lower case without brackets and final dot, and port; None if it is no host."""
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return None
    return found[1].strip("[]").rstrip("."), None if found[2] is None else int(found[2])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    """Whether an origin is that of the host; the scheme is not compared, since a proxy may add the encryption."""
    scheme, _, rest = origin.lower().partition("://")
    ours, theirs = _split(host), _split(rest)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return False
    return (theirs[1] or _PORTS.get(scheme)) in {ours[1] or port for port in _PORTS.values()}
