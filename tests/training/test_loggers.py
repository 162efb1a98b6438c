from __future__ import annotations

import csv
from pathlib import Path

import pytest

import tag2mask.training.loggers
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.training.fit import fit
from tag2mask.training.loggers import check_loggers, make_loggers
from tag2mask.training.train import train
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset

events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_curves_and_masks_of_examples(shapes: TinyDataset, tmp_path: Path) -> None:
    options = {**TINY_OPTIONS, "training.epochs": 3, "training.loggers": ["tensorboard", "csv"]}
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file).subset(range(12))
    fit(dataset, Config().override(options), tmp_path / "run")
    board = events.EventAccumulator(str(tmp_path / "run/logs"), size_guidance={"images": 0})
    board.Reload()
    assert len(board.Scalars("tag_loss")) == 3
    assert len(board.Scalars("pixel_loss")) == 2  # one epoch of warm-up
    assert [event.step for event in board.Images("mask/3")] == [1, 2, 3]
    assert board.Images("mask/0")[0].encoded_image_string.startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "run/logs/csv/metrics.csv").read_text().splitlines()))
    assert float(rows[-1]["tag_loss"]) == pytest.approx(board.Scalars("tag_loss")[-1].value, rel=1e-5)


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (["nowhere"], "Lightning has no 'nowhere'; there are tensorboard, csv, .*WandbLogger"),
        (["Path"], "Lightning has no 'Path'"),
        (["WandbLogger"], "WandbLogger needs a package"),
        (["csv"], "csv does not take these arguments"),
    ],
)
def test_loggers_that_are_not_there(tmp_path: Path, loggers: list[str], message: str) -> None:
    arguments = {name: {"colour": "red"} for name in loggers}
    options = {"training.loggers": loggers, "training.logger_args": arguments}
    with pytest.raises(ConfigError, match=message):
        make_loggers(Config().override(options), tmp_path)


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (["nowhere"], "Lightning has no 'nowhere'"),
        (["csv", "wandb"], "wandb needs the package wandb, which is not installed; `pip install wandb`"),
        (["CometLogger"], "CometLogger needs the package comet_ml, .*`pip install comet-ml`"),
        (["csv"], r"logger_args: csv does not take these arguments: .*'colour'"),
    ],
)
def test_loggers_are_checked_before_anything_else(
    shapes: TinyDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loggers: list[str], message: str
) -> None:
    monkeypatch.setattr(tag2mask.training.loggers, "find_spec", lambda name: None)
    arguments = {"csv": {"colour": "red"}} if loggers == ["csv"] else {}
    options = {**TINY_OPTIONS, "training.loggers": loggers, "training.logger_args": arguments}
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file).subset(range(12))
    with pytest.raises(ConfigError, match=message):
        train(dataset, tmp_path / "run", options=options, progress=False)
    assert not (tmp_path / "run").exists()


def test_tensorboard_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tag2mask.training.loggers, "find_spec", lambda name: None)
    check_loggers(Config())
    assert "no curves for TensorBoard: `pip install tensorboard` to have them" in caplog.text


def test_no_logger(tmp_path: Path) -> None:
    assert make_loggers(Config().override({"training.loggers": []}), tmp_path) == []
