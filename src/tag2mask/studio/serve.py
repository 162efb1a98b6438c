"""Serving the studio of one project until interrupted."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tag2mask.core.ending import told_to_end
from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.core.hosts import in_url, is_loopback, known_hosts
from tag2mask.core.listening import BACKLOG, listen
from tag2mask.core.machine import return_freed_memory
from tag2mask.core.outcome import RESULT
from tag2mask.core.text import counted, printable

PORT = 7870
"""Where the studio listens where no port is given, or on the first free one behind it."""

_PORTS = 20
_LAST_SECONDS = 5  # that requests may take when the server ends

_log = logging.getLogger(__name__)


def serve_studio(
    folder: str | Path,
    *,
    tags: str | Path | None = None,
    run: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    password: str | None = None,
    allowed_hosts: Iterable[str] = (),
    weights: str | None = None,
    device: str = "auto",
    open_browser: bool = False,
) -> None:
    """Serve the page of one project until interrupted or terminated.

    Args:
        folder: of images; the project is made in its folder `tag2mask` where there is none.
        tags: as in `opening.open_project`.
        run: as in `opening.open_project`.
        host: address to listen on.
        port: 0 for any free one; None: 7870, or the first free one behind it.
        password: asked of every visitor; required unless `host` is loopback.
        allowed_hosts: names by which visitors reach the page, such as that of a reverse proxy; `*` for every name.
        weights: pretrained weights for suggestions and training, as `model.weights`; None: those of the settings.
        device: as in `Segmenter.from_pretrained`.
        open_browser: show the page in the browser of this machine, where it has a screen.

    Raises:
        ConfigError: an open address without a password, a port in use, or an allowed host that is no name.
        DataError: the project cannot be opened; another server holds it, perhaps.
        MissingExtraError: what the studio needs is not installed.
    """
    hosts = known_hosts(host, allowed_hosts)
    if not is_loopback(host) and not password:
        raise ConfigError(f"`host` {host}: anyone who reaches this machine could use the page; set `password`")
    require("studio", "the studio")
    from tag2mask.studio.api.app import create_app
    from tag2mask.studio.api.state import Studio
    from tag2mask.studio.opening import open_project

    return_freed_memory()
    # uvicorn ends with the signal that it was sent, before any context does, unless somebody else takes it.
    with told_to_end(), open_project(folder, tags=tags, run=run) as project:
        studio = Studio(project, weights=weights, device=device, is_ahead=True)
        app = create_app(studio, hosts=hosts, password=password)
        sockets = _listening(host, port)
        address = f"http://{in_url(_shown(host))}:{sockets[0].getsockname()[1]}/"
        project.write_address(address)
        images, tagged = counted(len(project.names), "images"), int(project.tagged().sum())
        _log.info("%s: %s, %d tagged, %d classes", printable(project.root), images, tagged, len(project.classes))
        for line in project.left_out[:10]:
            _log.warning("left out: %s", line)
        if len(project.left_out) > 10:
            _log.warning("left out: %d more", len(project.left_out) - 10)
        _log.log(RESULT, "open %s in a browser; Ctrl+C ends it", address)
        if open_browser and _has_screen():
            threading.Timer(1.0, webbrowser.open, (address,)).start()
        _server(app, studio).run(sockets=sockets)


def _server(app: Any, studio: Any) -> Any:
    """A server of uvicorn that ends the streams of events first, for which it would wait."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            studio.events.close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        ws="none",
        log_level="warning",
        backlog=BACKLOG,
        timeout_graceful_shutdown=_LAST_SECONDS,
        server_header=False,
    )
    return Server(config)


def _listening(host: str, port: int | None) -> list[socket.socket]:
    if port is not None:
        return listen(host, port)
    for choice in range(PORT, PORT + _PORTS):
        try:
            return listen(host, choice)
        except ConfigError:
            if choice == PORT + _PORTS - 1:
                raise
    raise AssertionError


def _shown(host: str) -> str:
    """A host that a browser can open: an address that means all addresses is shown as this machine's name."""
    return socket.gethostname() if host.strip("[]") in ("0.0.0.0", "::", "") else host


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
