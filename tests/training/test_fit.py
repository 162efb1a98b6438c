"""A run from its folder to its weights: repeatable, resumable, refused where it would mix two runs."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file

from tag2mask import Segmenter
from tag2mask.config.load import load_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.core.lock import locked
from tag2mask.data import Dataset
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.fit import fit
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.run_folder import what_was_kept
from tests.helpers import TinyDataset, write_shapes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 24)


@pytest.fixture(scope="module")
def dataset(tiny: TinyDataset) -> Dataset:
    return Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks)


def config(**options: object) -> Config:
    return Config().override(
        {
            "data.image_size": 64,
            "data.crop_size": 64,
            "data.workers": 0,
            "model.backbone": "test_resnet",
            "model.weights": "none",
            "model.head_channels": 16,
            "training.epochs": 4,
            "training.batch_size": 8,
            "training.precision": "32-true",
            "training.loggers": [],
            **options,
        }
    )


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that has ended."""
    return fit(dataset, config(), tmp_path_factory.mktemp("runs") / "run", given="training: {epochs: 4}\n")


class StopInEpoch(Callback):
    """Ends training without warning, after the first batch of an epoch."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            raise RuntimeError("stopped")


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the very same weights."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_folder_of_a_run(finished: RunFolder, tiny: TinyDataset) -> None:
    assert {path.name for path in finished.root.iterdir()} == {
        "config.yaml",
        "config.given.yaml",
        "collection.json",
        "model.safetensors",
        "model.yaml",
        "checkpoints",
        "metrics.jsonl",
    }
    assert finished.given.read_text() == "training: {epochs: 4}\n"
    records = [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert "pixel_loss" not in records[0]
    assert "pixel_loss" in records[1]
    assert Segmenter.from_pretrained(finished.root).classes == tiny.classes


def test_the_same_seed_gives_the_same_network(finished: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    again, other = (fit(dataset, config(**{"training.seed": seed}), tmp_path / str(seed)) for seed in (0, 6))
    assert same(finished.weights, again.weights)
    assert not same(finished.weights, other.weights)


@pytest.mark.parametrize("when", [{"paper.every_step": True}, {"masks.refresh": 2}], ids=str)
def test_resuming_ends_as_if_uninterrupted(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: dict[str, object]
) -> None:
    """A run is stopped in the middle of an epoch; the resumed one has the very same weights and threshold."""
    chosen = config(**{"training.epochs": 6, "masks.teacher_weight": 0.5, **when})
    whole = fit(dataset, chosen, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(RuntimeError, match="stopped"):
        fit(dataset, chosen, stopped, callbacks=[StopInEpoch(4)])
    with pytest.raises(DataError, match="training has not ended: .* `resume=True`"):
        Segmenter.from_pretrained(stopped)
    checkpoint = torch.load(stopped / "checkpoints" / "last.ckpt", weights_only=True)
    state = checkpoint["callbacks"]["PseudoMasks"]
    monkeypatch.setattr(PseudoMaskFiles, "measure", None)  # measured once, before the interruption
    resumed = fit(dataset, chosen, stopped, resume=True)
    assert same(whole.weights, resumed.weights)
    assert len(resumed.metrics.read_text().splitlines()) == 6
    thresholds = [Segmenter.from_pretrained(run.root).config.masks.soft_threshold for run in (whole, resumed)]
    assert isinstance(thresholds[0], float)
    assert thresholds == [state["measured"][0]] * 2
    assert state["next_epoch"] == 3  # counted from 0


def test_a_folder_with_a_run_is_not_overwritten(finished: RunFolder, dataset: Dataset) -> None:
    before = finished.weights.read_bytes()
    with pytest.raises(ConfigError, match="there is a run here already; continue it with `resume=True`"):
        fit(dataset, config(), finished.root)
    assert finished.weights.read_bytes() == before


def test_resuming_with_other_classes_images_or_settings(
    finished: RunFolder, dataset: Dataset, tiny: TinyDataset
) -> None:
    other = Dataset.load(tiny.images, tiny.tags, classes=("square", "disc"), masks=tiny.masks)
    with pytest.raises(DataError, match=r"has the classes \['disc', 'square'\], the dataset has \['square', 'disc'\]"):
        fit(other, config(), finished.root, resume=True)
    with pytest.raises(DataError, match=r"the images or tags have changed .* \(24 images then, 20 now\)"):
        fit(dataset.subset(range(20)), config(), finished.root, resume=True)
    other_settings = config(**{"training.seed": 1, "training.batch_size": 4, "training.epochs": 9, "data.workers": 1})
    with pytest.raises(ConfigError, match="began: training.batch_size was 8, is 4; training.seed was 0, is 1; resume"):
        fit(dataset, other_settings, finished.root, resume=True)
    with pytest.raises(ConfigError, match="has 4 epochs, .* `training.epochs=4` or more"):
        fit(dataset, config(**{"training.epochs": 3}), finished.root, resume=True)


def test_a_finished_run_can_be_trained_further(
    finished: RunFolder, dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By more epochs, or more samples; the warm-up is not done again, and what was trained is not either."""
    shutil.copytree(finished.root, tmp_path / "run")
    again = fit(dataset, config(), tmp_path / "run", resume=True)  # nothing to do
    assert same(finished.weights, again.weights)
    run = fit(dataset, config(**{"training.epochs": 6}), again.root, resume=True)
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[:4] == [json.loads(line) for line in finished.metrics.read_text().splitlines()]
    assert all("pixel_loss" in record for record in records[4:])
    assert not same(finished.weights, run.weights)
    assert load_config(run.config).training.epochs == 6
    with pytest.raises(ConfigError, match="has 6 epochs"):  # as it began
        fit(dataset, config(), run.root, resume=True)
    by_samples = {"training.epochs": None, "training.samples": 7 * len(dataset), "data.workers": 1}
    caplog.set_level(logging.INFO, "tag2mask")
    fit(dataset, config(**by_samples), run.root, resume=True)
    assert len(run.metrics.read_text().splitlines()) == 7
    assert "6 of 7 epochs were trained before" in caplog.messages


def test_a_run_that_goes_on_with_more_epochs_does_not_warm_up_again(dataset: Dataset, tmp_path: Path) -> None:
    """Half of 4 epochs are warm-up. Of 12 it were 6, but the joint phase has begun."""
    half = {"training.warmup": 0.5}
    run = fit(dataset, config(**half), tmp_path)
    fit(dataset, config(**half, **{"training.epochs": 12}), tmp_path, resume=True)
    fit(dataset, config(**half, **{"training.epochs": 14}), tmp_path, resume=True)
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert ["pixel_loss" in record for record in records] == [False] * 2 + [True] * 12


def test_a_run_without_a_finished_epoch_is_begun_again(dataset: Dataset, tmp_path: Path) -> None:
    """There is nothing to lose, so that a first failure is mended by the corrected command."""
    with pytest.raises(RuntimeError, match="stopped"):
        fit(dataset, config(), tmp_path / "run", callbacks=[StopInEpoch(1)])
    assert what_was_kept(RunFolder(tmp_path / "run")) == "the first epoch had not ended, so no training is kept"
    corrected = config(**{"training.batch_size": 4, "training.epochs": 1})
    run = fit(dataset, corrected, tmp_path / "run")
    assert load_config(run.config) == corrected
    assert run.given.read_text() == "{}\n"


def test_what_was_kept(finished: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    assert what_was_kept(RunFolder(tmp_path)) == "nothing was written yet"
    with pytest.raises(RuntimeError, match="stopped"):
        fit(dataset, config(), tmp_path / "run", callbacks=[StopInEpoch(3)])
    assert what_was_kept(RunFolder(tmp_path / "run")) == "2 of 4 epochs are kept"
    assert what_was_kept(finished) == "the trained network is kept, and 0 of 24 masks"


def test_a_network_without_its_run_is_not_overwritten(finished: RunFolder, dataset: Dataset, tmp_path: Path) -> None:
    Segmenter.from_pretrained(finished.root).save_pretrained(tmp_path / "kept")
    before = (tmp_path / "kept" / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="there is a trained network here, without its run"):
        fit(dataset, config(), tmp_path / "kept")
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == before


def test_one_training_at_a_time_writes_to_a_folder(dataset: Dataset, tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(DataError, match="is writing to this folder"):
        fit(dataset, config(), tmp_path / "run")


def test_pseudo_masks_that_were_taken_away_are_written_again_on_resuming(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        fit(dataset, config(), tmp_path, callbacks=[StopInEpoch(4)])
    shutil.rmtree(tmp_path / "training-masks")
    with caplog.at_level(logging.INFO, "tag2mask"):
        fit(dataset, config(), tmp_path, resume=True)
    lines = [line for line in caplog.messages if line.startswith(("pseudo masks", "epoch "))]
    assert lines[0].startswith("pseudo masks written")


def test_nothing_to_resume(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="nothing to resume here"):
        fit(dataset, config(), tmp_path, resume=True)


def test_a_network_that_cannot_be_built_leaves_no_run_behind(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'resnet181'; near: resnet18"):
        fit(dataset, config(**{"model.backbone": "resnet181"}), tmp_path / "run")
    with pytest.raises(WeightsError, match="no such weights file"):
        fit(dataset, config(**{"model.weights": str(tmp_path / "none.safetensors")}), tmp_path / "run")
    with pytest.raises(WeightsError, match="no such weights file"):
        fit(dataset, config(**{"model.weights": "none.safetensors"}), tmp_path / "new" / "run", resume=True)
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot create this folder .* choose another `out`"):
        fit(dataset, config(), tmp_path / "file" / "run")


def test_a_loss_that_is_not_finite_names_the_images(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the loss is (nan|inf) .*shape_0"):
        fit(dataset, config(**{"training.learning_rate": 1e30}), tmp_path)


class KillLoader(Callback):
    """Kills the processes that load images, at the start of the second epoch."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 1:
            assert trainer.train_dataloader is not None
            for process in trainer.train_dataloader._iterator._workers:
                process.kill()


def test_a_lost_loader_process_is_named(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a process that loads images was lost .* `resume=True`"):
        fit(dataset, config(**{"data.workers": 1}), tmp_path, callbacks=[KillLoader()])


def test_the_configuration_to_resume_with_has_no_measured_threshold(finished: RunFolder) -> None:
    assert load_config(finished.config).masks.soft_threshold == "auto"
    assert isinstance(Segmenter.from_pretrained(finished.root).config.masks.soft_threshold, float)
