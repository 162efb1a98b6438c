"""The network of a configuration."""

from __future__ import annotations

from typing import TypeAlias

import torch

from tag2mask.config.schema import Config
from tag2mask.models.backbone import load_backbone_weights
from tag2mask.models.frozen import FrozenSegmenter
from tag2mask.models.network import TagSegmenter

SegmentationNetwork: TypeAlias = TagSegmenter | FrozenSegmenter
"""What predicts: trained end to end, or a light decoder on frozen backbones (`model.frozen`)."""


def build_network(config: Config, num_classes: int, *, pretrained: bool = True) -> SegmentationNetwork:
    """Build the network for `num_classes` classes; with `pretrained` the backbones get their weights.

    Raises:
        ConfigError: a backbone cannot be built.
        WeightsError: its weights cannot be loaded.
    """
    network: SegmentationNetwork
    if config.model.frozen:
        network = FrozenSegmenter(config, num_classes)
        if pretrained:
            network.load_weights(config)
    else:
        network = TagSegmenter(config, num_classes)
        if pretrained:
            load_backbone_weights(network.backbone, config.model.weights)
            if network.own_backbone is not None:
                network.own_backbone.load_state_dict(network.backbone.state_dict())
    return network.to(memory_format=torch.channels_last)
