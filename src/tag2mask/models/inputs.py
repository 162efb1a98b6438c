"""From uint8 images to what a network takes."""

from __future__ import annotations

import torch
from torch import Tensor

from tag2mask.models.backbone import Preprocessing


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn uint8 images (..., 3, H, W) into float input: (image / 255 - mean) / std."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - mean) / std


def network_input(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Float input, channels last, of uint8 images (B, 3, H, W)."""
    return normalise(images, preprocessing).contiguous(memory_format=torch.channels_last)
