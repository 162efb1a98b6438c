"""Told to end, a process leaves its contexts first, and then ends by the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from tag2mask.core.ending import told_to_end

SCRIPT = """
import sys, time
from tag2mask.core.ending import told_to_end
try:
    with told_to_end() as stopped:
        print("ready", flush=True)
        while not stopped.wait(1):
            pass
        print("left", flush=True)
finally:
    print("never", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end(name: str) -> None:
    number = getattr(signal, name)
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "left\n"
        assert process.wait(60) == -number


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_handlers_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with told_to_end() as stopped:
            signal.raise_signal(signal.SIGHUP)
            assert not stopped.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    found: list[bool] = []

    def elsewhere() -> None:
        with told_to_end() as stopped:
            found.append(stopped.is_set())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]
