from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from tag2mask.cli import app
from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset
from tag2mask.evaluation import crf_settings
from tag2mask.evaluation.crf_settings import judged, mean_iou_of, tallies_of, tune_crf
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks.interpret import interpret_mask
from tag2mask.models.checkpoint import RunFolder, write_prediction_options
from tests.helpers import TinyDataset

ERASING = {"prediction.crf.gaussian_weight": 200.0, "prediction.crf.gaussian_xy": 12.0, "prediction.crf.iterations": 3}
"""Settings that leave nothing but background."""

HEAD = {"prediction.scales": [1.0], "prediction.flip": False}


@pytest.fixture(autouse=True)
def few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kernel as it is and halved: enough to see a choice."""
    monkeypatch.setattr(crf_settings, "_STEPS", (0.1, 1.0))


def masked(shapes: TinyDataset, tags: bool = True) -> Dataset:
    return Dataset.load(
        shapes.images,
        shapes.tags if tags else None,
        masks=shapes.masks,
        classes=shapes.class_file,
        require_tags=False,
    )


def tallies(right: list[int], of: int = 100) -> NDArray[np.int64]:
    """Of images with one class: so many of its pixels are right, the others are background."""
    masks = [np.repeat(np.array([1, 0], np.uint8), [one, of - one]) for one in right]
    return np.stack([tallies_of(mask, np.ones(of, np.uint8), 2) for mask in masks])


def test_settings_that_erase_objects_are_replaced(shapes: TinyDataset, trained: Path) -> None:
    segmenter = Segmenter.from_pretrained(trained, device="cpu").with_options({**HEAD, **ERASING})
    dataset = masked(shapes)
    found = tune_crf(segmenter, dataset, limit=6, progress=False)
    assert found.images == 6
    assert found.is_better
    assert found.chosen == found.ranked[0]
    assert found.chosen.miou > found.today.miou + 0.05
    better = segmenter.with_options(found.options())
    for one, settings in ((found.today, segmenter), (found.chosen, better)):  # as prediction does it
        confusion = np.zeros((3, 3), np.int64)
        for record in dataset.spread(6).records:
            target, _ = interpret_mask(record.gt_mask or Path(), segmenter.classes)
            prediction = settings.predict(record.path, record.tags, unknown=record.unknown)
            confusion += confusion_matrix(prediction.mask, target, 3)
        assert one.miou == pytest.approx(mean_iou(confusion))


def test_a_gain_on_every_image_counts() -> None:
    settings = [CrfConfig(), CrfConfig(bilateral_weight=2.0)]
    found = judged(settings, np.stack([tallies([60, 61, 62, 59, 60, 63]), tallies([70, 72, 71, 69, 73, 75])]), 0)
    assert found.is_better
    assert found.options() == {"prediction.crf.bilateral_weight": 2.0}
    assert found.chosen.gain_interval[0] > 0
    assert found.unseen_gain > 0


def test_a_gain_on_one_image_of_six_is_noise() -> None:
    settings = [CrfConfig(), CrfConfig(bilateral_weight=2.0)]
    found = judged(settings, np.stack([tallies([60, 61, 62, 59, 60, 63]), tallies([59, 60, 61, 58, 59, 99])]), 0)
    assert found.ranked[0].crf == settings[1]
    assert not found.is_better
    assert found.chosen == found.today
    assert found.options() == {}
    assert "within noise, so today's settings stay" in found.summary()


def test_of_equals_todays_settings_are_first() -> None:
    same = tallies([60, 61, 62])
    found = judged([CrfConfig(enabled=False), CrfConfig()], np.stack([same, same]), 1)
    assert found.ranked[0] == found.today
    assert "today's settings are the best of 2" in found.summary()


def test_without_a_crf() -> None:
    counts = np.stack([tallies([60, 61, 62, 59, 60, 63]), tallies([70, 72, 71, 69, 73, 75])])
    assert judged([CrfConfig(), CrfConfig(enabled=False)], counts, 0).options() == {"prediction.crf.enabled": False}
    assert judged([CrfConfig(enabled=False), CrfConfig()], counts, 0).options() == {"prediction.crf.enabled": True}


def test_classes_that_the_ground_truth_lacks_do_not_count() -> None:
    one = tallies_of(np.array([0, 1, 2, 1], np.uint8), np.array([0, 1, 1, 255], np.uint8), 4)
    assert mean_iou_of(one) == pytest.approx((1 + 1 / 2) / 2)
    assert np.isnan(mean_iou_of(np.zeros((3, 4), np.int64)))


def test_without_enough_masks_nothing_is_chosen(shapes: TinyDataset, trained: Path) -> None:
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    bare = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    with pytest.raises(DataError, match="0 of 48 images have ground truth.*`masks` of at least 5 images"):
        tune_crf(segmenter, bare)
    with pytest.raises(DataError, match="2 of 2 images have ground truth"):
        tune_crf(segmenter, masked(shapes).subset(first=2))
    other = Dataset(shapes.root, ("square", "disc"), ())
    with pytest.raises(DataError, match="images of the classes disc, square"):
        tune_crf(segmenter, other)


def test_large_images_are_made_smaller(shapes: TinyDataset, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf_settings, "MOST_PIXELS", 800)
    segmenter = Segmenter.from_pretrained(trained, device="cpu").with_options(HEAD)
    assert tune_crf(segmenter, masked(shapes), limit=5, progress=False).made_smaller == 5


def test_the_command_writes_what_it_chose(shapes: TinyDataset, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.yaml", "model.safetensors", "config.yaml"):
        shutil.copy(trained / name, run)
    write_prediction_options(RunFolder(run), {**HEAD, **ERASING})
    words = ["tune-crf", str(run), str(shapes.images), "--tags", str(shapes.tags), "--masks", str(shapes.masks)]
    words += ["--limit", "6"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    [today] = [line for line in printed.output.splitlines() if line.rstrip().endswith("today")]
    assert [part.strip() for part in today.split("│")][:3] == ["5, 10 px, 5", "200, 12 px", "3"]
    assert "better than today's settings" in printed.output
    assert "--set prediction.crf." in printed.output
    before = (run / "config.yaml").read_bytes()
    result = CliRunner().invoke(app, [*words, "--write", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["written"]
    assert document["chosen"]["miou"] > document["today"]["miou"]
    stored = yaml.safe_load((run / "model.yaml").read_text())["config"]["prediction"]["crf"]
    assert stored == document["chosen"]["crf"]
    assert (run / "config.yaml").read_bytes() == before


def test_what_cannot_be_written_is_refused_before_any_work(shapes: TinyDataset, trained: Path) -> None:
    for words, message in (
        (["net.onnx", str(shapes.images), "--write"], "net.onnx is no folder of a run"),
        ([str(trained), str(shapes.images), "--write", "--set", "prediction.gate=0.1"], "--write: not with --set"),
    ):
        result = CliRunner().invoke(app, ["tune-crf", *words])
        assert result.exit_code == 1
        assert message in " ".join(result.output.split())
    with pytest.raises(ConfigError, match="takes settings of prediction alone"):
        write_prediction_options(RunFolder(trained), {"training.epochs": 2})
