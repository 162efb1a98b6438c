"""The light decoder: pixel logits from the features of a frozen backbone."""

from __future__ import annotations

from torch import nn

_DILATION = 4


class LightDecoder(nn.Sequential):
    """A 1x1, two 3x3 and a dilated 3x3 convolution, and a pixel classifier.

    Frozen features with a light decoder are what the strongest methods that learn from tags use (e.g. WeCLIP, Zhang
    et al., CVPR 2024, arXiv:2406.11189). Channels of the features are dropped in training, all pixels of one together.
    """

    def __init__(self, in_channels: int, num_classes: int, *, channels: int, dropout: float):
        """Build it.

        Args:
            in_channels: of the features.
            num_classes: without background.
            channels: between the convolutions.
            dropout: of the features' channels and before the pixel classifier.
        """
        super().__init__(
            nn.Dropout2d(dropout),
            nn.Conv2d(in_channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=_DILATION, dilation=_DILATION),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(channels, num_classes + 1, 1),
        )
