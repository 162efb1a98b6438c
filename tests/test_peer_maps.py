"""Peers get the same classifier as we do, and layers that they can use."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tag2mask.config import Config
from tag2mask.models.network import TagSegmenter


@pytest.fixture
def peer_maps(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("peer_maps")


def network(backbone: str) -> TagSegmenter:
    torch.manual_seed(0)
    config = Config().override({"model.backbone": backbone, "model.weights": "none"})
    return TagSegmenter(config, 3).eval()


def test_the_same_logits_and_the_gradient_of_the_class_map(peer_maps: Any) -> None:
    whole = network("test_resnet")
    model = peer_maps.TagClassifier(whole).eval()
    images = torch.rand(2, 3, 64, 96)
    recognition = whole.recognise(images)
    torch.testing.assert_close(model(images), recognition.tag_logits)
    seen: list[torch.Tensor] = []
    model.last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = model(images)
    [gradient] = torch.autograd.grad(logits[:, 1].sum(), seen)
    maps = (gradient.mean(dim=(2, 3), keepdim=True) * seen[0]).sum(dim=1) * seen[0][0, 0].numel()
    torch.testing.assert_close(maps, recognition.cams[:, 1])


@pytest.mark.parametrize("backbone", ["test_resnet", "tf_efficientnet_lite0"])
def test_the_layer_of_an_earlier_stage(peer_maps: Any, backbone: str) -> None:
    model = peer_maps.TagClassifier(network(backbone)).eval()
    layer = model.stage(-2, 64)
    assert layer is not None
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    images = torch.rand(1, 3, 64, 64)
    model.deep = False
    logits = model(images)
    torch.testing.assert_close(seen[0], model.backbone(images)[-2])
    [gradient] = torch.autograd.grad(logits.sum(), seen[:1])
    assert gradient.abs().sum() > 0


def test_maps_are_enlarged_one_by_one(peer_maps: Any) -> None:
    assert peer_maps.resized(np.ones((2, 4, 6), np.float32), (8, 9)).shape == (2, 8, 9)
    assert peer_maps.resized(np.empty((0, 4, 6), np.float32), (8, 9)).shape == (0, 8, 9)
