"""Ending in order when the system tells a process to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """An event that is set when the process receives SIGTERM or SIGHUP, which it does after the context.

    Without this, those signals end a process on the spot, and its temporary folders stay. It ends by the same signal
    then. A signal that is ignored, as under `nohup`, stays ignored; outside the main thread nothing is changed.
    """
    stopped, received = threading.Event(), []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stopped.set()

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number in taken:
            signal.signal(number, before[number])
    if received:
        signal.raise_signal(received[0])
