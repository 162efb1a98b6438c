"""Ctrl+C: what is kept is said, and the printed command goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tag2mask.cli import app
from tag2mask.cli.interruption import Interrupted, command_line, message
from tests.helpers import write_shapes

QUICK = ("data.image_size=64", "data.crop_size=64", "training.batch_size=4", "data.workers=0")


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tag2mask"])


@pytest.mark.skipif(os.name == "nt", reason="quoted in another way there")
def test_the_command_is_quoted_and_has_each_option_once() -> None:
    words = ["train", "my photos", "--out", "it's", "--set", "masks.scales=[1, 2]"]
    assert shlex.split(command_line(words, ["--resume"])) == ["tag2mask", *words, "--resume"]
    assert command_line(["train", "a", "--resume"], ["--resume"]) == "tag2mask train a --resume"
    assert command_line(["train", "--out", "o", "--", "-a"], ["--resume"]) == "tag2mask train --resume --out o -- -a"


@pytest.mark.skipif(os.name == "nt", reason="programs are called in another way there")
def test_the_command_calls_the_program_as_the_user_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "tag2mask"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert command_line(["demo"]) == f"{program} demo"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command_line(["demo"]) == "tag2mask demo"
    monkeypatch.setattr(sys, "argv", ["/somewhere/tag2mask/__main__.py"])
    assert command_line(["demo"]).endswith("-m tag2mask demo")


def test_what_is_said() -> None:
    assert message(KeyboardInterrupt(), "serve", ["serve", "m"]) == "interrupted"
    said = message(KeyboardInterrupt(), "predict", ["predict", "r", "i", "--out", "o"])
    assert said == (
        "interrupted: finished masks are kept and are not written again. Go on with\n  tag2mask predict r i --out o"
    )
    assert message(Interrupted("so much", ["--resume"]), "train", ["train", "i"]) == (
        "interrupted: so much. Go on with\n  tag2mask train i --resume"
    )


@pytest.mark.parametrize("where", ["tag2mask.data.Dataset.load", "tag2mask.training.train.train"])
def test_before_anything_is_written_the_same_command_goes_on(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = write_shapes(tmp_path / "shapes", 4)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    words = ["train", str(tiny.images), "--tags", str(tiny.tags), "--out", str(tmp_path / "run")]
    before = signal.getsignal(signal.SIGINT)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 130
    assert "interrupted: nothing was written yet" in result.output
    assert result.output.endswith(f"Go on with\n  {command_line(words)}\n")
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(signal.SIGINT) is before


def interrupted(command: list[str], ready: Callable[[], bool], times: int) -> str:
    """Output of a command that gets SIGINT so many times once it is ready, as its whole group does from a terminal."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not ready() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=240)
    # Python restores the signal's default at its very end, so that a late one ends the process.
    assert process.returncode in (130, -signal.SIGINT), output
    return output


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no process groups there")
def test_the_printed_command_goes_on(tmp_path: Path) -> None:
    """Interrupted in the first epoch, then twice in the third; the last line runs to the end as it stands."""
    tiny = write_shapes(tmp_path / "my shapes", 16)
    out = tmp_path / "a run"
    settings = [word for setting in QUICK for word in ("--set", setting)]
    words = ["train", str(tiny.images), "--tags", str(tiny.tags), "--out", str(out), "--epochs", "12", *settings]
    words += ["--backbone", "test_resnet", "--weights", "none"]
    command = [sys.executable, "-m", "tag2mask", *words]
    said = interrupted(command, (out / "config.yaml").is_file, 1)
    assert "Traceback" not in said
    assert "no training is kept" in said
    command = shlex.split(said.splitlines()[-1])
    assert command[-1] == "--resume"
    metrics = out / "metrics.jsonl"
    said = interrupted(command, lambda: metrics.is_file() and len(metrics.read_text().splitlines()) >= 3, 2)
    assert "Traceback" not in said
    assert "of 12 epochs are kept" in said
    done = subprocess.run(said.splitlines()[-1], shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(metrics.read_text().splitlines()) == 12
