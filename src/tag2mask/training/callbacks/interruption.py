"""An interruption that no library loses."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class StopIfInterrupted(Callback):
    """Ends the training at its next step if an interruption came before and did not end it.

    A `KeyboardInterrupt` that is raised while a library is imported or called back may be caught there.
    """

    def __init__(self, interrupted: threading.Event):
        self.interrupted = interrupted

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Raise it again."""
        if self.interrupted.is_set():
            raise KeyboardInterrupt


@contextmanager
def remembered_interruption() -> Iterator[threading.Event]:
    """An event that is set when SIGINT comes while the context lasts; Python's `KeyboardInterrupt` is raised as before.

    Where SIGINT has another handler than Python's own, and outside the main thread, nothing is changed.
    """
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield interrupted
        return

    def remember(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, remember)
    try:
        yield interrupted
    finally:
        if signal.getsignal(signal.SIGINT) is remember:
            signal.signal(signal.SIGINT, before)
