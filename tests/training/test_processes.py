"""Training as a command that is stopped by a signal, and several processes that train one network together."""

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

from tag2mask import Dataset, train
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset, write_shapes

COMMAND = [sys.executable, "-m", "tag2mask", "train"]
LONGEST = 300.0
"""Seconds after which a process that has not come so far is taken for hung."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    return write_shapes(tmp_path_factory.mktemp("processes"), 33)


def settings(epochs: int, **options: object) -> dict[str, object]:
    fixed = {"training.epochs": epochs, "training.loggers": [], "masks.soft_threshold": "auto"}
    return {**TINY_OPTIONS, **fixed, **options}


def command(tiny: TinyDataset, out: Path, options: dict[str, object], *words: str) -> list[str]:
    given = [word for name, value in options.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return [*COMMAND, str(tiny.images), "--tags", str(tiny.tags), "--no-masks", "--out", str(out), *given, *words]


def train_here(tiny: TinyDataset, out: Path, options: dict[str, object], *, resume: bool = False) -> Path:
    """Train as the command does, in this process."""
    train(Dataset.load(tiny.images, tiny.tags), out, options=options, make_masks=False, resume=resume)
    return out


def epochs_done(out: Path) -> int:
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def wait_for_epochs(count: int, out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LONGEST
    while epochs_done(out) < count and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tiny: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    out = tmp_path_factory.mktemp("whole") / "run"
    return load_file(train_here(tiny, out, settings(8)) / "model.safetensors")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("how", "status"),
    [
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.thorough),
        (signal.SIGKILL, -9),
    ],
    ids=["term", "int", "kill"],
)
def test_a_stopped_training_goes_on_bit_for_bit(
    tiny: TinyDataset, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], how: signal.Signals, status: int
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(tiny, out, settings(8)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for_epochs(3, out, process)
    process.send_signal(how)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert 3 <= epochs_done(out) < 8
    assert not (out / "model.safetensors").exists()
    found = load_file(train_here(tiny, out, settings(8), resume=True) / "model.safetensors")
    assert epochs_done(out) == 8
    assert found.keys() == uninterrupted.keys()
    assert all(torch.equal(found[name], uninterrupted[name]) for name in found)


@pytest.mark.timeout(600)
def test_two_processes_train_one_network(tiny: TinyDataset, tmp_path: Path) -> None:
    """The same batches dealt out to two processes give the losses of one, until rounding adds up."""
    calm = settings(
        3,
        **{
            "data.colour_jitter": 0,
            "data.flip": False,
            "model.tag_dropout": 0,
            "model.head_dropout": 0,
            "model.freeze_norm": True,
            "training.learning_rate": 1e-4,
        },
    )
    two = tmp_path / "two"
    together = subprocess.run(
        command(tiny, two, calm, "--devices", "2"), capture_output=True, text=True, check=False, timeout=LONGEST
    )
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("the run is in") == 1
    assert together.stdout.count("measured on the dataset") == 1
    one = train_here(tiny, tmp_path / "one", calm)
    losses = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (one, two)
    ]
    assert [epoch["epoch"] for epoch in losses[1]] == [1, 2, 3]
    for alone, shared in zip(*losses, strict=True):
        assert shared["tag_loss"] == pytest.approx(alone["tag_loss"], rel=0.03)
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    moved = sum(float((first[name] - second[name]).abs().sum()) for name in first)
    assert moved / sum(float(value.abs().sum()) for value in first.values()) < 0.02
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (one, two)]
    assert configs[0] == configs[1]
    models = [yaml.safe_load((folder / "model.yaml").read_text()) for folder in (one, two)]
    measured = [model["config"]["masks"]["soft_threshold"] for model in models]
    assert measured[1] == pytest.approx(measured[0], abs=0.01)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_two_processes_are_killed_and_one_goes_on_to_the_end(tiny: TinyDataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(tiny, out, settings(6), "--devices", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    wait_for_epochs(2, out, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(LONGEST)
    train_here(tiny, out, settings(6), resume=True)
    assert epochs_done(out) == 6
