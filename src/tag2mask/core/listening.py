"""Sockets that a server listens on."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from tag2mask.core.errors import ConfigError

BACKLOG = 128
"""Connections that may wait to be accepted."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of a host.

    Raises:
        ConfigError: there is no such address here, or the port is in use.
    """
    sockets: list[socket.socket] = []
    try:
        name = host.strip("[]")
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            place = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
            with suppress(_NoIPv6Error):
                sockets.append(_bound(family, place, sockets))
    except OSError as error:
        for one in sockets:
            one.close()
        reason = error.strerror or error
        raise ConfigError(
            f"`host` {host}, `port` {port}: cannot listen there ({reason}); choose another `port`, or another `host`"
        ) from None
    return sockets


class _NoIPv6Error(Exception):
    """A name has an address of IPv6, but this machine has none."""


def _bound(family: int, place: tuple[Any, ...], before: list[socket.socket]) -> socket.socket:
    try:
        made = socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError:
        if family == socket.AF_INET6 and before:
            raise _NoIPv6Error from None
        raise
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is named, which `create_server` does not:
    # each answer on a connection that is used again would wait 40 ms for the visitor's acknowledgement.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
