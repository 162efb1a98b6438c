"""The light decoder: pixel logits from the features of a frozen backbone."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

_DILATION = 4
_FINE_DILATION = 2


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

    def forward(self, maps: Tensor, fine: Tensor | None = None) -> Tensor:
        """Pixel logits (B, C + 1, h, w) of features (B, D, h, w)."""
        for layer in self:
            maps = layer(maps)
        return maps


class FineDecoder(nn.Module):
    """A light decoder of two branches, for what is small or thin: deep features, and fine ones beside them.

    The deep branch sees the surroundings, on the grid of the deep features; the fine one keeps every pixel of its
    grid, on which the sum of both is decoded with half the channels.
    """

    def __init__(self, in_channels: int, num_classes: int, *, fine: int, channels: int, dropout: float):
        """Build it; `fine`: channels of the fine features, others as `LightDecoder`."""
        super().__init__()
        narrow = max(8, channels // 2)
        self.deep = nn.Sequential(
            nn.Dropout2d(dropout),
            nn.Conv2d(in_channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, narrow, 3, padding=_FINE_DILATION, dilation=_FINE_DILATION),
        )
        self.fine = nn.Conv2d(fine, narrow, 1)
        self.joint = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, narrow, 3, padding=_FINE_DILATION, dilation=_FINE_DILATION),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(narrow, num_classes + 1, 1),
        )

    def forward(self, maps: Tensor, fine: Tensor | None = None) -> Tensor:
        """Pixel logits (B, C + 1, h', w') of deep features (B, D, h, w) and fine ones (B, S, h', w')."""
        assert fine is not None
        near = self.fine(fine)
        size = (near.shape[-2], near.shape[-1])
        far = F.interpolate(self.deep(maps), size, mode="bilinear", align_corners=False)
        logits: Tensor = self.joint(near + far)
        return logits


Decoder: TypeAlias = LightDecoder | FineDecoder


def light_decoder(in_channels: int, num_classes: int, *, fine: int, channels: int, dropout: float) -> Decoder:
    """The decoder for features with, or without (0), so many channels of fine ones beside them."""
    if fine:
        return FineDecoder(in_channels, num_classes, fine=fine, channels=channels, dropout=dropout)
    return LightDecoder(in_channels, num_classes, channels=channels, dropout=dropout)
