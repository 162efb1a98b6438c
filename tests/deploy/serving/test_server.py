"""A real server on loopback: right masks, bad uploads, limits, overload and recovery."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import Config, PredictionConfig
from tag2mask.inference.prediction import MaskMaker, Request, Scores
from tag2mask.inference.predictor import Predictor
from tests.helpers import draw_shapes

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
from tag2mask.deploy.serving import Limits  # noqa: E402
from tag2mask.deploy.serving.app import create_app  # noqa: E402

LIMITS = Limits(max_bytes=200_000, max_pixels=100_000, workers=2, queue=2, seconds=20, upload_seconds=1.0)
PICTURE = draw_shapes(("disc", "square"), seed=4)[0]


class Slow(MaskMaker):
    """Waits until it is let go, then finds background everywhere."""

    def __init__(self) -> None:
        self.classes = ("disc",)
        self.config = Config().override({"prediction.crf.enabled": False})
        self.go = threading.Event()

    def fingerprint(self) -> str:
        return "slow"

    def score(
        self, request: Request, *, settings: PredictionConfig | None = None, size: tuple[int, int] | None = None
    ) -> Scores:
        self.go.wait(20)
        probs = np.zeros((2, *request.image.shape[:2]), np.float32)
        probs[0] = 1
        return Scores(probs, np.zeros(1, np.float32))


@contextmanager
def running(predictor: MaskMaker, limits: Limits) -> Iterator[int]:
    """A server in a thread; its port."""
    config = uvicorn.Config(create_app(predictor, limits), port=0, log_level="critical", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def predictor(trained: Path) -> Predictor:
    return Predictor.load(trained, device="cpu")


@pytest.fixture(scope="module")
def port(predictor: Predictor) -> Iterator[int]:
    with running(predictor, LIMITS) as number:
        yield number


def ask(
    port: int, body: bytes = b"", query: str = "", kind: str = "image/png", *, path: str = "/v1/mask"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; POST where there is a path of masks, else GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
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


def claims(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes cannot hold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def test_the_mask_is_the_predictor_s(port: int, predictor: Predictor) -> None:
    for query, tags in (("", None), ("?tags=square", ["square"]), ("?tags=disc&tags=square", ["disc", "square"])):
        status, headers, body = ask(port, png(PICTURE), query)
        assert (status, headers["content-type"]) == (200, "image/png")
        with Image.open(io.BytesIO(body)) as image:
            mask = np.asarray(image)
        expected = predictor.predict(PICTURE, tags).mask
        assert np.array_equal(mask, expected)
        assert headers["x-class-indices"] == ",".join(map(str, np.unique(expected)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools
def test_run_lengths_are_those_of_coco(port: int, predictor: Predictor) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    status, _, body = ask(port, png(PICTURE), "?format=rle")
    assert status == 200
    found = json.loads(body)
    mask = np.zeros((found["height"], found["width"]), np.uint8)
    for annotation in found["annotations"]:
        lengths = annotation["segmentation"]
        region = coco.decode(coco.frPyObjects(lengths, *lengths["size"])).astype(bool)
        assert int(region.sum()) == annotation["area"]
        mask[region] = annotation["category_id"]
        assert annotation["category"] == predictor.classes[annotation["category_id"] - 1]
    assert np.array_equal(mask, predictor.predict(PICTURE).mask)
    assert set(found["tag_probs"]) == {"disc", "square"}


@pytest.mark.parametrize(
    ("body", "query", "kind", "status", "reason"),
    [
        (b"this is text, not a photograph", "", "image/jpeg", 422, "not an image"),
        (b"", "", "image/png", 422, "empty"),
        (png(PICTURE)[:-200], "", "image/png", 422, "truncated or damaged"),
        (claims(65_000, 65_000), "", "image/png", 422, "the limit is"),
        (claims(400, 300), "", "image/png", 413, "the limit is 100,000 pixels"),
        (claims(100, 100), "", "image/png", 422, "truncated or damaged"),
        (bytes(LIMITS.max_bytes + 1), "", "image/png", 413, "more than 200,000 bytes"),
        (png(PICTURE), "", "text/html", 415, "content type"),
        (png(PICTURE), "?tags=cat", "image/png", 422, "unknown class 'cat'"),
        (png(PICTURE), "?format=gif", "image/png", 422, "rle"),
    ],
    ids=("text", "empty", "cut", "bomb", "large", "hollow", "heavy", "page", "cat", "gif"),
)
def test_bad_requests(port: int, body: bytes, query: str, kind: str, status: int, reason: str) -> None:
    found, _, answer = ask(port, body, query, kind)
    assert found == status
    assert reason in answer.decode()
    assert "/tmp" not in answer.decode()
    assert ask(port, png(PICTURE))[0] == 200


def test_slow_and_aborted_uploads(port: int) -> None:
    head = b"POST /v1/mask HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), 20) as slow,
        socket.create_connection(("127.0.0.1", port)) as gone,
    ):
        slow.sendall(head + b"a few bytes")
        gone.sendall(head + b"a few bytes")
        gone.close()
        assert ask(port, png(PICTURE))[0] == 200
        assert b" 408 " in slow.recv(4096).splitlines()[0]
    figures = ask(port, path="/metrics")[2].decode()
    assert 'tag2mask_answers_total{status="408"} 1.0' in figures
    assert 'tag2mask_answers_total{status="499"} 1.0' in figures


def test_health_and_metrics(port: int) -> None:
    status, _, body = ask(port, path="/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "pending": 0, "capacity": 4})
    assert json.loads(ask(port, path="/v1/model")[2])["classes"] == ["disc", "square"]
    figures = ask(port, path="/metrics")[2].decode()
    assert "tag2mask_seconds_bucket" in figures
    assert "tag2mask_capacity 4.0" in figures


def test_overload_is_answered_and_recovered_from() -> None:
    slow = Slow()
    with running(slow, LIMITS) as port, ThreadPoolExecutor(10) as clients:
        answers = [clients.submit(ask, port, png(PICTURE)) for _ in range(10)]
        while sum(answer.done() for answer in answers) < 6:
            time.sleep(0.01)
        assert json.loads(ask(port, path="/health")[2])["pending"] == 4
        slow.go.set()
        codes = sorted(answer.result()[0] for answer in answers)
        assert codes == [200] * 4 + [503] * 6
        refused = next(answer.result() for answer in answers if answer.result()[0] == 503)
        assert refused[1]["retry-after"] == "1"
        assert ask(port, png(PICTURE))[0] == 200


def test_an_answer_that_takes_too_long() -> None:
    slow = Slow()
    with running(slow, Limits(workers=1, queue=1, seconds=0.3)) as port:
        status, _, body = ask(port, png(PICTURE))
        assert status == 503
        assert b"no answer within 0.3 seconds" in body
        slow.go.set()
        deadline = time.monotonic() + 10
        while json.loads(ask(port, path="/health")[2])["pending"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ask(port, png(PICTURE))[0] == 200


def test_no_request_that_fits_the_description_breaks_it(port: int) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    for operation in schema.get_all_operations():

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.ok().as_strategy())
        def check(case: object) -> None:
            assert case.call().status_code < 500  # type: ignore[attr-defined]

        check()
    assert ask(port, png(PICTURE))[0] == 200
