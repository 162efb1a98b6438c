"""A real server on loopback: right masks, bad uploads, limits, overload and recovery."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.deploy.serving import Limits
from tag2mask.inference import Segmenter
from tests.deploy.serving.running import PATIENCE, SlowBackend, ask, png, running
from tests.helpers import draw_shapes

LIMITS = Limits(max_bytes=200_000, max_pixels=100_000, workers=2, queue=2, seconds=PATIENCE, upload_seconds=4.0)
IMAGE = draw_shapes(("disc", "square"), seed=4)[0]


@pytest.fixture(scope="module")
def segmenter(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained, device="cpu")


@pytest.fixture(scope="module")
def port(segmenter: Segmenter) -> Iterator[int]:
    with running(segmenter, LIMITS) as number:
        yield number


def claims(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes cannot hold."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def test_the_mask_is_that_of_predict(port: int, segmenter: Segmenter) -> None:
    for query, tags, unknown in (
        ("", None, None),
        ("?tags=square", ["square"], None),
        ("?tags=disc&tags=square", ["disc", "square"], None),
        ("?tags=disc&unknown=square", ["disc"], ["square"]),
    ):
        status, headers, body = ask(port, png(IMAGE), query)
        assert (status, headers["content-type"]) == (200, "image/png")
        with Image.open(io.BytesIO(body)) as image:
            mask = np.asarray(image)
        expected = segmenter.predict(IMAGE, tags, unknown=unknown).mask
        assert np.array_equal(mask, expected)
        assert headers["x-class-indices"] == ",".join(map(str, np.unique(expected)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools
def test_run_lengths_are_those_of_coco(port: int, segmenter: Segmenter) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    status, _, body = ask(port, png(IMAGE), "?format=rle")
    assert status == 200
    found = json.loads(body)
    mask = np.zeros((found["height"], found["width"]), np.uint8)
    for annotation in found["annotations"]:
        lengths = annotation["segmentation"]
        region = coco.decode(coco.frPyObjects(lengths, *lengths["size"])).astype(bool)
        assert int(region.sum()) == annotation["area"]
        mask[region] = annotation["category_id"]
        assert annotation["category"] == segmenter.classes[annotation["category_id"] - 1]
    assert np.array_equal(mask, segmenter.predict(IMAGE).mask)
    assert set(found["tag_probs"]) == {"disc", "square"}


@pytest.mark.parametrize(
    ("body", "query", "kind", "status", "reason"),
    [
        (b"this is text, not an image", "", "image/jpeg", 422, "not an image"),
        (b"", "", "image/png", 422, "empty"),
        (png(IMAGE)[:-200], "", "image/png", 422, "truncated or damaged"),
        (claims(65_000, 65_000), "", "image/png", 413, "the limit is"),
        (claims(400, 300), "", "image/png", 413, "the limit is 100,000 pixels"),
        (claims(100, 100), "", "image/png", 422, "truncated or damaged"),
        (bytes(LIMITS.max_bytes + 1), "", "image/png", 413, "more than 200,000 bytes"),
        (png(IMAGE), "", "text/html", 415, "content type"),
        (png(IMAGE), "?tags=cat", "image/png", 422, "unknown class 'cat'"),
        (png(IMAGE), "?format=gif", "image/png", 422, "rle"),
    ],
    ids=("text", "empty", "cut", "bomb", "large", "hollow", "heavy", "page", "cat", "gif"),
)
def test_bad_requests(port: int, body: bytes, query: str, kind: str, status: int, reason: str) -> None:
    found, _, answer = ask(port, body, query, kind)
    assert found == status
    assert reason in answer.decode()
    assert "/tmp" not in answer.decode()
    assert ask(port, png(IMAGE))[0] == 200


def test_a_parameter_that_would_be_ignored_is_refused(port: int) -> None:
    status, _, body = ask(port, png(IMAGE), "?tag=disc")
    assert status == 422
    assert b"unknown parameter 'tag'; expected format, tags, unknown" in body


def test_slow_and_aborted_uploads(port: int) -> None:
    head = b"POST /v1/mask HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as slow,
        socket.create_connection(("127.0.0.1", port)) as gone,
    ):
        slow.sendall(head + b"a few bytes")
        gone.sendall(head + b"a few bytes")
        gone.close()
        assert ask(port, png(IMAGE))[0] == 200
        assert b" 408 " in slow.recv(4096).splitlines()[0]
    metrics = ask(port, path="/metrics")[2].decode()
    assert 'tag2mask_answers_total{status="408"} 1.0' in metrics
    assert 'tag2mask_answers_total{status="499"} 1.0' in metrics


def test_health_and_metrics(port: int) -> None:
    status, _, body = ask(port, path="/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "pending": 0, "capacity": 4})
    assert json.loads(ask(port, path="/v1/model")[2])["classes"] == ["disc", "square"]
    metrics = ask(port, path="/metrics")[2].decode()
    assert "tag2mask_seconds_bucket" in metrics
    assert "tag2mask_capacity 4.0" in metrics


def test_overload_is_answered_and_recovered_from() -> None:
    slow = SlowBackend()
    with running(Segmenter(slow), LIMITS) as port, ThreadPoolExecutor(10) as clients:
        answers = [clients.submit(ask, port, png(IMAGE)) for _ in range(10)]
        while sum(answer.done() for answer in answers) < 6:
            time.sleep(0.01)
        assert json.loads(ask(port, path="/health")[2])["pending"] == 4
        slow.go.set()
        codes = sorted(answer.result()[0] for answer in answers)
        assert codes == [200] * 4 + [503] * 6
        refused = next(answer.result() for answer in answers if answer.result()[0] == 503)
        assert refused[1]["retry-after"] == "1"
        assert ask(port, png(IMAGE))[0] == 200


def test_an_answer_that_takes_too_long() -> None:
    slow = SlowBackend()
    with running(Segmenter(slow), Limits(workers=1, queue=1, seconds=0.5)) as port:
        status, _, body = ask(port, png(IMAGE))
        assert status == 503
        assert b"no answer within 0.5 seconds" in body
        slow.go.set()
        while json.loads(ask(port, path="/health")[2])["pending"]:  # pytest's time limit ends it
            time.sleep(0.02)
        while (status := ask(port, png(IMAGE))[0]) == 503:  # half a second may be short for a busy machine
            time.sleep(0.02)
        assert status == 200


def test_no_request_that_fits_the_schema_fails_in_the_server(port: int) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    for operation in schema.get_all_operations():

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.ok().as_strategy())
        def check(case: object) -> None:
            assert case.call(timeout=PATIENCE).status_code < 500  # type: ignore[attr-defined]

        check()
    assert ask(port, png(IMAGE))[0] == 200
