"""A real server on loopback in a thread, a network that waits, and requests."""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import Config
from tag2mask.inference import Segmenter
from tag2mask.method.output import Array, NetworkOutput

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
from tag2mask.deploy.serving import Limits  # noqa: E402
from tag2mask.deploy.serving.app import create_app  # noqa: E402
from tag2mask.deploy.serving.server import server_config  # noqa: E402

PATIENCE = 120  # seconds on a busy machine


class SlowBackend:
    """Waits until it may go on, then finds background everywhere."""

    classes: tuple[str, ...] = ("disc",)
    config = Config().override({"prediction.crf.enabled": False, "prediction.scales": [1.0], "prediction.flip": False})
    input_multiple = 32
    has_contrast = False
    own_bytes = 0

    def __init__(self) -> None:
        self.go = threading.Event()

    def fingerprint(self) -> str:
        return "slow"

    def run(self, images: NDArray[np.uint8], *, median: Array | None = None) -> list[NetworkOutput]:
        self.go.wait(PATIENCE)
        grid = (images.shape[1] // 8, images.shape[2] // 8)
        pixel_logits = np.stack([np.full(grid, 9, np.float32), np.zeros(grid, np.float32)])
        return [NetworkOutput(np.zeros(1, np.float32), pixel_logits, None, (), None, None)] * len(images)

    def contrast_features(self, images: NDArray[np.uint8]) -> Array:
        raise NotImplementedError


@contextmanager
def running(segmenter: Segmenter, limits: Limits, **options: Any) -> Iterator[int]:
    """A server in a thread; its port."""
    app = create_app(segmenter, limits, **options)
    server = uvicorn.Server(server_config(app, limits, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def ask(
    port: int, body: bytes = b"", query: str = "", kind: str = "image/png", *, path: str = "/v1/mask"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; POST where there is a path of masks, else GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        if path == "/v1/mask":
            connection.request("POST", path + query, body, {"Content-Type": kind})
        else:
            connection.request("GET", path)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
