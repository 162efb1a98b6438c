"""Training from the studio: a process of its own that outlives the server, is found again, stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.masks import read_mask, write_mask
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import PREDICTED, Project, TagChange
from tag2mask.studio.training_process import BusyError, Trainings, Wanted
from tag2mask.studio.training_status import Status
from tag2mask.training.process import RunProcess
from tests.helpers import TinyDataset
from tests.studio.runs import copy_images, end_trainings, start_server, write_settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and locks of POSIX")

_PATIENCE = 240


@pytest.fixture
def project(shapes: TinyDataset, tmp_path: Path) -> Iterator[Project]:
    with open_project(copy_images(shapes, tmp_path / "images"), tags=shapes.tags) as found:
        write_settings(found.home)
        yield found


@pytest.fixture(autouse=True)
def _no_training_is_left(tmp_path: Path) -> Iterator[None]:
    """A test that failed leaves no training, which would run for ever."""
    yield
    end_trainings(tmp_path / "images" / "tag2mask")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def trainings(project: Project, told: list[str]) -> Iterator[Trainings]:
    found = Trainings(project, device="cpu", notify=told.append)
    found.watch()
    yield found
    if found.status().state not in ("idle", "done", "stopped", "failed"):
        found.stop()
        until(found.status, lambda status: status.state == "stopped")
    found.close()


def until(ask: Callable[[], Status], holds: Callable[[Status], bool]) -> Status:
    """Wait for a state that must come."""
    for _ in range(_PATIENCE * 5):
        status = ask()
        if holds(status):
            return status
        assert status.state != "failed" or holds(status), (status.error, status.log)
        time.sleep(0.2)
    raise AssertionError(ask())


def test_a_training_to_its_end(project: Project, trainings: Trainings, told: list[str]) -> None:
    write_mask(project.corrected / "shape_001.png", np.full((48, 64), 2, np.uint8))
    assert trainings.start(Wanted(epochs=2)) == "run-1"
    with pytest.raises(BusyError, match="run-1 is in training"):
        trainings.start(Wanted())
    write_mask(project.corrected / "shape_001.png", np.full((48, 64), 1, np.uint8))  # people go on meanwhile
    status = until(trainings.status, lambda status: status.state == "done")
    assert (status.run, status.epoch, status.epochs, status.error) == ("run-1", 2, 2, None)
    assert (status.first_masks, status.first_names[0]) == (12, "shape_000.png")
    assert status.verdict is not None
    assert {one["name"] for one in status.verdict["classes"]} == {"disc", "square"}
    assert any("the run is in" in line for line in status.log)
    run = project.run_folder()
    assert run is not None
    assert (read_mask(run / "masks" / "shape_001.png") == 2).all()  # as it was when the training began
    assert json.loads((run / "result.json").read_text())["corrected"] == 1
    assert (project.masks()[:1] == PREDICTED).all()
    for _ in range(50):
        if {"training", "masks", "project"} <= set(told):
            return
        time.sleep(0.1)
    raise AssertionError(told)


def request(address: str, path: str, body: Any = None) -> Any:
    """The answer of a server to GET, or to POST of a body."""
    content = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{address}/api/{path}", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)


def test_a_training_outlives_its_server_and_goes_on(shapes: TinyDataset, tmp_path: Path) -> None:
    folder = copy_images(shapes, tmp_path / "images")
    with open_project(folder, tags=shapes.tags) as project:
        write_settings(project.home)
    server, address = start_server(folder, tmp_path / "log")
    try:
        assert request(address, "train", {"epochs": 100_000}) == {"run": "run-1"}
        wait_for(lambda: (request(address, "train")["epoch"] or 0) >= 1)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    with open_project(folder) as project:
        trainings = Trainings(project, device="cpu")
        status = trainings.status()
        assert (status.state, status.run) == ("training", "run-1")
        with pytest.raises(BusyError):
            trainings.start(Wanted())
        later = until(trainings.status, lambda now: (now.epoch or 0) > (status.epoch or 0))
        assert later.seconds_left is not None
        trainings.stop()
        stopped = until(trainings.status, lambda now: now.state == "stopped")
        assert (stopped.can_resume, stopped.error) == (True, None)
        epochs = len((project.runs_folder / "run-1" / "metrics.jsonl").read_text().splitlines())
        assert epochs > 0
        # More tags and masks than the run began with do not keep it from going on.
        project.set_tags([TagChange("shape_000.png", 1, Tag.UNKNOWN)])
        write_mask(project.corrected / "shape_002.png", np.zeros((48, 64), np.uint8))
        assert trainings.start(Wanted(run="run-1")) == "run-1"
        until(trainings.status, lambda now: now.state == "training" and (now.epoch or 0) > epochs)
        trainings.stop()
        until(trainings.status, lambda now: now.state == "stopped")


def wait_for(holds: Callable[[], Any]) -> None:
    for _ in range(_PATIENCE * 2):
        if holds():
            return
        time.sleep(0.5)
    raise AssertionError


def test_what_train_refuses_is_said(project: Project, trainings: Trainings) -> None:
    write_settings(project.home, data__image_size="large")
    trainings.start(Wanted())
    status = until(trainings.status, lambda status: status.state == "failed")
    assert status.error is not None
    assert "data.image_size" in status.error
    assert (status.can_resume, status.verdict) == (True, None)


def test_a_process_that_was_killed_has_failed(project: Project, trainings: Trainings) -> None:
    run = project.runs_folder / "run-1"
    (run / "studio").mkdir(parents=True)
    about = {"pid": 1, "started": 1.0, "arguments": ["train"], "is_stopped": False, "is_taken": False}
    (run / "studio" / "process.json").write_text(json.dumps(about))
    (run / "progress.json").write_text(json.dumps({"stage": "training", "epoch": 3, "epochs": 9, "updated": 2.0}))
    status = trainings.status()
    assert (status.state, status.epoch, status.can_resume) == ("failed", 3, True)
    assert "killed" in str(status.error)
    with pytest.raises(BusyError, match="no training runs"):
        trainings.stop()


def test_what_cannot_be_trained_is_refused_and_leaves_nothing(project: Project, trainings: Trainings) -> None:
    for wanted, says in (
        (Wanted(preset="quick"), "expected auto, frozen"),
        (Wanted(run="run-7"), "no run that was begun here"),
        (Wanted(run="../evil"), "no run that was begun here"),
    ):
        with pytest.raises(DataError, match=says):
            trainings.start(wanted)
    project.add_class("star")
    with pytest.raises(DataError, match="star"):
        trainings.start(Wanted())
    changes = [TagChange(name, k, Tag.UNKNOWN) for name in project.names for k in range(3)]
    project.set_tags(changes)
    with pytest.raises(DataError, match="no image has a tag"):
        trainings.start(Wanted())
    assert (project.runs(), trainings.status().state) == ([], "idle")


def test_masks_of_a_trained_run_stay_until_the_next_has_ended(
    project: Project, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunProcess, "start", lambda *_args, **_options: None)
    assert trainings.start(Wanted()) == "run-1"
    assert project.run == "run-1"
    (project.runs_folder / "run-1" / "model.safetensors").touch()
    assert trainings.start(Wanted(preset="frozen", backbone="resnet18")) == "run-2"
    assert project.run == "run-1"
