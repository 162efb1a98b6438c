"""Serving until told to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.api import load
from tag2mask.core.extras import require
from tag2mask.core.machine import usable_cores
from tag2mask.deploy.serving.limits import Limits
from tag2mask.inference.onnx_predictor import OnnxPredictor
from tag2mask.inference.prediction import MaskMaker


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve a network over HTTP until interrupted.

    Args:
        model: file of `tag2mask export-model`, or folder of a run.
        host: address to listen on; the default cannot be reached from other machines.
        port: 0 takes a free one.
        limits: on size, time and queue.
        report: called with lines for people.

    Raises:
        DataError: there is no network.
        MissingExtraError: what serving needs is not installed.
    """
    limits = limits or Limits()
    uvicorn: Any = require("serve", "serving", "uvicorn", "fastapi", "prometheus_client")
    from tag2mask.deploy.serving.app import create_app

    predictor = _load(model, max(1, usable_cores() // limits.busy))
    # Compiles the dense CRF where that was not done yet, before the first client waits for it.
    predictor.predict(np.zeros((64, 64, 3), dtype=np.uint8), predictor.classes[:1])
    if host not in ("127.0.0.1", "::1", "localhost"):
        report(f"listening on {host}: whoever reaches this machine may use it; there are no passwords here")
    config = uvicorn.Config(
        create_app(predictor, limits),
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
    report(f"{model}: {len(predictor.classes)} classes, {limits.busy} at once, {limits.queue} may wait")
    report(f"http://{host}:{port}/docs describes the interface; Ctrl-C ends")
    uvicorn.Server(config).run()


def _load(model: str | Path, threads: int) -> MaskMaker:
    if Path(model).suffix.lower() == ".onnx":
        return OnnxPredictor.load(model, threads=threads)
    return load(model, device="auto")
