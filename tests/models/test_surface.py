"""What stands out from a surface, by frozen shallow features."""

from __future__ import annotations

import pytest
import torch

from tag2mask.models.surface import SurfaceContrast, background_plane
from tests.models.test_frozen import VIT, images, network


def uneven(height: int = 32, width: int = 40) -> torch.Tensor:
    """Features (1, 3, height, width) that change evenly across the image."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([1 + 4 * columns, 3 - 2 * rows, 1 + rows + columns])[None]


def test_a_plane_is_found_whole() -> None:
    features = uneven()
    assert torch.allclose(background_plane(features), features, atol=1e-3)


def test_what_is_to_be_found_does_not_bend_the_plane() -> None:
    clean = uneven()
    features = clean + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    features[..., 4:14, 25:38] += 3.0
    robust = (background_plane(features) - clean).abs().mean()
    squares = (background_plane_of_least_squares(features) - clean).abs().mean()
    assert robust < 0.5 * squares


def background_plane_of_least_squares(features: torch.Tensor) -> torch.Tensor:
    """The plane where every pixel weighs alike, by another route."""
    height, width = features.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    basis = torch.stack([torch.ones(height, width), rows.float(), columns.float()]).flatten(1).T
    solution = torch.linalg.lstsq(basis, features[0].flatten(1).T).solution
    plane: torch.Tensor = (basis @ solution).T.reshape(features.shape)
    return plane


def test_uneven_lighting_does_not_stand_out_but_a_spot_does() -> None:
    head = SurfaceContrast([0], [3], [4], num_classes=2)
    features = uneven()
    features[..., 10:14, 10:14] *= torch.tensor([0.2, 2.0, 1.0])[:, None, None]
    prior = head.joined([features]).prior[0]
    assert prior[11:13, 11:13].min() > 20 * prior[20:, 20:].max()


def test_a_backbone_whose_first_stage_is_coarse_is_said(caplog: pytest.LogCaptureFixture) -> None:
    options = {"model.backbone": VIT["backbone"], "model.backbone_args": VIT["backbone_args"]}
    coarse = network(**options, **{"model.output_stride": 16, "model.contrast_stages": [0, 1]})
    assert "the finest stage of model.contrast_stages has stride 16" in caplog.text
    assert coarse.both(images())[1].shape == (2, 4, 4, 6)


def test_pixels_are_decoded_on_the_grid_of_the_differences() -> None:
    recognition, logits = network(**{"model.contrast_stages": [0, 1, 2]}).both(images())
    assert logits.shape == (2, 4, 16, 24)
    contrast = recognition.contrast
    assert contrast is not None
    assert contrast.logits.shape == (2, 3, 16, 24)
    assert contrast.prior.shape == (2, 16, 24) and (contrast.prior >= 0).all()


def test_a_strip_of_an_image_is_seen_whole() -> None:
    strip = torch.rand(1, 3, 16, 256, generator=torch.Generator().manual_seed(2))
    contrast = network(**{"model.contrast_stages": [0, 1, 2]}).both(strip)[0].contrast
    assert contrast is not None
    assert contrast.prior.shape == (1, 4, 64) and contrast.prior.isfinite().all()
