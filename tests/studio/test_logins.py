"""Wrong passwords slow their address down, and nobody else for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tag2mask.studio.logins import LoginThrottle


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("tag2mask.studio.logins.time.monotonic", found.monotonic)
    monkeypatch.setattr("tag2mask.studio.logins.asyncio.sleep", found.sleep)
    return found


async def _answer(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": scope["status"], "headers": []})
    await send({"type": "http.response.body", "body": b""})


def attempt(throttle: LoginThrottle, address: str, status: int = 400, path: str = "/login") -> Awaitable[int]:
    """An attempt that the application answers with `status`; the status that the visitor gets."""

    async def run() -> int:
        got: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            got.extend([message["status"]] if "status" in message else [])

        scope = {"type": "http", "method": "POST", "path": path, "client": (address, 1), "status": status}
        await throttle(scope, receive, send)
        return got[0]

    return run()


def test_each_wrong_password_doubles_the_wait_and_the_right_one_ends_it(clock: Clock) -> None:
    throttle = LoginThrottle(_answer)  # type: ignore[arg-type]

    async def run() -> None:
        for _ in range(9):
            assert await attempt(throttle, "10.0.0.1") == 400
        assert clock.slept == [0, 1, 2, 4, 8, 16, 32, 60, 60]
        assert await attempt(throttle, "10.0.0.1", 200) == 200
        assert await attempt(throttle, "10.0.0.1", 400, "/login/") == 400
        assert clock.slept[-2:] == [60, 0]
        assert await attempt(throttle, "10.0.0.2", 200) == 200
        assert clock.slept[-1] == 0.1
        await attempt(throttle, "10.0.0.1", 400, "/queue/join")
        assert len(clock.slept) == 12

    asyncio.run(run())


def test_an_address_is_forgotten_after_a_quarter_of_an_hour(clock: Clock) -> None:
    throttle = LoginThrottle(_answer)  # type: ignore[arg-type]

    async def run() -> None:
        for _ in range(4):
            await attempt(throttle, "10.0.0.1")
        clock.now += 1000
        await attempt(throttle, "10.0.0.1")
        await attempt(throttle, "10.0.0.1")
        assert clock.slept[-2:] == [0, 1]

    asyncio.run(run())


def test_attempts_at_once_are_one_attempt(clock: Clock) -> None:
    release = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()
        await _answer(scope, receive, send)

    throttle = LoginThrottle(slow)

    async def run() -> list[int]:
        first = asyncio.ensure_future(attempt(throttle, "2001:db8::1"))
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        others = [await attempt(throttle, f"2001:db8::{index}") for index in range(2, 9)]
        release.set()
        return [await first, *others]

    assert asyncio.run(run()) == [400, *[429] * 7]


def test_many_addresses_are_slowed_down_together_and_remembered_within_bounds(clock: Clock) -> None:
    throttle = LoginThrottle(_answer)  # type: ignore[arg-type]

    async def run() -> None:
        before = clock.now
        for index in range(3000):
            await attempt(throttle, f"10.1.{index // 250}.{index % 250}")
        assert clock.now - before >= 0.1 * 2990
        assert len(throttle._visitors) <= 1000

    asyncio.run(run())
