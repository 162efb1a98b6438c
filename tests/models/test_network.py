from __future__ import annotations

import torch

from tag2mask.config import ModelConfig
from tag2mask.models import TagSegmenter, build_network


def network(**options: object) -> TagSegmenter:
    config = ModelConfig.model_validate({"backbone": "test_resnet", "weights": "none", "head_channels": 16, **options})
    return build_network(config, 3).eval()


def test_cam_averages_to_the_tag_logit() -> None:
    """By definition: the mean of a class map plus the bias is the tag logit (Zhou et al. 2016)."""
    net = network(cam_channels=12)
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
        first = network(output_stride=stride).segmentation[0]
        assert first.dilation == (dilation, dilation)
