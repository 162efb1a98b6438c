"""When pseudo masks are written and the threshold is measured, and what that counts as in the record of epochs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tag2mask import Segmenter
from tag2mask.data import Dataset
from tag2mask.masks import write_mask
from tag2mask.training.fit import fit
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tests.helpers import write_shapes
from tests.training.test_fit import config

WRITTEN, MEASURED, EPOCH = "pseudo masks written", "threshold of the evidence", "epoch "


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    tiny = write_shapes(tmp_path_factory.mktemp("shapes"), 24)
    return Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks)


def epochs_of(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(messages: list[str]) -> str:
    """The order of what was logged: (t)hreshold, (m)asks, (e)poch."""
    letters = {MEASURED: "t", WRITTEN: "m", EPOCH: "e"}
    return "".join(letter for line in messages for start, letter in letters.items() if line.startswith(start))


def test_masks_are_written_on_time_and_not_just_before_the_end(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every four epochs after one of warm-up, but not for the last one alone; the threshold is measured once."""
    options = {"training.epochs": 10, "training.warmup": 0.1, "masks.refresh": 4}
    with caplog.at_level(logging.INFO, "tag2mask"):
        run = fit(dataset.subset(range(8)), config(**options), tmp_path)
    assert kinds(caplog.messages) == "e" + "tmeeee" + "meeeee"
    seconds = [epoch["mask_seconds"] for epoch in epochs_of(run.metrics)]
    assert [value > 0 for value in seconds] == [number in (1, 5) for number in range(10)]
    assert not run.training_masks.exists()
    [line] = [line for line in caplog.messages if line.startswith(MEASURED)]
    threshold = Segmenter.from_pretrained(run.root).config.masks.soft_threshold
    assert isinstance(threshold, float)
    assert float(line.split(": ")[1].split(",")[0]) == pytest.approx(threshold, abs=0.001)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Watch(Callback):
    """Lets a step take two seconds, and keeps which values the masks of each epoch have."""

    def __init__(self, clock: Clock):
        self.clock = clock
        self.values: dict[int, set[int]] = {}

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.clock.now += 2
        found = torch.unique(batch["mask"][~batch["outside"]]).tolist()
        self.values.setdefault(trainer.current_epoch, set()).update(found)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_masks_are_there_before_the_first_sample_and_their_time_is_told_apart(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, warmup: float
) -> None:
    """Loader processes read ahead, so the first epoch's masks must be on disk before training starts."""
    clock = Clock()
    for module in ("pseudo_masks", "epoch_record"):
        monkeypatch.setattr(f"tag2mask.training.callbacks.{module}.time", SimpleNamespace(monotonic=clock.monotonic))

    def write_ones(self: PseudoMaskFiles, *_: Any, **__: Any) -> float:
        for index in self.wanted:
            write_mask(self.path(index), np.ones((24, 32), np.uint8))
        clock.now += 30
        return 0.25

    monkeypatch.setattr(PseudoMaskFiles, "write", write_ones)
    options = {"training.epochs": 2, "training.warmup": warmup, "data.workers": 1, "data.colour_jitter": 0}
    watch = Watch(clock)
    with caplog.at_level(logging.INFO, "tag2mask"):
        run = fit(dataset, config(**options), tmp_path, callbacks=[watch])
    first = 0 if warmup == 0 else 1  # the epoch with new masks, counted from 0
    assert watch.values == {epoch: {int(epoch >= first)} for epoch in (0, 1)}
    epochs = epochs_of(run.metrics)
    assert [epoch["mask_seconds"] for epoch in epochs] == [30 if epoch == first else 0 for epoch in (0, 1)]
    assert [epoch["seconds"] for epoch in epochs] == [36 if epoch == first else 6 for epoch in (0, 1)]
    lines = [line for line in caplog.messages if line.startswith(EPOCH)]
    assert len(lines) == 2
    assert all(" 4.0 images/s" in line for line in lines)  # 24 images in 6 seconds
    assert "pseudo masks written in 30 s; without foreground: 25.0%" in caplog.messages


@pytest.mark.parametrize(
    "options",
    [{}, {"training.precision": "bf16-mixed", "training.average": 0, "model.freeze_norm": False}],
    ids=["teacher", "bfloat16 without teacher"],
)
def test_masks_at_every_step(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, object]
) -> None:
    """The threshold is measured after warm-up; no file is written; the time counts as that of masks."""
    chosen = config(**{"paper.every_step": True, "training.epochs": 3, "training.warmup": 0.34, **options})
    with caplog.at_level(logging.INFO, "tag2mask"):
        run = fit(dataset.subset(range(16)), chosen, tmp_path)
    assert kinds(caplog.messages) == "etee"
    epochs = epochs_of(run.metrics)
    assert [epoch["mask_seconds"] > 0 for epoch in epochs] == [False, True, True]
    assert [np.isfinite(epoch.get("pixel_loss", np.inf)) for epoch in epochs] == [False, True, True]
    assert all(epoch["seconds"] >= epoch["mask_seconds"] for epoch in epochs)
    assert isinstance(Segmenter.from_pretrained(run.root).config.masks.soft_threshold, float)


@pytest.mark.parametrize(
    "options",
    [
        {"masks.soft_threshold": 0.3},
        {"masks.soft_threshold": "otsu"},
        {"paper.background": "prior"},
        {"training.supervision": "masks"},
        {"model.contrast_stages": [0, 1]},
    ],
    ids=str,
)
def test_no_threshold_is_measured_where_none_is_asked_for(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr(PseudoMaskFiles, "measure", None)
    chosen = config(**options, **{"training.epochs": 1, "training.warmup": 0})
    run = fit(dataset.subset(range(8)), chosen, tmp_path)
    assert Segmenter.from_pretrained(run.root).config.masks.soft_threshold == chosen.masks.soft_threshold


def test_a_dataset_without_tags_has_no_threshold(dataset: Dataset, tmp_path: Path) -> None:
    """The joint phase goes on with the image's own threshold."""
    bare = dataset.subset([index for index, record in enumerate(dataset.records) if not record.present])
    run = fit(bare, config(**{"training.epochs": 2}), tmp_path)
    assert Segmenter.from_pretrained(run.root).config.masks.soft_threshold == "auto"
    assert [epoch["no_foreground"] for epoch in epochs_of(run.metrics)[1:]] == [0]
