"""Fixtures shared by the tests: a tiny dataset and a small network trained on it, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import TinyDataset, write_shapes

TINY_OPTIONS = {
    "data.image_size": 64,
    "data.crop_size": 64,
    "data.workers": 0,
    "model.backbone": "test_resnet",
    "model.weights": "none",
    "model.freeze_norm": False,
    "model.freeze_stages": 0,
    "model.output_stride": 8,
    "model.head_channels": 32,
    "masks.soft_prior": 0.0,
    "masks.soft_threshold": 0.3,
    "masks.crf.bilateral_xy": 10,
    "prediction.crf.bilateral_xy": 10,
    "training.average": 0.9,
    "training.warmup": 0.2,
    "training.learning_rate": 3e-3,
    "training.head_factor": 2.0,
    "training.batch_size": 8,
    "training.precision": "32-true",
}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    """48 images of discs and squares with tags and exact masks."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), 48)


@pytest.fixture(scope="session")
def trained(shapes: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run trained on the tags of `shapes`."""
    from tag2mask import Dataset, train

    out = tmp_path_factory.mktemp("runs") / "shapes"
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    train(dataset, out, options={**TINY_OPTIONS, "training.epochs": 30, "training.loggers": []})
    return out
