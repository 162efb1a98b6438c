"""A training in a process of its own: who holds the run, what it said, how far it is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.training.process import RunProcess

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and locks of POSIX")

PATIENCE = 240


def test_a_process_holds_its_run_as_long_as_it_lives(tmp_path: Path) -> None:
    """Also where it was not started by this object: a server that starts again asks the lock, not a number."""
    process = RunProcess(tmp_path / "run-1", tmp_path / "run-1/ours")
    process.start(["train", str(tmp_path / "none"), "--out", str(tmp_path / "run-1")])  # fails soon, but not at once
    other = RunProcess(tmp_path / "run-1", tmp_path / "run-1/ours")
    if other.lives():
        with pytest.raises(DataError, match="in training already"):
            other.start(["cache"])
    end = time.monotonic() + PATIENCE
    while other.lives() and time.monotonic() < end:
        time.sleep(0.1)
    assert not other.lives()
    assert "none" in "\n".join(other.tail(5))
    assert not process.lives()
    assert process.about() is not None


def test_the_end_of_a_log_is_plain_lines(tmp_path: Path) -> None:
    process = RunProcess(tmp_path, tmp_path / "ours")
    assert process.tail(5) == []
    process.home.mkdir()
    process.log.write_bytes(b"a\n\n10%\r20%\r30%\n\x1b[31mred\n\xff\n")
    assert process.tail(3) == ["30%", "\\x1b[31mred", "\ufffd"]


def test_progress_of_an_earlier_process_is_its_epochs_alone(tmp_path: Path) -> None:
    process = RunProcess(tmp_path, tmp_path / "ours")
    assert process.progress() == {}
    (tmp_path / "progress.json").write_text(json.dumps({"stage": "done", "epoch": 3, "epochs": 3, "updated": 2.0}))
    assert process.progress()["stage"] == "done"
    process.home.mkdir()
    about = {"pid": 1, "started": 3.0, "arguments": ["train"], "is_stopped": False, "is_taken": False}
    (process.home / "process.json").write_text(json.dumps(about))
    assert process.progress() == {"epoch": 3, "epochs": 3}
