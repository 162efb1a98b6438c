"""Frozen features for surfaces: spots and lines on unevenly lit plates, found from tags."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tag2mask import Dataset, Segmenter, evaluate, train
from tag2mask.config import Config
from tag2mask.config.load import on_preset
from tag2mask.core.errors import ConfigError
from tag2mask.images.decode import read_image
from tag2mask.masks import write_mask
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.feature_store import feature_store
from tests.training.test_frozen import CPU, OPTIONS

NAMES = ("spot", "line")
SURFACES = {
    "data.image_size": 128,
    "model.backbone": OPTIONS["model.backbone"],
    "model.weights": OPTIONS["model.weights"],
    "model.contrast_stages": [0, 1],
    "model.feature_channels": 32,
    "model.head_channels": 32,
    "training.epochs": 60,
    "training.batch_size": 8,
    "training.precision": "32-true",
    "training.loggers": [],
}


def plate(rng: np.random.Generator, kind: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image (128, 128, 3) lit from one side, with a rough spot (1), a line (2) or nothing (0); and its mask."""
    rows, columns = np.mgrid[:128, :128] / 127
    light = 90 + 90 * (columns if rng.random() < 0.5 else rows)
    mask = np.zeros((128, 128), np.uint8)
    x, y = (int(value) for value in rng.integers(25, 100, 2))
    if kind == 1:
        cv2.circle(mask, (x, y), int(rng.integers(10, 16)), 1, -1)
    elif kind == 2:
        cv2.line(mask, (x, 10), (127 - x, 117), 2, 4)
    light = light + np.choose(mask, [0, -40, 50]) + rng.normal(0, 1, mask.shape) * np.choose(mask, [3, 20, 3])
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2), mask


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 plates with tags and exact masks."""
    folder = tmp_path_factory.mktemp("plates")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    rows = [("image", "tags")]
    for number in range(36):
        image, mask = plate(np.random.default_rng(number), number % 3)
        name = f"{number:02}.png"
        cv2.imwrite(str(folder / "images" / name), image)
        write_mask(folder / "masks" / name, mask)
        rows.append((name, NAMES[number % 3 - 1] if number % 3 else "none"))
    with (folder / "tags.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return folder


@pytest.fixture(scope="module")
def dataset(plates: Path) -> Dataset:
    return Dataset.load(plates / "images", plates / "tags.csv", classes=plates / "classes.txt")


def store_of(dataset: Dataset, folder: Path) -> tuple[FrozenSegmenter, FeatureStore]:
    config = on_preset("frozen-surfaces", {}).override(SURFACES)
    torch.manual_seed(0)
    network = build_network(config, len(NAMES))
    assert isinstance(network, FrozenSegmenter)
    return network, feature_store(network, dataset.records, config, folder, read=read_image, device=CPU)


def test_first_masks_follow_what_stands_out_in_uneven_light_and_training_goes_on(
    dataset: Dataset, plates: Path, tmp_path: Path
) -> None:
    out, config = tmp_path / "run", on_preset("frozen-surfaces", {}).override(SURFACES)
    train(dataset, out, config=config, first_masks=True, make_report=False, progress=False)
    first = evaluate(out / "masks", plates / "masks", plates / "classes.txt")
    assert first.miou > 0.6
    train(dataset, out, config=config, resume=True, make_report=False, progress=False)
    trained = Segmenter.from_pretrained(out)
    trained.predict_folder(plates / "images", tmp_path / "found", progress=False)
    assert evaluate(tmp_path / "found", plates / "masks", plates / "classes.txt").miou > 0.6


def test_what_is_kept_is_what_the_network_computes(dataset: Dataset, tmp_path: Path) -> None:
    network, store = store_of(dataset, tmp_path)
    again, kept = store_of(dataset, tmp_path)
    assert network.surface is not None and again.surface is not None
    assert torch.equal(network.surface.project.weight, again.surface.project.weight)
    features = kept.features(4, CPU)
    image = cv2.imread(str(dataset.records[4].path))
    assert image is not None
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    given = again.backbone.preprocessing
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (given.mean, given.std))
    computed = again.features((pixels - mean) / std)
    assert features.differences is not None and computed.differences is not None
    assert features.contrast_prior is not None and computed.contrast_prior is not None
    assert features.differences.shape == (1, again.surface.channels, 32, 32)
    assert torch.allclose(features.differences, computed.differences, atol=0.05)
    assert torch.allclose(features.contrast_prior, computed.contrast_prior, atol=2e-3)
    assert store.bytes == kept.bytes


def test_a_network_of_surfaces_has_no_first_masks_unless_frozen(dataset: Dataset, tmp_path: Path) -> None:
    config = Config().override({key: value for key, value in SURFACES.items() if key != "model.feature_channels"})
    with pytest.raises(ConfigError, match="model.frozen=true where there are model.contrast_stages"):
        train(dataset, tmp_path / "run", config=config, first_masks=True, progress=False)
