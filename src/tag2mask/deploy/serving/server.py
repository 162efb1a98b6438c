"""Serving a network until interrupted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.ending import told_to_end
from tag2mask.core.extras import require
from tag2mask.core.hosts import in_url, is_loopback, known_hosts
from tag2mask.core.listening import BACKLOG, listen
from tag2mask.core.machine import usable_cores
from tag2mask.core.outcome import RESULT
from tag2mask.core.scratch import scratch_folder, sweep
from tag2mask.deploy.serving.limits import Limits
from tag2mask.inference import Segmenter

UPLOADS = "tag2mask-serve-"
"""How the name of the temporary folder of uploads begins."""

_OTHER_FILES = 128  # libraries, logs, the network

_log = logging.getLogger(__name__)


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    limits: Limits | None = None,
    max_memory: int | str | None = None,
    allowed_hosts: Iterable[str] = (),
    request_log: bool = False,
) -> None:
    """Serve a network over HTTP until interrupted.

    Args:
        model: folder of a run, 'user/name' on the Hugging Face Hub, or an ONNX file.
        host: address to listen on; other machines cannot reach the default.
        port: 0 takes a free one.
        device: as in `Segmenter.from_pretrained`.
        limits: on size, time, queue and connections.
        max_memory: bytes that the process may take, such as "2GiB"; the workers share what the network leaves. A
            larger image's CRF works on fewer pixels where it must; an image that does not fit is answered 413.
        allowed_hosts: names by which clients reach the server, such as that of a reverse proxy; `*` for every name.
            Requests that name another host are answered 403. Loopback's names are always allowed; on another address
            every name is where this is empty.
        request_log: log method, path, status, milliseconds and bytes of every request.

    Raises:
        DataError: there is no network.
        ConfigError: the address cannot be listened on, an allowed host is no name, or `max_memory` is too little.
        MissingExtraError: what serving needs is not installed.
    """
    limits = _within_open_files(limits or Limits())
    hosts = known_hosts(host, allowed_hosts)
    uvicorn: Any = require("serve", "serving", "uvicorn", "fastapi", "prometheus_client")
    from tag2mask.deploy.serving.app import create_app

    sweep(UPLOADS)
    segmenter = Segmenter.from_pretrained(model, device=device, threads=max(1, usable_cores() // limits.parallel))
    # Compiles the dense CRF where that was not done yet, before the first client waits for it.
    segmenter.predict(np.zeros((64, 64, 3), dtype=np.uint8), segmenter.classes[:1])
    # uvicorn ends with the signal that it was sent, before any context does, unless somebody else takes it.
    with told_to_end(), scratch_folder(UPLOADS) as folder:
        app = create_app(segmenter, limits, hosts=hosts, request_log=request_log, folder=folder, max_memory=max_memory)
        sockets = listen(host, port)
        if not is_loopback(host):
            _log.warning("listening on %s: anyone who reaches this machine may use it; there is no password", host)
        shown = sockets[0].getsockname()[1]
        classes = len(segmenter.classes)
        _log.info("%s: %d classes, %d images at once, %d may wait", model, classes, limits.parallel, limits.queue)
        _log.log(RESULT, "http://%s:%d/docs describes the interface; Ctrl+C ends", in_url(host), shown)
        uvicorn.Server(server_config(app, limits)).run(sockets=sockets)


def server_config(app: Any, limits: Limits, **options: Any) -> Any:
    """Settings of uvicorn for the application of `create_app`, with the limits on connections.

    Args:
        app: the application.
        limits: those that it was built with.
        options: further settings, or others than ours.
    """
    import uvicorn

    from tag2mask.deploy.serving.connections import Connections

    connections = Connections(limits, app.state.metrics.count_closed)
    settings: dict[str, Any] = {
        "http": connections.protocol,
        "ws": "none",
        "log_level": "warning",
        "backlog": BACKLOG,
        "timeout_keep_alive": max(1, round(limits.idle_seconds)),
        "timeout_graceful_shutdown": int(limits.seconds) + 1,
        "server_header": False,
    }
    return uvicorn.Config(app, **(settings | options))


def _within_open_files(limits: Limits) -> Limits:
    """The same limits with no more connections than this process may open files, which is raised as far as may be."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return limits
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = limits.connections + limits.uploads + limits.queue + BACKLOG + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        fewer = max(1, limits.connections - (needed - hard))
        _log.warning("%d connections instead of %d: this process may open %d files", fewer, limits.connections, hard)
        limits, needed = replace(limits, connections=fewer), hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return limits
