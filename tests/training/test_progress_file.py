"""`progress.json`: what other programs see of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning
import pytest
from lightning.pytorch.callbacks import Callback

from tag2mask import Dataset, train
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.progress import observed, progress_bar
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.progress_file import begin_progress, recorded_progress
from tests.conftest import TINY_OPTIONS
from tests.helpers import write_shapes

QUICK = {**TINY_OPTIONS, "training.epochs": 2, "training.loggers": []}


class Watch(Callback):
    """Reads the file at the end of each epoch, as another program would; then interrupts, where wanted."""

    def __init__(self, path: Path, *, interrupt: bool = False):
        self.path, self.interrupt = path, interrupt
        self.seen: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.seen.append(read(self.path))
        if self.interrupt:
            raise KeyboardInterrupt


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_it_follows_a_training_to_its_end_and_after_an_interruption(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "shapes", 16)
    dataset = Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file)
    out = tmp_path / "run"
    path = RunFolder(out).progress
    watch = Watch(path, interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, out, options=QUICK, make_report=False, progress=False, callbacks=[watch])
    assert (read(path)["stage"], read(path)["error"]) == ("stopped", None)
    watch.interrupt = False
    train(dataset, out, options=QUICK, make_report=False, progress=False, callbacks=[watch], resume=True)
    seen = watch.seen[-1]
    assert (seen["stage"], seen["epoch"], seen["epochs"], seen["what"]) == ("training", 2, 2, "steps")
    assert (seen["done"], seen["total"], seen["seconds_left"]) == (2, 2, 0)
    assert seen["images_per_second"] > 0
    after = read(path)
    assert (after["stage"], after["epoch"], after["error"]) == ("done", 2, None)
    with pytest.raises(ConfigError, match="there is a run here"):
        train(dataset, out, options=QUICK, progress=False)
    assert read(path) == after


def test_a_failure_says_why(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(DataError), recorded_progress(run):
        raise DataError("no image has a tag")
    assert (read(run.progress)["stage"], read(run.progress)["error"]) == ("failed", "no image has a tag")


def test_nothing_is_written_before_the_folder_is_there(tmp_path: Path) -> None:
    """A training that could not begin leaves no folder behind."""
    run = RunFolder(tmp_path / "run")
    with recorded_progress(run) as file:
        file.step("features", 1, 2)
        assert not run.root.exists()
        run.root.mkdir()
        begin_progress()
        assert (read(run.progress)["what"], read(run.progress)["done"]) == ("features", 1)


def test_bars_tell_their_observer_also_where_they_are_hidden() -> None:
    seen: list[tuple[str, int, int]] = []
    with (
        observed(lambda what, done, total: seen.append((what, done, total))),
        progress_bar("masks", 2, shown=False) as advance,
    ):
        advance()
        advance()
    with progress_bar("unseen", 1, shown=False) as advance:
        advance()
    assert seen == [("masks", 0, 2), ("masks", 1, 2), ("masks", 2, 2)]
