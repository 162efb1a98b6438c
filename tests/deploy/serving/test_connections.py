"""Clients that hold connections: silent, byte by byte, reading nothing; an honest one beside them is always served."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tag2mask.deploy.serving import Limits
from tag2mask.inference import Segmenter
from tests.deploy.serving.running import PATIENCE, SlowBackend, ask, png, running
from tests.helpers import draw_shapes

LIMITS = Limits(
    workers=1,
    queue=3,
    seconds=PATIENCE,
    connections=12,
    uploads=3,
    upload_seconds=60,
    header_seconds=1,
    idle_seconds=1,
    write_seconds=1,
)
IMAGE = png(draw_shapes(("disc",), seed=4)[0])
HEAD = b"POST /v1/mask HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
UPLOAD = HEAD + b"Content-Length: 5000\r\n\r\nsome bytes"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    backend = SlowBackend()
    backend.go.set()
    with running(Segmenter(backend), LIMITS) as number:
        yield number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def ended(client: socket.socket) -> bytes:
    """What a connection is sent until the server ends it; pytest's time limit is for one that it does not end."""
    found = b""
    with suppress(ConnectionError):
        while piece := client.recv(1 << 16):
            found += piece
    return found


def drip(client: socket.socket, text: bytes) -> bytes:
    """Send a byte now and then until the server ends the connection; what it sent."""
    client.settimeout(0.05)
    found = b""
    with suppress(ConnectionError):
        for letter in text:
            client.send(bytes([letter]))
            with suppress(TimeoutError):
                piece = client.recv(4096)
                if not piece:
                    return found
                found += piece
    client.settimeout(PATIENCE)
    return found + ended(client)


def closed(port: int) -> dict[str, int]:
    """Connections that the server ended, by reason."""
    text = ask(port, path="/metrics")[2].decode()
    found = re.findall(r'tag2mask_closed_connections_total{reason="([^"]+)"} (\d+)', text)
    return {reason: int(count) for reason, count in found}


def test_more_silent_connections_than_there_may_be(port: int) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(40)]
        for index in range(10):
            silent += [stack.enter_context(connect(port)) for _ in range(5)]
            assert ask(port, IMAGE)[0] == 200, index
            assert ask(port, path="/health")[0] == 200, index
        assert [ended(client) for client in silent] == [b""] * len(silent)
    reasons = closed(port)
    assert reasons["too many connections"] >= 40
    assert reasons["no request in time"] >= 1


def test_no_byte_extends_the_time_for_headers(port: int) -> None:
    with connect(port) as client:
        assert b" 408 " in drip(client, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 10_000)
    with connect(port) as client:  # the same in a second request
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found = drip(client, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 10_000)
        assert found.count(b" 200 ") == 1
        assert found.count(b" 408 ") == 1


def test_an_idle_connection_is_closed(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended(client).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_goes_on_after_the_answer() -> None:
    backend = SlowBackend()
    with running(Segmenter(backend), Limits(upload_seconds=1)) as port, connect(port) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert drip(client, b"x" * 10_000).startswith(b"HTTP/1.1 200 ")
        assert closed(port) == {"refused request not ended": 1}


def test_answers_that_nobody_takes(port: int) -> None:
    before = closed(port).get("answer not taken", 0)
    with connect(port) as client, suppress(ConnectionError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while True:  # until the server ends it
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
    assert closed(port)["answer not taken"] == before + 1


def test_slow_uploads_make_place_for_others(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            slow = [stack.enter_context(connect(port)) for _ in range(3)]
            for client in slow:
                client.sendall(UPLOAD)
            time.sleep(1.1)  # younger ones may still become quick
            assert ask(port, IMAGE)[0] == 200
        answers = [client.recv(4096) for client in slow[:1]]
    assert b" 408 " in answers[0]
    assert b"too slow while others were waiting" in answers[0]


def test_uploads_beyond_those_that_may_be_received_at_once_are_refused_at_once(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(port)).sendall(UPLOAD)
        while True:
            status, headers, body = ask(port, IMAGE)
            if status == 503:
                break
            assert status == 200  # the server has not seen the three yet
        assert b"too many images are being received" in body
        assert headers["retry-after"] == "1"


def test_where_every_connection_has_a_request_another_one_is_told_to_come_back() -> None:
    backend = SlowBackend()
    limits = Limits(workers=1, queue=3, seconds=PATIENCE, connections=2)
    with running(Segmenter(backend), limits) as port, ExitStack() as stack:
        busy = [stack.enter_context(connect(port)) for _ in range(2)]
        for client in busy:
            client.sendall(HEAD + f"Content-Length: {len(IMAGE)}\r\n\r\n".encode() + IMAGE)
        time.sleep(2)  # a connection whose request the server has not seen yet would go
        status, headers, _ = ask(port, path="/health")
        assert status == 503
        assert headers["retry-after"] == "1"
        backend.go.set()
        for client in busy:
            assert b" 200 " in client.recv(4096)
        assert ask(port, path="/health")[0] == 200
