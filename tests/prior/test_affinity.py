from __future__ import annotations

import torch

from tag2mask.prior.affinity import feature_affinity, propagate


def test_class_maps_spread_to_what_looks_alike() -> None:
    """Two regions of different features; evidence on one pixel fills its own region alone."""
    features = torch.zeros(1, 2, 4, 4)
    features[:, 0, :, :2] = 1.0
    features[:, 1, :, 2:] = 1.0
    affinity = feature_affinity([features], (4, 4))
    assert torch.allclose(affinity.sum(dim=2), torch.ones(1, 16), atol=1e-5)
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 0] = 8.0
    spread = propagate(maps, affinity)
    assert torch.allclose(spread[0, 0, :, :2], torch.ones(4, 2), atol=1e-5)
    assert torch.allclose(spread[0, 0, :, 2:], torch.zeros(4, 2), atol=1e-5)
    assert torch.allclose(propagate(maps, affinity, steps=3), spread, atol=1e-5)


def test_layers_of_other_sizes_are_brought_to_the_grid() -> None:
    torch.manual_seed(0)
    layers = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)]
    affinity = feature_affinity(layers, (4, 4), power=1.0)
    assert affinity.shape == (2, 16, 16)
    assert (affinity >= 0).all()
    assert torch.allclose(affinity.sum(dim=2), torch.ones(2, 16), atol=1e-5)


def test_an_image_without_contrast_stays_finite() -> None:
    affinity = feature_affinity([torch.ones(1, 3, 4, 4)], (4, 4))
    assert propagate(torch.rand(1, 2, 4, 4), affinity).isfinite().all()
