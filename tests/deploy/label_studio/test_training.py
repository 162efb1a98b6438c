"""Training from what was submitted: the ordinary `train` in a process of its own."""

from __future__ import annotations

import csv
import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tag2mask.core.constants import Tag
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.deploy.label_studio.project import AnnotationProject, opened
from tag2mask.deploy.label_studio.server import ProjectOptions, newest_run
from tag2mask.deploy.label_studio.training import Trainer, TrainingPlan
from tag2mask.inference import Segmenter
from tag2mask.training.process import RunProcess
from tests.helpers import TinyDataset, draw_shapes

PATIENCE = 240


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not until() and time.monotonic() < end:
        time.sleep(0.1)
    assert until()


@pytest.fixture
def photos(shapes: TinyDataset, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(shapes.images.iterdir())[:12]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def annotate(project: AnnotationProject, number: int) -> None:
    tags = [("disc",), ("square",), ("disc", "square"), ()][number % 4]
    states = {name: Tag.PRESENT if name in tags else Tag.ABSENT for name in project.classes}
    project.keep(str(number), f"shape_{number:03d}.png", states, draw_shapes(tags, seed=number)[1])


@pytest.mark.thorough  # the process is that of `training.process`, the command is tested below
def test_a_training_from_annotations_gives_a_network_that_predicts(
    photos: Path, shapes: TinyDataset, trained: Path
) -> None:
    done: list[Path] = []
    plan = TrainingPlan(after=2, options=["--epochs", "2", "--no-report"], config=trained / "config.yaml")
    with opened(photos, shapes.classes, tags=shapes.tags) as project:
        trainer = Trainer(project, plan, done.append)
        annotate(project, 1)
        assert not trainer.due()
        annotate(project, 2)
        assert trainer.due()
        assert trainer.start() == "run-1"
        assert trainer.start() is None, "one at a time"
        assert project.new == 0 and not trainer.due()
        wait(lambda: trainer.state != "training")
        log = trainer.process("run-1").log.read_text()
        assert done, log
    assert done == [photos.resolve() / "tag2mask/runs/run-1"] and newest_run(photos) == photos / "tag2mask/runs/run-1"
    assert Segmenter.from_pretrained(done[0]).classes == shapes.classes
    with (done[0] / "tags.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.reader(stream))) == 13
    assert '"corrected": "' in (done[0] / "collection.json").read_text().replace("\n", "")


def test_a_training_that_fails_says_so(
    photos: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(process: RunProcess, arguments: list[str], **_: object) -> None:
        process.home.mkdir(parents=True)
        process.log.write_text("error: no such preset\n")

    monkeypatch.setattr(RunProcess, "start", fail)
    with opened(photos, ("disc", "square")) as project:
        trainer = Trainer(project, TrainingPlan(), lambda run: None)
        assert trainer.start() is None, "no image has tags"
        annotate(project, 1)
        trainer.start()
        wait(lambda: trainer.state != "training")
        assert trainer.state == "failed"
    assert "no such preset" in caplog.text


def test_a_training_goes_on_without_the_server_and_the_next_one_finds_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_one = threading.Event()
    monkeypatch.setattr(RunProcess, "start", lambda *_, **__: next_one.set())
    with opened(photos, ("disc", "square")) as project:
        project.begin_training("run-7")
        run = project.home / "runs/run-7"
        (run / "label-studio").mkdir(parents=True)
        child = (run / "label-studio/process.lock").open("w")
        fcntl.flock(child, fcntl.LOCK_EX)  # as the process does
        done = threading.Event()
        trainer = Trainer(project, TrainingPlan(after=1), lambda run: done.set())
        annotate(project, 1)
        assert (trainer.state, trainer.run, trainer.due()) == ("training", "run-7", False)
        (run / "progress.json").write_text('{"stage": "done", "updated": 1.0}')
        child.close()
        assert done.wait(PATIENCE)
        assert next_one.wait(PATIENCE), "people went on meanwhile"
        trainer.stop()


def test_options_of_a_project_need_one(tmp_path: Path) -> None:
    for given in ({"tags": tmp_path}, {"plan": TrainingPlan(after=3)}, {"plan": TrainingPlan(options=["-h"])}):
        with pytest.raises(ConfigError, match="`project`"):
            ProjectOptions(**given)
    with pytest.raises(ConfigError, match="train_after"):
        TrainingPlan(after=-1)
    with pytest.raises(ConfigError, match="`project`"):
        newest_run(None)
    with pytest.raises(DataError, match="no trained network"):
        newest_run(tmp_path)


def test_the_command_line_of_the_training_is_the_users(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Child:
        pid = 99_999_999  # of no process

        def __init__(self, words: list[str], **options: object) -> None:
            started.append(words)

        def poll(self) -> int:
            return 1

    monkeypatch.setattr(subprocess, "Popen", Child)
    with opened(photos, ("disc", "square")) as project:
        annotate(project, 1)
        for options, config in (([], True), (["--config", "frozen"], False), (["--config=frozen"], False)):
            trainer = Trainer(project, TrainingPlan(options=options, config=photos / "given.yaml"), lambda run: None)
            trainer.start()
            trainer.stop()
            words = started[-1]
            assert words[:6] == [sys.executable, "-P", "-m", "tag2mask", "train", str(photos.resolve())]
            assert words[words.index("--corrected") + 1] == str(project.corrected)
            assert (str(photos / "given.yaml") in words) == config
