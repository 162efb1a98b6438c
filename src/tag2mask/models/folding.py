"""Batch norm folded into the convolution before it, for networks that only run and never train."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tag2mask.models.backbone import Backbone

_NORMS = (nn.modules.batchnorm._BatchNorm,)
_SIDE = 64  # of the image on which the folded network is compared, at least
_TOLERANCE = 1e-4  # relative difference of features that rounding alone may bring


def folded(backbone: Backbone) -> Backbone:
    """A copy of a backbone in evaluation mode with every batch norm folded into the convolution that feeds it.

    It gives the same features but for rounding, with one pass less over each feature map. Which convolution feeds a
    norm is taken from the order of the modules, so the copy is compared with the original on a random image; where
    they differ, or nothing can be folded, the original is returned.
    """
    twin = deepcopy(backbone).eval()
    if not _fold(twin):
        return backbone
    side = -(-max(_SIDE, backbone.smallest_input) // backbone.input_multiple) * backbone.input_multiple
    first = next(backbone.parameters())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, side, side, generator=generator).to(first.device, first.dtype)
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        alike = all(_alike(one, other) for one, other in zip(backbone(image), twin(image), strict=True))
    backbone.train(was_training)
    return twin if alike else backbone


def _fold(network: nn.Module) -> int:
    """Fold what directly follows a convolution of as many channels; how many norms that were."""
    count = 0
    for parent in network.modules():
        for (_, conv), (name, norm) in pairwise(list(parent.named_children())):
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, _NORMS):
                continue
            if norm.num_features != conv.out_channels or norm.running_mean is None or norm.running_var is None:
                continue
            fused = fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = fused.weight, fused.bias
            # timm's norms hold dropout and activation, too.
            rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
            setattr(parent, name, nn.Sequential(*rest))
            count += 1
    return count


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= _TOLERANCE * one.abs().max().clamp(min=1e-12))
