from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tag2mask.demo import BACKBONE, CLASSES, IMAGE_MEAN, IMAGE_STD, demo_weights
from tag2mask.demo.objects import BUILDERS, CLASS_SHAPES, CLASS_TEXTURES
from tag2mask.demo.pretraining import (
    CLASS_NAMES,
    SHAPES,
    TEXTURES,
    TEXTURES_PER_SHAPE,
    make_object,
    make_recognition_image,
)


def test_no_shape_or_texture_is_shared_with_the_demo() -> None:
    assert set(CLASSES) == set(BUILDERS) == CLASS_SHAPES
    assert not CLASS_SHAPES & SHAPES.keys()
    assert not CLASS_TEXTURES & TEXTURES.keys()


def test_classes_are_pairs_of_shape_and_texture_that_neither_alone_determines() -> None:
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES) == TEXTURES_PER_SHAPE * len(SHAPES) == 96
    pairs = [name.split("/") for name in CLASS_NAMES]
    assert {shape for shape, _ in pairs} == SHAPES.keys()
    for texture in TEXTURES:
        assert sum(other == texture for _, other in pairs) >= 2


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_every_object_fits_its_coordinates(name: str) -> None:
    shape, texture = name.split("/")
    parts = make_object(np.random.default_rng(0), shape, texture)
    corners = np.concatenate([part.outline for part in parts])
    assert np.isfinite(corners).all() and np.abs(corners).max() < 1.5
    assert np.ptp(corners, axis=0).min() > 0.4


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_stay_in_range_and_vary(texture: str) -> None:
    v, u = np.mgrid[-1:1:0.02, -1:1:0.02].astype(np.float32)
    values = TEXTURES[texture](np.random.default_rng(1))(u, v)
    assert values.shape == u.shape and values.dtype == np.float32
    assert values.min() >= 0.0 and values.max() <= 1.0 and values.std() > 0.1


def test_equal_seeds_give_equal_images() -> None:
    first, again = (make_recognition_image(np.random.default_rng(4), 17, (96, 128)) for _ in range(2))
    assert first.shape == (96, 128, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)


def test_the_weights_are_small_and_belong_to_the_backbone() -> None:
    assert demo_weights().stat().st_size <= 2_000_000
    weights = load_file(demo_weights())
    network = timm.create_model(BACKBONE, pretrained=False, features_only=True)
    result = network.load_state_dict(weights)
    assert not result.missing_keys and not result.unexpected_keys
    for name, tensor in weights.items():
        assert torch.isfinite(tensor.float()).all(), name
        assert tensor.dtype == (torch.int64 if name.endswith("num_batches_tracked") else torch.float16)


def test_metadata_of_the_weights_describe_the_training() -> None:
    with safe_open(demo_weights(), framework="pt") as file:
        facts: dict[str, str] = file.metadata()
    assert facts["name"] == BACKBONE and facts["script"] == "benchmarks/pretrain_demo.py"
    assert json.loads(facts["classes"]) == list(CLASS_NAMES)
    assert json.loads(facts["mean"]) == list(IMAGE_MEAN) and json.loads(facts["std"]) == list(IMAGE_STD)
    assert isinstance(json.loads(facts["seed"]), int)


def test_normalisation_is_that_of_timm() -> None:
    config: Any = timm.get_pretrained_cfg(BACKBONE)
    assert config.mean == IMAGE_MEAN and config.std == IMAGE_STD
