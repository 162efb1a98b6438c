"""Batch norm folded into convolutions gives the same features, or is left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tag2mask.models.backbone import Backbone
from tag2mask.models.folding import folded

_NORM = nn.modules.batchnorm._BatchNorm


def _backbone(name: str) -> Backbone:
    torch.manual_seed(0)
    backbone = Backbone(name, output_stride=16, freeze_norm=True, with_head=True)
    for module in backbone.modules():
        if isinstance(module, _NORM) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.2, 0.2)
    return backbone.eval()


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, _NORM) for module in network.modules())


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "mobilenetv2_100", "regnety_002", "vgg11_bn"])
def test_all_norms_are_folded_and_features_stay(name: str) -> None:
    backbone = _backbone(name)
    before = _norms(backbone)

    found = folded(backbone)

    assert before and _norms(found) == 0
    assert _norms(backbone) == before, "the given network must stay as it is"
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        for one, other in zip(backbone(images), found(images), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


def test_a_network_without_batch_norm_is_returned() -> None:
    backbone = _backbone("vit_tiny_patch16_224")
    assert folded(backbone) is backbone


def test_a_norm_before_its_convolution_is_not_folded_wrongly() -> None:
    """In DenseNet most norms come before convolutions; registered order alone would pair some with the wrong one."""
    backbone = _backbone("densenet121")
    found = folded(backbone)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for one, other in zip(backbone(images), found(images), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


def test_a_shared_convolution_leaves_the_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the order of the modules deceives, the features differ and nothing is folded."""
    backbone = _backbone("resnet18")
    forward = type(backbone.net).forward

    def other(self: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
        conv = self.get_submodule("conv1")
        return [one + conv(images).mean() for one in forward(self, images)]

    monkeypatch.setattr(type(backbone.net), "forward", other)
    assert folded(backbone) is backbone
