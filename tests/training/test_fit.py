from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tag2mask.config.load import load_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset, load_dataset
from tag2mask.inference.predictor import Predictor
from tag2mask.models import TagSegmenter
from tag2mask.training.fit import choose_epochs, fit
from tag2mask.training.module import warmup_epochs
from tag2mask.training.pseudo_masks import MaskRefresh
from tests.helpers import TinyCollection, write_shapes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyCollection:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 24)


def collection(tiny: TinyCollection) -> Dataset:
    return load_dataset(tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks)


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
            **options,
        }
    )


def test_the_folder_of_a_run(tiny: TinyCollection, tmp_path: Path) -> None:
    lines: list[str] = []
    run = fit(collection(tiny), config(), tmp_path / "run", given="training: {epochs: 4}\n", report=lines.append)
    assert {path.name for path in run.root.iterdir()} == {
        "config.yaml",
        "config.given.yaml",
        "collection.json",
        "model.safetensors",
        "model.yaml",
        "checkpoints",
        "metrics.jsonl",
        "logs",
    }
    assert run.given.read_text() == "training: {epochs: 4}\n"
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert "pixel_loss" not in records[0]
    assert "pixel_loss" in records[1]
    assert len([line for line in lines if line.startswith("epoch")]) == 4
    assert any(line.startswith("training masks made anew") for line in lines)
    assert Predictor.load(run.root).classes == tiny.classes


def test_the_same_seed_gives_the_same_network(tiny: TinyCollection, tmp_path: Path) -> None:
    states = [
        load_file(fit(collection(tiny), config(**{"training.seed": seed}), tmp_path / str(index)).weights)
        for index, seed in enumerate((5, 5, 6))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize("when", [{"paper.every_step": True}, {"masks.refresh": 2}], ids=str)
def test_resuming_after_a_kill_ends_as_if_uninterrupted(
    tiny: TinyCollection, tmp_path: Path, when: dict[str, object]
) -> None:
    """A process is killed without warning in the middle; the resumed run has the very same weights."""
    options = {
        "training.epochs": 6,
        "masks.teacher_weight": 0.5,
        **when,
    }
    whole = fit(collection(tiny), config(**options), tmp_path / "whole")
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nimport tests.training.test_fit as t\n"
        "from tests.helpers import TinyCollection\n"
        "tiny = TinyCollection(Path(sys.argv[1]), ('disc', 'square'))\n"
        f"t.fit(t.collection(tiny), t.config(**{options!r}), Path(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(script), str(tiny.root), str(killed)], env=environment)
    deadline = time.monotonic() + 400
    while not (killed / "metrics.jsonl").is_file() or len((killed / "metrics.jsonl").read_text().splitlines()) < 3:
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(DataError, match="training has not ended: .* --resume"):
        Predictor.load(killed)
    resumed = fit(collection(tiny), config(**options), killed, resume=True)
    one, other = load_file(whole.weights), load_file(resumed.weights)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len(resumed.metrics.read_text().splitlines()) == 6
    thresholds = [Predictor.load(run.root).config.masks.soft_threshold for run in (whole, resumed)]
    assert isinstance(thresholds[0], float)
    assert thresholds[0] == thresholds[1]


def test_a_folder_with_a_run_is_not_overwritten(tiny: TinyCollection, tmp_path: Path) -> None:
    fit(collection(tiny), config(**{"training.epochs": 1}), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="there is a run here already; continue it with --resume"):
        fit(collection(tiny), config(**{"training.epochs": 1}), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_resuming_with_other_classes_images_or_settings(tiny: TinyCollection, tmp_path: Path) -> None:
    fit(collection(tiny), config(**{"training.epochs": 1}), tmp_path)
    other = load_dataset(tiny.images, tiny.tags, classes=("square", "disc"), masks=tiny.masks)
    with pytest.raises(
        DataError, match=r"has the classes \['disc', 'square'\], the collection has \['square', 'disc'\]"
    ):
        fit(other, config(**{"training.epochs": 1}), tmp_path, resume=True)
    with pytest.raises(DataError, match=r"the images or tags have changed .* \(24 images then, 20 now\)"):
        fit(collection(tiny).subset(range(20)), config(**{"training.epochs": 1}), tmp_path, resume=True)
    with pytest.raises(ConfigError, match="training.seed was 0, is 1"):
        fit(collection(tiny), config(**{"training.epochs": 1, "training.seed": 1}), tmp_path, resume=True)


def test_masks_are_made_anew_on_time_and_not_just_before_the_end(tiny: TinyCollection, tmp_path: Path) -> None:
    lines: list[str] = []
    options = {"training.epochs": 10, "training.warmup": 0.1, "masks.refresh": 4}
    run = fit(collection(tiny), config(**options), tmp_path, report=lines.append)
    of_epochs = [line for line in lines if line.startswith(("epoch ", "training masks made anew"))]
    made = [number for number, line in enumerate(of_epochs) if not line.startswith("epoch ")]
    assert made == [1, 6]  # before the second and the sixth epoch, not before the tenth
    seconds = [json.loads(line)["mask_seconds"] for line in run.metrics.read_text().splitlines()]
    assert [value > 0 for value in seconds] == [number in (1, 5) for number in range(10)]
    assert not run.training_masks.exists()


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_the_time_of_an_epoch_holds_that_of_its_masks(
    tiny: TinyCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warmup: float
) -> None:
    original = MaskRefresh.__call__

    def slow(self: MaskRefresh, network: TagSegmenter, **options: Any) -> float:
        time.sleep(3)
        return original(self, network, **options)

    monkeypatch.setattr(MaskRefresh, "__call__", slow)
    lines: list[str] = []
    options = {"training.epochs": 2, "training.warmup": warmup, "masks.refresh": 4, "data.workers": 1}
    run = fit(collection(tiny), config(**options), tmp_path, report=lines.append)
    epochs = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [epoch["mask_seconds"] > 3 for epoch in epochs] == [warmup == 0, warmup > 0]
    assert all(epoch["seconds"] > epoch["mask_seconds"] for epoch in epochs)
    said = [float(line.split(" images/s")[0].split()[-1]) for line in lines if " images/s" in line]
    assert said == pytest.approx([24 / (epoch["seconds"] - epoch["mask_seconds"]) for epoch in epochs], rel=0.05)


@pytest.mark.parametrize("when", [{"paper.every_step": True}, {"masks.refresh": 2}], ids=str)
def test_the_threshold_is_measured_once_and_goes_with_the_network(
    tiny: TinyCollection, tmp_path: Path, when: dict[str, object]
) -> None:
    lines: list[str] = []
    run = fit(collection(tiny), config(**when), tmp_path, report=lines.append)
    [line] = [line for line in lines if line.startswith("evidence of foreground is cut at")]
    assert lines[0].startswith("epoch 1/")  # of warm-up, before there is any evidence
    assert lines[1] == line
    threshold = Predictor.load(run.root).config.masks.soft_threshold
    assert isinstance(threshold, float)
    assert float(line.split(" at ")[1].split(",")[0]) == pytest.approx(threshold, abs=0.001)
    assert load_config(run.config).masks.soft_threshold == "auto"  # what --resume compares with


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
    tiny: TinyCollection, tmp_path: Path, options: dict[str, object]
) -> None:
    lines: list[str] = []
    chosen = config(**options, **{"training.epochs": 2})
    run = fit(collection(tiny), chosen, tmp_path, report=lines.append)
    assert not any("cut at" in line for line in lines)
    assert Predictor.load(run.root).config.masks.soft_threshold == chosen.masks.soft_threshold



def test_masks_that_were_taken_away_are_made_again_on_resuming(tiny: TinyCollection, tmp_path: Path) -> None:
    lines: list[str] = []

    def stop_after_three(line: str) -> None:
        if line.startswith("epoch 3/"):
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fit(collection(tiny), config(**{"training.epochs": 6}), tmp_path, report=stop_after_three)
    shutil.rmtree(tmp_path / "training-masks")
    fit(collection(tiny), config(**{"training.epochs": 6}), tmp_path, resume=True, report=lines.append)
    assert lines[0].startswith("training masks made anew")


def test_nothing_to_resume(tiny: TinyCollection, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="nothing to resume here"):
        fit(collection(tiny), config(), tmp_path, resume=True)


def test_output_that_cannot_be_written(tiny: TinyCollection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot create this folder .* choose another --out"):
        fit(collection(tiny), config(), tmp_path / "file" / "run")


def test_a_loss_that_is_not_finite_names_the_images(tiny: TinyCollection, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the loss is (nan|inf) .*shape_0"):
        fit(collection(tiny), config(**{"training.learning_rate": 1e30}), tmp_path)


def test_epochs_follow_the_size_of_the_collection() -> None:
    assert choose_epochs(Config(), 800) == 15
    assert choose_epochs(Config(), 10) == 100
    assert choose_epochs(Config(), 300_000) == 4
    assert choose_epochs(Config().override({"training.epochs": 7}), 10) == 7


def test_warmup_leaves_room_for_the_rest() -> None:
    fifth = Config().override({"training.warmup": 0.2})
    assert warmup_epochs(fifth, 20) == 4
    assert warmup_epochs(fifth, 2) == 0  # a probed classifier needs none
    assert warmup_epochs(fifth.override({"training.probe": False}), 2) == 1
    assert warmup_epochs(fifth.override({"model.contrast_stages": [0]}), 2) == 1
    assert warmup_epochs(fifth, 1) == 0
    assert warmup_epochs(Config().override({"training.warmup": 1.0}), 8) == 7
    assert warmup_epochs(Config().override({"training.supervision": "masks"}), 20) == 0
