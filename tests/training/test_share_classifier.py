"""The classifier that shares foreground among classes, fitted to tags alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tag2mask.config import Config
from tag2mask.demo import BACKBONE
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.models.frozen import FrozenFeatures
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.share_classifier import fit_share_classifier

CHANNELS, GRID = 16, 8


def made_store(count: int, *, seed: int = 0) -> tuple[FeatureStore, NDArray[np.int8], NDArray[np.int64]]:
    """Features of images with three classes, each a direction of its own, the first one in nine images of ten.

    Returns:
        The features as a store, tags (N, 3), and the class of each pixel (N, GRID, GRID), -1 for background.
    """
    rng = np.random.default_rng(seed)
    directions = 3 * np.linalg.qr(rng.normal(size=(CHANNELS, 4)))[0].T
    tags = np.full((count, 3), -1, np.int8)
    truth = np.full((count, GRID, GRID), -1)
    for index in range(count):
        present = [c for c, chance in enumerate((0.9, 0.4, 0.4)) if rng.random() < chance]
        for place, c in enumerate(present):
            truth[index, 2:6, 2 * place + 1 : 2 * place + 3] = c
            tags[index, c] = 1
        tags[index, [c for c in range(3) if c not in present]] = 0
    features = torch.from_numpy(directions[truth] + 0.5 * rng.normal(size=(*truth.shape, CHANNELS))).float()
    maps = features.permute(0, 3, 1, 2).contiguous()

    def whole(index: int, device: torch.device) -> FrozenFeatures:
        energy = torch.from_numpy((truth[index] >= 0).astype(np.float32))[None]
        return FrozenFeatures(maps[index : index + 1], energy, maps[index : index + 1].mean(dim=(2, 3)), None)

    store = SimpleNamespace(maps=lambda index: maps[index], features=whole)
    return cast(FeatureStore, store), tags, truth


def network_for(tags: NDArray[np.int8], store: Any) -> tuple[FrozenSegmenter, Config]:
    """A frozen network whose tag classifier gives the first class all foreground, as its class map does."""
    config = Config().override(
        {
            "model.frozen": True,
            "model.backbone": BACKBONE,
            "model.weights": "none",
            "model.output_stride": 8,
            "model.feature_channels": CHANNELS,
            "masks.soft_prior": 1.0,
        }
    )
    torch.manual_seed(0)
    network = build_network(config, 3)
    assert isinstance(network, FrozenSegmenter)
    network.recognition.tags = torch.nn.Linear(CHANNELS, 3)
    average = torch.stack([store.maps(index).mean(dim=(1, 2)) for index in range(len(tags))])
    with torch.no_grad():
        network.recognition.classifier.weight.copy_(0.1 * average.mean(dim=0).expand(3, -1))
    return network.eval(), config


def test_classes_that_always_come_together_are_told_apart_by_those_that_lack_one() -> None:
    store, tags, truth = made_store(60)
    network, config = network_for(tags, store)
    layer = network.recognition.shares
    assert layer is not None
    before = (layer.weight.clone(), network.recognition.classifier.weight.clone())
    first = fit_share_classifier(network, store, tags, config)
    named = [
        layer(store.maps(index).permute(1, 2, 0)).argmax(dim=-1).numpy()[truth[index] >= 0]
        for index in range(len(tags))
    ]
    right = np.concatenate(named) == truth[truth >= 0]
    assert right.mean() > 0.95
    assert not torch.equal(layer.weight, before[0])
    assert torch.equal(network.recognition.classifier.weight, before[1])
    again, _ = network_for(tags, store)
    assert fit_share_classifier(again, store, tags, config) == pytest.approx(first)
    assert again.recognition.shares is not None and torch.equal(again.recognition.shares.weight, layer.weight)


def test_without_any_present_class_nothing_is_fitted() -> None:
    store, tags, _ = made_store(4)
    network, config = network_for(tags, store)
    assert fit_share_classifier(network, store, np.zeros_like(tags), config) == 0.0
