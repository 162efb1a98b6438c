"""Requests of rebound names and of other sites' pages are refused, honest ones pass."""

from __future__ import annotations

from typing import Any

import pytest

from tag2mask.core.errors import ConfigError
from tag2mask.core.hosts import HostGuard, in_url, is_loopback, known_hosts


async def _never(*_: Any) -> None:
    raise AssertionError


def refusal(
    headers: dict[str, str], *, bound: str = "127.0.0.1", allowed: tuple[str, ...] = (), method: str = "POST"
) -> str | None:
    guard = HostGuard(_never, known_hosts(bound, allowed))
    listed = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return guard.refusal({"type": "http", "method": method, "headers": listed})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.3.2.1", "[::1]:7860", "localhost.", "[::ffff:127.0.0.1]:1"],
)
def test_names_of_loopback_are_answered(host: str) -> None:
    assert refusal({"Host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]"),
        *(
            "",
            "127.0.0.1@evil.example",
            "evil.example#127.0.0.1",
            "[::1",
            "a b",
            "127.0.0.1:port",
            "k\xe4fer",
            "0.0.0.0",
        ),
        *("localhost:8000:9000", "localhost/evil.example", "2130706433", "localhost,evil.example"),
    ],
)
def test_other_names_are_refused_on_loopback(host: str) -> None:
    for bound in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        reason = refusal({"Host": host}, bound=bound, method="GET")
        assert reason is not None
        assert "`allowed_hosts`" in reason


def test_every_one_of_several_hosts_counts() -> None:
    guard = HostGuard(_never, known_hosts("127.0.0.1"))
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert guard.refusal({"type": "http", "method": "GET", "headers": headers}) is not None


def test_allowed_hosts() -> None:
    for host in ("masks.example.org", "Masks.Example.org:443", "localhost"):
        assert refusal({"Host": host}, allowed=("masks.example.org",)) is None
        assert refusal({"Host": host}, bound="0.0.0.0", allowed=("masks.example.org:443",)) is None
    assert refusal({"Host": "evil.example"}, bound="0.0.0.0", allowed=("masks.example.org",)) is not None
    assert refusal({"Host": "10.0.0.7:8000"}, bound="0.0.0.0", allowed=("masks.example.org",)) is None
    assert refusal({"Host": "evil.example"}, bound="0.0.0.0") is None
    assert refusal({"Host": "evil.example"}, allowed=("*",)) is None
    assert refusal({}) is None  # HTTP/1.0; no browser does that
    for wrong in ("https://masks.example.org", "a b", ""):
        with pytest.raises(ConfigError, match="`allowed_hosts`"):
            known_hosts("127.0.0.1", [wrong])


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:7860"}, True),
        ({"Origin": "https://127.0.0.1:7860"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://evil.example:7860"}, False),
        ({"Origin": "http://127.0.0.1:8000"}, False),
        ({"Origin": "http://127.0.0.1"}, False),
        ({"Origin": "http://localhost:7860"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://masks.example.org"}, True),
    ],
)
def test_uploads_come_from_the_own_page(headers: dict[str, str], passes: bool) -> None:
    for bound in ("127.0.0.1", "0.0.0.0"):
        assert (refusal({"Host": "127.0.0.1:7860", **headers}, bound=bound) is None) == passes


def test_a_link_from_another_site_may_be_followed_and_no_more() -> None:
    assert refusal({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, method="GET") is None
    assert refusal({"Host": "localhost", "Origin": "http://evil.example"}, method="GET") is not None


def test_the_page_of_a_proxy_that_rewrites_the_host() -> None:
    headers = {"Host": "127.0.0.1:7860", "Origin": "https://masks.example.org"}
    assert refusal(headers) is not None
    assert refusal(headers, allowed=("masks.example.org",)) is None
    assert refusal({"Host": "masks.example.org", "Origin": "https://masks.example.org"}, bound="0.0.0.0") is None


def test_addresses() -> None:
    assert [is_loopback(host) for host in ("[::1]", "localhost", "127.1.2.3", "::ffff:127.0.0.1")] == [True] * 4
    assert [is_loopback(host) for host in ("", "0.0.0.0", "::", "localhost.evil.example", "10.0.0.1")] == [False] * 5
    assert [in_url(host) for host in ("::1", "[::1]", "localhost")] == ["[::1]", "[::1]", "localhost"]
