"""The network on frozen backbones."""

from __future__ import annotations

import pytest
import torch

from tag2mask.config import Config
from tag2mask.core.errors import ConfigError
from tag2mask.models import FrozenSegmenter, build_network

VIT = {
    "backbone": "vit_tiny_patch16_224",
    "weights": "none",
    "backbone_args": {"depth": 4, "embed_dim": 48, "num_heads": 3},
    "scale": 0.5,
}
SMALL = {
    "model.backbone": "test_resnet",
    "model.weights": "none",
    "model.frozen": True,
    "model.output_stride": 8,
    "model.feature_channels": 24,
    "model.head_channels": 16,
}


def network(**options: object) -> FrozenSegmenter:
    torch.manual_seed(0)
    built = build_network(Config().override(SMALL | options), 3)
    assert isinstance(built, FrozenSegmenter)
    return built.eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_a_network_alone_gives_no_affinity() -> None:
    recognition, logits = network().both(images())
    assert recognition.tag_logits.shape == (2, 3)
    assert recognition.cams.shape == (2, 3, 8, 12)
    assert logits.shape == (2, 4, 8, 12)
    assert recognition.affinity is None
    assert recognition.features[-1].shape == (2, 1, 8, 12)
    assert (recognition.features[-1] >= 0).all()


def test_a_companion_joins_its_features_and_gives_an_affinity_at_its_scale() -> None:
    together = network(**{"model.companions": [VIT]})
    assert together.project.in_channels == network().project.in_channels + 2 * 48
    affinity = together.both(images())[0].affinity
    assert affinity is not None and affinity.shape == (2, 2, 3, 6)
    matrix = affinity.flatten(1, 2)
    assert torch.allclose(matrix, matrix.transpose(1, 2), atol=1e-6)
    assert matrix.sum(dim=2) == pytest.approx(1.0, abs=0.05)


def test_a_vision_transformer_alone_takes_its_attention_as_prior() -> None:
    options = {"model.backbone": VIT["backbone"], "model.backbone_args": VIT["backbone_args"]}
    alone = network(**options, **{"model.output_stride": 16})
    recognition, _ = alone.both(images())
    assert recognition.affinity is not None
    prior = recognition.features[-1][:, 0].flatten(1)
    assert (prior > 0).all() and (prior.sum(dim=1) <= 1).all()  # shares of the class token's attention


def test_only_the_heads_learn_and_the_backbones_stay_in_evaluation() -> None:
    trained = network(**{"model.companions": [VIT]}).train()
    learning = {name.split(".")[0] for name, one in trained.named_parameters() if one.requires_grad}
    assert learning == {"recognition", "segmentation"}
    assert not any(module.training for one in trained.backbones for module in one.modules())
    assert trained.segmentation.training


def test_tags_are_told_from_the_last_stage_and_the_convolution_before_the_classifier() -> None:
    plain = network()
    assert plain.backbone.head is None and plain.pooled_channels == plain.backbone.channels[-1]
    together = network(**{"model.companions": [VIT]})
    assert together.pooled_channels == plain.pooled_channels + 48
    with_head = network(**{"model.backbone": "test_efficientnet"})
    assert with_head.backbone.head is not None
    stage, head = with_head.backbone.channels[-2:]
    assert with_head.pooled_channels == stage + head
    assert with_head.groups == list(with_head.backbone.channels[-3:-1])
    torch.nn.init.normal_(with_head.recognition.tags.weight)
    features = with_head.features(images())
    assert features.pooled.shape == (2, stage + head)
    recognition, _ = with_head.heads(features)
    expected = features.pooled @ with_head.recognition.tags.weight.T
    assert torch.allclose(recognition.tag_logits, expected, atol=1e-4)


def test_another_decoder_shares_everything_else() -> None:
    built = network()
    other = network().segmentation
    twin = built.with_decoder(other)
    assert twin.segmentation is other and built.segmentation is not other
    assert twin.backbone is built.backbone and twin.recognition is built.recognition


def test_companions_need_a_frozen_backbone() -> None:
    with pytest.raises(ConfigError, match=r"model.companions has no effect with model.frozen=false"):
        Config().override({"model.companions": [VIT]})
    with pytest.raises(ConfigError, match="may not have pretrained_cfg"):
        Config().override({"model.frozen": True, "model.companions": [VIT | {"backbone_args": {"pretrained_cfg": 1}}]})
