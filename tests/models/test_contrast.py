from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.models import ContrastHead, build_network
from tag2mask.training.losses import tag_loss


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of 8 images whose typical place differs between images; a class is a shift from it.

    Returns:
        Features (8, 6, 12, 12), tags (8, 2), and where each odd patch is (8, 12, 12).
    """
    generator = torch.Generator().manual_seed(seed)
    typical = 2 + torch.rand(8, 6, 1, 1, generator=generator)
    features = typical + 0.05 * torch.rand(8, 6, 12, 12, generator=generator)
    tags = torch.zeros(8, 2)
    where = torch.zeros(8, 12, 12, dtype=torch.bool)
    for index in range(8):
        row, column = torch.randint(2, 8, (2,), generator=generator).tolist()
        where[index, row : row + 3, column : column + 3] = True
        kind = index % 2
        tags[index, kind] = 1
        features[index, 3 * kind, where[index]] += 2.0
    return features, tags, where


def test_prior_is_the_cosine_distance_from_the_median() -> None:
    features, _, where = scene(0)
    head = ContrastHead([6], 2).eval()
    contrast = head([features])
    place = features[0, :, 5, 7]
    inside = features[0, :, 2:-2, 2:-2]  # the edge counts as its neighbours do
    median = F.pad(inside[None], (2, 2, 2, 2), mode="replicate").flatten(2).median(dim=2).values[0]
    expected = 1 - float(place @ median / (place.norm() * median.norm()))
    assert float(contrast.prior[0, 5, 7]) == pytest.approx(expected, abs=1e-5)
    assert contrast.prior[where].min() > 5 * contrast.prior[~where].mean()


def test_classes_are_learned_from_tags_and_found_where_they_are() -> None:
    torch.manual_seed(0)
    head = ContrastHead([6], 2)
    optimiser = torch.optim.AdamW(head.parameters(), 1e-2)
    for step in range(60):
        features, tags, _ = scene(step)
        loss = tag_loss(head([features]).tag_logits, tags)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    features, tags, where = scene(1000)
    with torch.no_grad():
        contrast = head.eval()([features])
    assert torch.equal((contrast.tag_logits > 0).float(), tags)
    of_class = contrast.logits[tags.bool()]
    assert of_class[where].min() > of_class[~where].median()


def test_ignored_places_count_for_nothing() -> None:
    features, _, _ = scene(0)
    ignored = torch.zeros(8, 12, 12, dtype=torch.bool)
    ignored[:, :, 9:] = True
    changed = features.clone()
    changed[:, :, :, 9:] = 50.0
    head = ContrastHead([6], 2).eval()
    one, other = head([features], ignored), head([changed], ignored)
    torch.testing.assert_close(one.tag_logits, other.tag_logits)
    assert one.prior[:, :, 8:].abs().max() == 0
    nothing = head([features], torch.ones_like(ignored))
    assert nothing.tag_logits.abs().max() == 0


def test_the_edge_of_the_image_is_not_odd() -> None:
    """Zero padding changes the features along the border of any image, and says nothing of it."""
    features = torch.ones(1, 6, 12, 12)
    features[..., 0], features[..., :2, :] = 3.0, torch.rand(6, 2, 12)
    features[0, 3, 6, 6] = 9.0
    prior = ContrastHead([6], 2).eval()([features]).prior[0]
    assert prior[6, 6] > 0.1
    prior[6, 6] = 0
    assert prior.max() < 1e-6


def test_no_gradient_reaches_the_backbone() -> None:
    features, tags, _ = scene(0)
    features.requires_grad_(True)
    tag_loss(ContrastHead([6], 2)([features]).tag_logits, tags).backward()
    assert features.grad is None


def test_network_with_a_contrast_head() -> None:
    config = Config().override(
        {"model.backbone": "test_resnet", "model.weights": "none", "model.head_channels": 16}
        | {"model.contrast_stages": [0, 1]}
    )
    network = build_network(config, 3).eval()
    recognition, _ = network.both(torch.randn(2, 3, 64, 96))
    assert recognition.contrast is not None
    assert recognition.contrast.logits.shape[:2] == (2, 3)
    assert build_network(config.override({"model.contrast_stages": []}), 3).contrast is None
    with pytest.raises(ConfigError, match="there is no stage 9; this backbone has 0 to"):
        build_network(config.override({"model.contrast_stages": [0, 9]}), 3)
