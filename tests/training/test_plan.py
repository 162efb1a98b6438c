"""A plan says what a training takes and writes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tag2mask import Dataset
from tag2mask.core.errors import DataError
from tag2mask.demo import write_dataset
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.plan import plan_training, planned_parts
from tag2mask.training.settings import resolve
from tests.training.test_feature_store import store_of
from tests.training.test_frozen import OPTIONS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """12 generated scenes."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, train=12, val=1, seed=0)
    return Dataset.load(folder / "train" / "images", folder / "train" / "tags.csv", classes=folder / "classes.txt")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    return {**OPTIONS, "data.cache": str(tmp_path / "cache"), "model.contrast_stages": []}


def test_room_is_what_the_features_take_and_those_that_are_there_are_left_out(
    dataset: Dataset, options: dict[str, object], tmp_path: Path
) -> None:
    plan = plan_training(dataset, tmp_path / "run", options=options, progress=False)
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()
    stages = {one.name: one for one in plan.stages}
    assert {"features", "decoder, 12 epochs", "pseudo masks, 3 times", "masks of all images"} <= set(stages)
    store = store_of(dataset.records, tmp_path / "cache" / "features")
    assert stages["features"].bytes == store.bytes and plan.bytes > store.bytes and plan.seconds > 0
    again = plan_training(dataset, tmp_path / "run", options=options, progress=False)
    assert [one.bytes for one in again.stages if one.name == "features"] == [0]
    assert "The features of 12 images are there." in again.summary()


def test_too_little_room_is_said_with_bytes(
    dataset: Dataset, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    plan = plan_training(dataset, tmp_path / "run", options=options, progress=False)
    assert f"Not enough room: {plan.bytes:,} bytes are needed, 10 are free" in plan.summary()
    assert "Not known: " in plan.summary() and plan.to_dict()["free"] == 10


def test_parts_for_the_line_of_progress_are_counted_as_progress_counts_them(
    dataset: Dataset, options: dict[str, object], tmp_path: Path
) -> None:
    config = resolve(None, options).config
    parts = planned_parts(dataset, config, RunFolder(tmp_path / "run"), device=torch.device("cpu"))
    assert [one.what for one in parts] == ["features", "steps", "pseudo masks", "masks"]
    counts = {one.what: one.units for one in parts}
    steps = 12 * math.ceil(12 / config.training.batch_size)
    assert counts == {"features": 12, "steps": steps, "pseudo masks": 3 * 12, "masks": 12}
    assert all((one.seconds or 0) > 0 for one in parts) and not (tmp_path / "run").exists()


def test_a_network_that_is_trained_whole_keeps_no_features(
    dataset: Dataset, options: dict[str, object], tmp_path: Path
) -> None:
    given = {key: value for key, value in options.items() if not key.startswith("model.f")}
    given |= {"data.crop_size": 64, "training.batch_size": 2}
    plan = plan_training(dataset, tmp_path / "run", options=given, progress=False)
    assert "features" not in [one.name for one in plan.stages]
    assert "network, 12 epochs" in [one.name for one in plan.stages]


def test_images_that_cannot_be_decoded_are_said(dataset: Dataset, options: dict[str, object], tmp_path: Path) -> None:
    for record in dataset.records:
        record.path.write_bytes(b"no image")
    with pytest.raises(DataError, match="none of 12 images can be decoded; the first: .*0000"):
        plan_training(dataset, tmp_path / "run", options=options, progress=False)
