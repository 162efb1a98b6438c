from __future__ import annotations

import pytest
import torch

from tag2mask.models import Preprocessing
from tag2mask.models.inputs import network_input, normalise

PREPROCESSING = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def denormalise(floats: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """The uint8 images that normalised ones were."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return ((floats * std + mean) * 255).round().to(torch.uint8)


def test_normalise_and_back() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    floats = normalise(images, PREPROCESSING)
    assert float(floats[0, 1, 0, 0]) == pytest.approx(-2.0)
    assert torch.equal(denormalise(floats, PREPROCESSING), images)


def test_network_input_is_channels_last() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = network_input(images, PREPROCESSING)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(denormalise(batch, PREPROCESSING), images)
