"""Evidence from shallow features that stand out from the rest of their own image.

Images of surfaces, tissue or the ground from the air show no object before a background, and the deep features of a
network pretrained on everyday images respond to the texture of the whole image. A class is found there by what differs
from the image's typical pixel: that difference is the foreground prior here, and a small head trained on the tags
learns which class a difference speaks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.core.errors import ConfigError

_HIDDEN = 64
_EPS = 1e-6
EDGE = 2
"""Pixels of the features that padding reaches, through the receptive field of two stages."""


class Contrast(NamedTuple):
    """What stands out in B images, and for which of C classes it speaks.

    Attributes:
        tag_logits: (B, C), class logits pooled with `prior` as weights.
        logits: (B, C, h, w) class logits of every pixel.
        prior: (B, h, w) in [0, 2], cosine distance from the image's median feature.
    """

    tag_logits: Tensor
    logits: Tensor
    prior: Tensor


class ContrastHead(nn.Module):
    """Classifies each pixel by how its shallow features differ from the median of its image.

    The prior is the cosine distance of the first stage's features from their median over the image.
    The class logits come from two 1x1 convolutions on the difference of all stages' features from
    their medians, divided by its standard deviation over the dataset. The image's logit of a class is the
    average of the pixels' logits, weighted by the prior: so pixels that look like most others speak for no class, and
    which way a pixel must differ to speak for a class is learned from the tags. No gradient reaches the backbone.
    """

    def __init__(self, channels: Sequence[int], num_classes: int):
        super().__init__()
        self.first = channels[0]
        self.channels = sum(channels)
        self.scale = nn.BatchNorm2d(sum(channels), affine=False, momentum=None)
        self.classifier = nn.Sequential(
            nn.Conv2d(sum(channels), _HIDDEN, 1), nn.ReLU(inplace=True), nn.Conv2d(_HIDDEN, num_classes, 1)
        )

    def describe(self, features: Sequence[Tensor]) -> Tensor:
        """The features (B, C_i, H_i, W_i) of the chosen stages as one, (B, C, H, W) on the smallest of their grids."""
        with torch.autocast(features[0].device.type, enabled=False):
            size = min((feature.shape[-2], feature.shape[-1]) for feature in features)
            joined = torch.cat([F.adaptive_avg_pool2d(one.detach().float(), size) for one in features], dim=1)
            return _without_edge(joined)

    def forward(
        self, features: Sequence[Tensor], ignored: Tensor | None = None, median: Tensor | None = None
    ) -> Contrast:
        """Look at one batch.

        Args:
            features: of the chosen stages, (B, C_i, H_i, W_i); brought to the smallest of their grids.
            ignored: (B, H, W) bool, pixels outside the image or hidden, at any size.
            median: (B, C) of `describe`, where the batch holds parts of larger images; None: its own.
        """
        joined = self.describe(features)
        with torch.autocast(joined.device.type, enabled=False):
            seen = torch.ones_like(joined[:, 0]) if ignored is None else 1 - _touched(ignored, _grid(joined))
            if median is None:
                # Where everything is ignored the median is NaN; such an image says nothing.
                median = joined.masked_fill(seen[:, None] == 0, torch.nan).flatten(2).nanmedian(dim=2).values
                median = torch.nan_to_num(median)
            median = median[:, :, None, None]
            prior = seen * (1 - F.cosine_similarity(joined[:, : self.first], median[:, : self.first], dim=1))
            logits = self.classifier(self.scale((joined - median) * seen[:, None]))
            weights = prior.clamp_min(0)[:, None]
            pooled = (logits * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp_min(_EPS)
            return Contrast(pooled, logits, weights[:, 0])


def describe_contrast(features: NDArray[np.float32], prior: NDArray[np.float32]) -> NDArray[np.float32]:
    """What stands out in an image, as one vector for a linear classifier.

    The differences of the features from their median over the image, those above and those below it apart, averaged
    over pixels with the prior as weights.

    Args:
        features: (D, h, w) of `ContrastHead.describe`.
        prior: (h, w), at least 0.

    Returns:
        (2 D,), at least 0.
    """
    flat, weights = features.reshape(len(features), -1), prior.reshape(-1)
    difference = flat - np.median(flat, axis=1, keepdims=True)
    weights = weights / max(float(weights.sum()), _EPS)
    joined: NDArray[np.float32] = np.concatenate([np.maximum(difference, 0), np.maximum(-difference, 0)]) @ weights
    return joined


def _grid(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def contrast_stages(stages: Sequence[int], available: int) -> tuple[int, ...]:
    """Check the chosen stages against those of the backbone.

    Raises:
        ConfigError: a stage that is not there.
    """
    for stage in stages:
        if not 0 <= stage < available:
            raise ConfigError(
                f"model.contrast_stages: there is no stage {stage}; this backbone has 0 to {available - 1}"
            )
    return tuple(stages)


def _without_edge(maps: Tensor) -> Tensor:
    """The outermost pixels replaced by their neighbours: padding makes them stand out in every image."""
    return maps if min(maps.shape[-2:]) <= 4 * EDGE else replicate_edge(maps)


def replicate_edge(maps: Tensor, edge: int = EDGE) -> Tensor:
    """Maps (B, C, h, w) whose `edge` outermost pixels on each side repeat the pixels next to them.

    Without `torch.nn.functional.pad`, which some versions of PyTorch cannot export to ONNX for sizes that vary.
    """
    rows = maps[..., edge:-edge, :]
    rows = torch.cat([*[rows[..., :1, :]] * edge, rows, *[rows[..., -1:, :]] * edge], dim=-2)
    inner = rows[..., edge:-edge]
    return torch.cat([*[inner[..., :1]] * edge, inner, *[inner[..., -1:]] * edge], dim=-1)


def _touched(ignored: Tensor, size: tuple[int, int]) -> Tensor:
    """Where a pixel of the grid holds or borders on anything ignored, (B, *size), 0 or 1."""
    grid = F.adaptive_max_pool2d(ignored[:, None].float(), size)
    return F.max_pool2d(grid, 3, stride=1, padding=1)[:, 0]
