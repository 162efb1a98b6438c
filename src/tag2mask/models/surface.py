"""What stands out from a surface, by frozen shallow features: differences from a plane that follows uneven lighting.

The background of an image of a surface is not one value: lighting and material change slowly across it. A plane is
fitted to each channel of the features, robustly, so that what is to be found does not bend it; what differs from the
plane stands out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.models.contrast import EDGE, Contrast, replicate_edge

STRIDE = 4
"""Image size / size of the grid of the differences, where the backbone has a stage as fine."""

COMPONENTS = 96
"""Channels of the differences after the projection, at most."""

_log = logging.getLogger(__name__)

_HIDDEN = 64
_ROUNDS = 4  # of the robust fit
_TINY = 1e-6


class Differences(NamedTuple):
    """What differs from the background in B images.

    Attributes:
        maps: (B, D, h, w) differences of the features from the background.
        prior: (B, h, w) in [0, 2], cosine distance of the first stage's features from the background.
    """

    maps: Tensor
    prior: Tensor

    def pooled(self) -> list[Tensor]:
        """Means over the image of the differences above and of those below 0, (B, D) each, weighted by the prior."""
        weights = self.prior / self.prior.sum(dim=(1, 2), keepdim=True).clamp_min(_TINY)
        return [torch.einsum("bdhw,bhw->bd", part.clamp_min(0), weights) for part in (self.maps, -self.maps)]


class SurfaceContrast(nn.Module):
    """Says for each pixel which class its difference from the background speaks for.

    A class logit of an image is the mean of the pixels' logits weighted by the prior, as in `ContrastHead`: pixels that
    look like the background speak for no class, and which differences do is learned from the tags.

    Attributes:
        groups: channels of each stage.
        stride: image size / size of the grid of the differences.
        channels: D of the projected differences.
        project: 1x1 convolution (D, all channels), the principal components of the differences.
        classifier: two 1x1 convolutions, from the projected differences to C logits.
    """

    def __init__(self, stages: Sequence[int], channels: Sequence[int], strides: Sequence[int], num_classes: int):
        """Build it for some stages of a backbone, given all its channels and strides."""
        super().__init__()
        self.stages = tuple(stages)
        self.strides = tuple(strides[stage] for stage in stages)
        self.stride = max(STRIDE, min(self.strides))
        if self.stride > STRIDE:
            _log.warning(
                "the finest stage of model.contrast_stages has stride %d, too coarse for what is small or thin; a "
                "backbone whose first stages have stride %d or less sees it",
                self.stride,
                STRIDE,
            )
        self.groups = [channels[stage] for stage in stages]
        self.channels = min(COMPONENTS, sum(self.groups))
        self.project = nn.Conv2d(sum(self.groups), self.channels, 1)
        self.project.requires_grad_(False)
        self.classifier = nn.Sequential(
            nn.Conv2d(self.channels, _HIDDEN, 1), nn.ReLU(inplace=True), nn.Conv2d(_HIDDEN, num_classes, 1)
        )

    def joined(self, features: Sequence[Tensor]) -> Differences:
        """Differences of the chosen stages as one, before the projection, from all stages [(B, C_i, H_i, W_i)]."""
        maps: list[Tensor] = []
        prior: Tensor | None = None
        with torch.autocast(features[0].device.type, enabled=False):
            for stage, stride in zip(self.stages, self.strides, strict=True):
                feature = features[stage].float()
                while stride < self.stride:
                    feature, stride = F.avg_pool2d(feature, 2, ceil_mode=True), 2 * stride
                feature = _without_edge(feature, stride)
                background = background_plane(feature)
                if prior is None:
                    prior = (1 - F.cosine_similarity(feature, background, dim=1)).clamp_min(0)
                difference = feature - background
                if maps and difference.shape[-2:] != maps[0].shape[-2:]:
                    size = (maps[0].shape[-2], maps[0].shape[-1])
                    difference = F.interpolate(difference, size, mode="bilinear", align_corners=False)
                maps.append(difference)
        assert prior is not None
        return Differences(torch.cat(maps, dim=1), prior)

    def forward(self, differences: Differences) -> Contrast:
        """Classify the projected differences of B images, and their pixels."""
        logits = self.classifier(differences.maps)
        weights = differences.prior[:, None]
        pooled = (logits * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp_min(_TINY)
        return Contrast(pooled, logits, differences.prior)


def background_plane(features: Tensor) -> Tensor:
    """A plane for each channel of features (B, C, h, w), fitted robustly to the pixels; the same shape.

    Least squares, reweighted: a pixel weighs 1 / (1 + r / mean r), with r its squared distance from the plane before,
    each channel divided by its variance over the image, averaged over the channels. The solution of the weighted
    least squares is written out, in operators that ONNX has.
    """
    ones = torch.ones_like(features[:, :1])
    rows, columns = ones.cumsum(dim=2), ones.cumsum(dim=3)
    spread = (features - features.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(2, 3), keepdim=True) + _TINY
    weights, plane = ones, features
    for left in reversed(range(_ROUNDS + 1)):
        plane = _weighted_plane(features, weights, rows, columns)
        if left:
            distance = ((features - plane).square() / spread).mean(dim=1, keepdim=True)
            weights = 1 / (1 + distance / distance.mean(dim=(2, 3), keepdim=True).clamp_min(_TINY))
    return plane


def _weighted_plane(features: Tensor, weights: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The plane of weighted least squares: around the weighted centre the normal equations are two by two."""
    weights = weights / weights.sum(dim=(2, 3), keepdim=True)

    def mean(values: Tensor) -> Tensor:
        return (values * weights).sum(dim=(2, 3), keepdim=True)

    centre = mean(features)
    rows, columns = rows - mean(rows), columns - mean(columns)
    down, across, mixed = mean(rows.square()) + _TINY, mean(columns.square()) + _TINY, mean(rows * columns)
    determinant = (down * across - mixed.square()).clamp_min(_TINY**2)
    on_rows, on_columns = mean(features * rows), mean(features * columns)
    slope_down = (on_rows * across - on_columns * mixed) / determinant
    slope_across = (on_columns * down - on_rows * mixed) / determinant
    plane: Tensor = centre + slope_down * rows + slope_across * columns
    return plane


def _without_edge(maps: Tensor, stride: int) -> Tensor:
    """The outermost pixels replaced by their neighbours: padding makes them stand out in every image."""
    edge = {STRIDE: EDGE, 2 * STRIDE: EDGE // 2}.get(stride, 0)
    if not edge or min(maps.shape[-2], maps.shape[-1]) <= 2 * edge:  # nothing would be left
        return maps
    return replicate_edge(maps, edge)
