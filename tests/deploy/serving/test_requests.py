"""What is said of requests and to them: hosts, HEAD, the log, how long an answer will take."""

from __future__ import annotations

import http.client
import logging
import socket

import numpy as np
import pytest

from tag2mask.core.errors import ConfigError
from tag2mask.core.hosts import known_hosts
from tag2mask.core.listening import listen
from tag2mask.deploy.serving import Limits
from tag2mask.deploy.serving.app import create_app
from tag2mask.deploy.serving.pace import Pace
from tag2mask.inference import Segmenter
from tag2mask.method.memory import LEAST_CRF_PIXELS, RESERVE, crf_bytes
from tests.deploy.serving.running import PATIENCE, SlowBackend, ask, png, running
from tests.helpers import draw_shapes

IMAGE = png(draw_shapes(("disc",), seed=4)[0])


def quick() -> Segmenter:
    backend = SlowBackend()
    backend.go.set()
    return Segmenter(backend)


def status(port: int, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, IMAGE if method == "POST" else None, {"Content-Type": "image/png", **names})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_other_hosts_and_pages_are_refused() -> None:
    with running(quick(), Limits(), hosts=known_hosts("127.0.0.1", ["masks.example.org"])) as port:
        assert status(port, "GET", "/health")[0] == 200
        assert status(port, "GET", "/health", Host="masks.example.org")[0] == 200
        for path in ("/health", "/metrics", "/docs", "/v1/model", "/nothing"):
            found, body = status(port, "GET", path, Host=f"evil.example:{port}")
            assert found == 403
            assert b"does not answer to the host 'evil.example" in body
        assert status(port, "POST", "/v1/mask")[0] == 200
        assert status(port, "POST", "/v1/mask", Origin="http://evil.example")[0] == 403
        assert status(port, "POST", "/v1/mask", Sec_Fetch_Site="cross-site")[0] == 403


def test_head_is_answered_as_get_without_a_body() -> None:
    with running(quick(), Limits()) as port:
        for path in ("/health", "/v1/model", "/metrics", "/openapi.json"):
            assert status(port, "HEAD", path) == (200, b"")
        assert status(port, "HEAD", "/v1/mask")[0] == 405


def test_the_log_has_a_line_for_each_request_and_nothing_of_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tag2mask"), running(quick(), Limits(), request_log=True) as port:
        ask(port, IMAGE, "?tags=disc")
        ask(port, IMAGE, "?tags=secret-class")
        status(port, "HEAD", "/health")
        status(port, "GET", "/a%0Ab")
    lines = [record.getMessage() for record in caplog.records if "middleware" in record.name]
    words = [dict(word.split("=", 1) for word in line.split()) for line in lines]
    assert [(word["method"], word["path"], word["status"], word["received"]) for word in words] == [
        ("POST", "/v1/mask", "200", str(len(IMAGE))),
        ("POST", "/v1/mask", "422", str(len(IMAGE))),
        ("HEAD", "/health", "200", "0"),
        ("GET", "/a%0Ab", "404", "0"),
    ]
    assert int(words[0]["sent"]) > 50
    assert words[2]["sent"] == "0"
    assert "secret" not in " ".join(lines)


def test_no_log_without_the_option(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tag2mask"), running(quick(), Limits()) as port:
        ask(port, IMAGE)
    assert not [record for record in caplog.records if "middleware" in record.name]


def test_pace() -> None:
    pace = Pace(workers=2)
    pace.enter(4_000_000)
    assert pace.seconds_until_done(1_000_000) is None  # nothing is known yet
    assert pace.seconds_until_place() == 1
    pace.learn(4_000_000, 9.0)
    assert pace.seconds_until_done(20_000_000) == pytest.approx(9 / 2 + 9)  # one size tells nothing of others
    for _ in range(3):
        pace.learn(1_000_000, 3.0)
        pace.learn(4_000_000, 9.0)
    assert pace.seconds_until_done(2_000_000) == pytest.approx(9 / 2 + 5)  # 1 s an image, 2 s a megapixel
    pace.enter(1_000_000)
    assert pace.seconds_until_done(2_000_000) == pytest.approx((9 + 3) / 2 + 5)
    assert pace.seconds_until_place() == 3
    pace.leave(4_000_000)
    pace.leave(1_000_000)
    assert pace.seconds_until_done(50_000_000) is None  # where nothing waits, anything is tried


def test_pace_follows_what_it_sees() -> None:
    pace = Pace(workers=1)
    pace.enter(1_000_000)
    pace.learn(200_000, 5.0)  # the first one, slow for another reason
    for _ in range(100):
        pace.learn(200_000, 0.5)
        pace.learn(12_500_000, 13.0)
    assert pace.seconds_until_done(12_500_000) == pytest.approx(13 + 1.3, abs=0.2)
    for _ in range(100):
        pace.learn(12_500_000, 1.0)  # faster than small ones before: never below zero
    assert 0 <= (pace.seconds_until_done(200_000) or 0) < 3


def test_an_image_that_would_wait_too_long_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SlowBackend()
    monkeypatch.setattr(Pace, "seconds_until_done", lambda self, pixels: 41.2)
    with running(Segmenter(backend), Limits(seconds=30)) as port:
        found, headers, body = ask(port, IMAGE)
    assert (found, headers["retry-after"]) == (503, "12")
    assert b"an answer would take about 41 s of 30 s" in body


def test_memory_is_shared_by_the_workers_and_what_does_not_fit_is_413() -> None:
    large = png(np.zeros((3000, 4000, 3), np.uint8))
    share = RESERVE + crf_bytes(2) * LEAST_CRF_PIXELS + 10_000_000
    with running(quick(), Limits(workers=2, seconds=PATIENCE), max_memory=2 * share) as port:
        assert ask(port, IMAGE)[0] == 200
        found, _, body = ask(port, large)
        assert found == 413
        assert b"an image of 4000 x 3000 pixels needs" in body
        assert b"`max_memory`" in body
    with running(quick(), Limits(workers=1, seconds=PATIENCE), max_memory=2 * share) as port:
        assert ask(port, large)[0] == 200
    with pytest.raises(ConfigError, match="shared by 3 workers"):
        create_app(quick(), Limits(workers=3), max_memory=2 * share)


def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"`port` {port}: cannot listen there .* choose another `port`"):
            listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match="cannot listen there"):
        listen("no such name.invalid", 0)
    sockets = listen("localhost", 0)
    assert len({one.getsockname()[1] for one in sockets}) == 1
    for one in sockets:
        one.close()
