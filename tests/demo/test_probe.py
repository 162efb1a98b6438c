"""Frozen pretrained features separate the demo's classes better than random ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tag2mask.demo import demo_weights

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pretrain_demo.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("pretrain_demo", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.thorough
def test_a_linear_probe_prefers_the_pretrained_backbone(script: Any) -> None:
    train, val = script.render_scenes(1, 80), script.render_scenes(2, 60)
    random = script.probe(script.random_backbone(train), train, val)
    pretrained = script.probe(script.make_backbone(load_file(demo_weights())), train, val)
    assert pretrained.tag_map > random.tag_map + 10.0, (pretrained, random)
    assert pretrained.cam_miou > random.cam_miou + 5.0, (pretrained, random)
    assert pretrained.prior_auc > 60.0, (pretrained, random)


def test_area_under_roc_agrees_with_counting_pairs(script: Any) -> None:
    rng = np.random.default_rng(0)
    values, positive = rng.permutation(200) / 200.0, rng.random(200) < 0.3
    expected = 100.0 * np.mean(values[positive][:, None] > values[~positive][None])
    assert script.area_under_roc(torch.tensor(values), torch.tensor(positive)) == pytest.approx(expected)


def test_mean_average_precision_of_a_known_order(script: Any) -> None:
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    tags = torch.tensor([[True, True], [False, False], [True, True]])
    first, second = (1.0 + 2.0 / 3.0) / 2.0, (1.0 + 2.0 / 3.0) / 2.0
    assert script.mean_average_precision(scores, tags) == pytest.approx(100.0 * (first + second) / 2.0)


def test_miou_of_perfect_maps_is_full(script: Any) -> None:
    masks = torch.tensor([[[0, 1], [2, 2]]], dtype=torch.uint8)
    maps = torch.stack([masks == 1, masks == 2], dim=1).float()
    assert script.miou_of(maps, masks, 0.5) == pytest.approx(100.0)
