"""Fixtures shared by the tests: a tiny dataset and a small network trained on it, once for all processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers import SHAPES, TinyDataset, write_shapes

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


LONGEST = (
    *("training/test_processes.py", "studio/test_training_process.py", "crf/test_compiling.py", "test_tour.py"),
    *("training/test_frozen.py", "deploy/bulk/test_ray.py", "ablation/test_ablation.py", "test_cli.py"),
    *("inference/test_onnx.py", "inference/test_review.py", "method/test_tiling.py", "test_voc2012.py"),
    *("training/test_fit.py", "test_public_api.py", "portable/test_hub.py", "hostile/test_interrupted.py"),
    *("cli/test_interruption.py", "test_recipes.py", "studio/test_front_end.py", "studio/test_studio_cli.py"),
    *("test_docs_commands.py", "training/test_frozen_surfaces.py", "hostile/test_hostile.py", "hostile/test_fuzz.py"),
)
"""Files that take longest. Among several processes they come first, so that none is busy alone at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first where several processes share the tests (`make test`)."""
    if not hasattr(config, "workerinput"):
        return
    rank = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of this session, made by the first of its processes that needs it; tests only read it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(folder.with_suffix(".lock")):
        if not folder.with_suffix(".done").exists():
            make(folder)
            folder.with_suffix(".done").touch()
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    """48 images of discs and squares with tags and exact masks."""
    return TinyDataset(once(tmp_path_factory, "shapes", lambda folder: write_shapes(folder, 48)), SHAPES)


@pytest.fixture(scope="session")
def trained(shapes: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run trained on the tags of `shapes`."""
    from tag2mask import Dataset, train

    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    options = {**TINY_OPTIONS, "training.epochs": 30, "training.loggers": []}
    return once(tmp_path_factory, "trained", lambda out: train(dataset, out, options=options))
