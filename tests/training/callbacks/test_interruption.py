"""An interruption that a library caught still ends the training."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tag2mask import Dataset, train
from tag2mask.training.callbacks.interruption import remembered_interruption
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset


def test_it_is_raised_remembered_and_the_handler_restored() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with remembered_interruption() as interrupted:
            assert not interrupted.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert interrupted.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_handler_and_another_thread_are_left_alone() -> None:
    def other(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGINT, other)
    try:
        with remembered_interruption():
            assert signal.getsignal(signal.SIGINT) is other
    finally:
        signal.signal(signal.SIGINT, before)
    entered: list[bool] = []

    def work() -> None:
        with remembered_interruption() as interrupted:
            entered.append(interrupted.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [False]


def test_training_ends_although_the_interruption_was_caught(
    shapes: TinyDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(*_: object) -> list[object]:
        with suppress(BaseException):  # as a library may do while it is imported
            signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr("tag2mask.training.fit.make_loggers", careless)
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(dataset, tmp_path / "run", options={**TINY_OPTIONS, "training.epochs": 2}, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "run" / "model.safetensors").exists()
