"""Training that is stopped in all kinds of ways, as commands, and several processes that train together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tag2mask.core.errors import ConfigError
from tag2mask.training.ranks import Devices
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyCollection, write_shapes

COMMAND = [sys.executable, "-m", "tag2mask", "train"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyCollection:
    return write_shapes(tmp_path_factory.mktemp("faults"), 33)


def arguments(tiny: TinyCollection, out: Path, epochs: int = 8, **options: object) -> list[str]:
    settings = {**TINY_OPTIONS, "training.loggers": [], "masks.soft_threshold": "auto", **options}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    fixed = ["--epochs", str(epochs), "--no-masks", "--out", str(out)]
    return [str(tiny.images), "--tags", str(tiny.tags), *fixed, *words]


def train(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def uninterrupted(tiny: TinyCollection, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    out = tmp_path_factory.mktemp("whole") / "run"
    done = train(*arguments(tiny, out))
    assert done.returncode == 0, done.stderr
    return load_file(out / "model.safetensors")


def epochs_done(out: Path) -> int:
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("how", "status"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.thorough),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.thorough),
    ],
    ids=["term", "int", "kill"],
)
def test_a_stopped_training_goes_on_bit_for_bit(
    tiny: TinyCollection, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], how: signal.Signals, status: int
) -> None:
    words = arguments(tiny, tmp_path / "run")
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while epochs_done(tmp_path / "run") < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(how)
    _, said = process.communicate(timeout=100)
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert 3 <= epochs_done(tmp_path / "run") < 8
    assert not (tmp_path / "run" / "model.safetensors").exists()
    again = train(*words, "--resume")
    assert again.returncode == 0, again.stderr
    assert epochs_done(tmp_path / "run") == 8
    found = load_file(tmp_path / "run" / "model.safetensors")
    assert found.keys() == uninterrupted.keys()
    assert all(torch.equal(found[name], uninterrupted[name]) for name in found)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(400)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of processes")
def test_a_lost_loader_is_said(tiny: TinyCollection, tmp_path: Path) -> None:
    words = arguments(tiny, tmp_path / "run", 200, **{"data.workers": 1})
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while epochs_done(tmp_path / "run") < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    for child in children_of(process.pid):
        if b"multiprocessing" not in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    assert "a process that loads images was lost" in said
    assert "--resume" in said
    assert "Traceback" not in said


@pytest.mark.timeout(400)
def test_two_processes_train_one_network(tiny: TinyCollection, tmp_path: Path) -> None:
    """The same batches dealt out to two processes give the losses of one, until rounding adds up."""
    calm = {
        "data.colour_jitter": 0,
        "data.flip": False,
        "model.tag_dropout": 0,
        "model.head_dropout": 0,
        "model.freeze_norm": True,
        "training.learning_rate": 1e-4,
    }
    together = train(*arguments(tiny, tmp_path / "two", 3, **calm), "--devices", "2")
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("the run is in") == 1
    assert together.stdout.count("measured on the collection") == 1
    alone = train(*arguments(tiny, tmp_path / "one", 3, **calm))
    assert alone.returncode == 0, alone.stderr
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [one["epoch"] for one in lines[1]] == [1, 2, 3]
    for one, two in zip(*lines, strict=True):
        assert two["tag_loss"] == pytest.approx(one["tag_loss"], rel=0.03)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    moved = sum(float((first[name] - second[name]).abs().sum()) for name in first)
    assert moved / sum(float(value.abs().sum()) for value in first.values()) < 0.02
    config = yaml.safe_load((tmp_path / "two" / "config.yaml").read_text())
    assert config == yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    models = [yaml.safe_load((tmp_path / name / "model.yaml").read_text()) for name in ("one", "two")]
    measured = [model["config"]["masks"]["soft_threshold"] for model in models]
    assert measured[1] == pytest.approx(measured[0], abs=0.01)


@pytest.mark.thorough
@pytest.mark.timeout(400)
def test_together_interrupted_and_alone_to_the_end(tiny: TinyCollection, tmp_path: Path) -> None:
    words = arguments(tiny, tmp_path / "run", 6)
    process = subprocess.Popen(
        [*COMMAND, *words, "--devices", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while epochs_done(tmp_path / "run") < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    again = train(*words, "--resume")
    assert again.returncode == 0, again.stderr
    assert epochs_done(tmp_path / "run") == 6


def test_devices_that_do_not_fit() -> None:
    for wrong, message in (
        ({"count": 0}, "expected 1 or more"),
        ({"strategy": "fsdp"}, "use --strategy ddp"),
        ({"strategy": "magic"}, "expected auto or ddp"),
    ):
        with pytest.raises(ConfigError, match=message):
            Devices(**wrong)
    with pytest.raises(ConfigError, match="multiple of 3"):
        Devices(3).batch_of_each(16)
    assert Devices(2, 4).batch_of_each(16) == 2
