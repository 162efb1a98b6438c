from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.models import TagSegmenter, build_network
from tag2mask.models.checkpoint import RunFolder, load_model, save_model

SMALL = {"model.backbone": "test_resnet", "model.weights": "none", "model.head_channels": 16}


def network(options: Mapping[str, object] | None = None) -> TagSegmenter:
    built = build_network(Config().override(SMALL | dict(options or {})), 3)
    assert isinstance(built, TagSegmenter)
    return built.eval()


def test_cam_averages_to_the_tag_logit() -> None:
    """By definition: the mean of a class map plus the bias is the tag logit (Zhou et al. 2016)."""
    net = network({"paper.cam_channels": 12})
    torch.nn.init.normal_(net.recognition.classifier.weight)
    torch.nn.init.normal_(net.recognition.classifier.bias)
    with torch.no_grad():
        result = net.recognise(torch.randn(2, 3, 64, 96))
    bias = net.recognition.classifier.bias
    torch.testing.assert_close(result.cams.mean(dim=(2, 3)) + bias, result.tag_logits)
    assert result.features[-1].shape[1] == 12


def test_both_streams_are_one_pass_of_each() -> None:
    net = network()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        recognition, logits = net.both(images)
        torch.testing.assert_close(recognition.tag_logits, net.recognise(images).tag_logits)
        torch.testing.assert_close(logits, net.segment(images))
        torch.testing.assert_close(net(images).pixel_logits, logits)
    assert logits.shape == (2, 4, 4, 4)


def test_large_fov_dilation_follows_the_output_stride() -> None:
    for stride, dilation in ((8, 12), (16, 6), (32, 3)):
        first = network({"model.output_stride": stride}).segmentation[0]
        assert first.dilation == (dilation, dilation)


def test_streams_share_the_first_stages_and_keep_later_ones_apart() -> None:
    net = network({"paper.shared_stages": 2, "model.freeze_stages": 0, "model.freeze_norm": False})
    assert net.own_backbone is not None
    names = [name for name, _ in net.backbone.named_parameters()]
    ours, theirs = dict(net.backbone.named_parameters()), dict(net.own_backbone.named_parameters())
    shared = {name for name in names if ours[name] is theirs[name]}
    assert 0 < len(shared) < len(names)
    images = torch.randn(1, 3, 64, 64)
    logits = net.segment(images)
    net.zero_grad()
    logits.sum().backward()
    reached = {name for name in names if ours[name].grad is not None}
    assert reached == shared
    assert network({"paper.shared_stages": 2}).state_dict().keys() == net.state_dict().keys()
    everything = network({"paper.shared_stages": 5})
    assert everything.own_backbone is not None
    own = dict(everything.own_backbone.named_parameters())
    assert all(own[name] is parameter for name, parameter in everything.backbone.named_parameters())
    with pytest.raises(ConfigError, match="paper.shared_stages is 9, but 'test_resnet' has 5 stages"):
        network({"paper.shared_stages": 9})


def test_separate_stages_start_from_the_same_weights_and_save(tmp_path: Path) -> None:
    net = network({"paper.shared_stages": 2})
    assert net.own_backbone is not None
    for one, other in zip(net.backbone.parameters(), net.own_backbone.parameters(), strict=True):
        assert torch.equal(one, other)
    run = RunFolder(tmp_path)
    config = Config().override(SMALL | {"paper.shared_stages": 2})
    save_model(run, net, ("a", "b", "c"), config)
    again, _, _ = load_model(run)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again.eval()(images).pixel_logits, net(images).pixel_logits)
