"""The NumPy stack against the torch one, option by option."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from tag2mask.config.schema import MaskConfig
from tag2mask.core.constants import Tag
from tag2mask.method.maps_old import contrast_stack, deep_stack, resize_maps
from tag2mask.method.torch_generate import mask_steps
from tag2mask.models import Recognition
from tag2mask.models.contrast import Contrast

BACKGROUNDS = ("soft", "prior", "prior_hard", "cams_hard", "cams")
PRESENT: tuple[list[int], ...] = ([0, 2, 3], [1], [])


def states(present: list[int], count: int = 4) -> torch.Tensor:
    tags = torch.full((1, count), int(Tag.ABSENT), dtype=torch.int8)
    tags[0, present] = Tag.PRESENT
    return tags


@pytest.mark.parametrize("size", [(14, 22), (7, 11), (5, 8), (40, 31)])
def test_resizing_is_that_of_torch(size: tuple[int, int]) -> None:
    maps = torch.rand(3, 7, 11, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(resize_maps(maps.numpy(), size), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("background", "scaling", "present"), list(product(BACKGROUNDS, ("positive", "min_max"), PRESENT))
)
def test_deep_stack(background: Any, scaling: Any, present: list[int]) -> None:
    check_deep_stack(MaskConfig(background=background, map_scaling=scaling, background_power=1.5), present)


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize(("threshold", "factor"), [("otsu", 1.0), ("otsu", 0.7), (0.3, 1.0), ("auto", 1.3)])
def test_thresholds_of_the_deep_stack(threshold: Any, factor: float, present: list[int]) -> None:
    check_deep_stack(MaskConfig(soft_threshold=threshold, soft_factor=factor, soft_prior=0.6), present)


def check_deep_stack(config: MaskConfig, present: list[int]) -> None:
    config = config.model_copy(update={"prior_layers": (-2, -1)})
    draw = torch.Generator().manual_seed(2)
    cams = torch.randn(1, 4, 6, 9, generator=draw)
    features = [torch.randn(1, 5, 12, 18, generator=draw), torch.randn(1, 8, 6, 9, generator=draw)]
    recognition = Recognition(torch.zeros(1, 4), cams, features)
    expected = mask_steps(recognition, states(present), (24, 36), config).stack[0].numpy()
    energies = [layer.abs().sum(dim=1)[0].numpy() for layer in features]
    found = deep_stack(cams[0].numpy()[present], energies, (24, 36), config)
    np.testing.assert_allclose(found, expected[[0, *(k + 1 for k in present)]], atol=2e-5)
    assert not np.delete(expected, [0, *(k + 1 for k in present)], axis=0).any()


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize("places", [(6, 9), (5, 7)])
def test_contrast_stack(present: list[int], places: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(3)
    logits, prior = torch.randn(1, 4, *places, generator=draw), torch.rand(1, *places, generator=draw)
    recognition = Recognition(torch.zeros(1, 4), logits, [], Contrast(torch.zeros(1, 4), logits, prior))
    expected = mask_steps(recognition, states(present), (24, 36), MaskConfig()).stack[0].numpy()
    found = contrast_stack(logits[0].numpy()[present], prior[0].numpy(), (24, 36), MaskConfig())
    np.testing.assert_allclose(found, expected[[0, *(k + 1 for k in present)]], atol=1e-4)
