"""Serving a network until interrupted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.extras import require
from tag2mask.core.machine import usable_cores
from tag2mask.deploy.serving.limits import Limits
from tag2mask.inference import Segmenter

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that other machines cannot reach."""

_log = logging.getLogger(__name__)


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    limits: Limits | None = None,
) -> None:
    """Serve a network over HTTP until interrupted.

    Args:
        model: folder of a run, 'user/name' on the Hugging Face Hub, or an ONNX file.
        host: address to listen on; other machines cannot reach the default.
        port: 0 takes a free one.
        device: as in `Segmenter.from_pretrained`.
        limits: on size, time and queue.

    Raises:
        DataError: there is no network.
        MissingExtraError: what serving needs is not installed.
    """
    limits = limits or Limits()
    uvicorn: Any = require("serve", "serving", "uvicorn", "fastapi", "prometheus_client")
    from tag2mask.deploy.serving.app import create_app

    segmenter = Segmenter.from_pretrained(model, device=device, threads=max(1, usable_cores() // limits.parallel))
    # Compiles the dense CRF where that was not done yet, before the first client waits for it.
    segmenter.predict(np.zeros((64, 64, 3), dtype=np.uint8), segmenter.classes[:1])
    if host not in LOOPBACK:
        _log.warning("listening on %s: anyone who reaches this machine may use it; there is no password", host)
    config = uvicorn.Config(
        create_app(segmenter, limits),
        host=host,
        port=port,
        log_level="warning",
        http="h11",
        ws="none",
        limit_concurrency=limits.connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        server_header=False,
    )
    _log.info(
        "%s: %d classes, %d images at once, %d may wait", model, len(segmenter.classes), limits.parallel, limits.queue
    )
    _log.info("http://%s:%d/docs describes the interface; Ctrl+C ends", host, port)
    uvicorn.Server(config).run()
