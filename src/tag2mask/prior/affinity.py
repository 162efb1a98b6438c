"""Affinity of places in a photograph, from features: class maps spread to what looks alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_EPS = 1e-6


def feature_affinity(features: Sequence[Tensor], size: tuple[int, int], *, power: float = 2.0) -> Tensor:
    """How much each place of an image looks like each other, to the features of a network.

    The affinity of two places is the positive part of the cosine of their features, those of each
    layer centred on their mean over the image and scaled to length 1, to the `power`; rows are
    scaled to sum to 1. (Affinity from the cosine of features: the pixel correlation module of
    Wang et al., CVPR 2020, arXiv:2004.04581; ours learns nothing.)

    Args:
        features: layers (B, C_i, h_i, w_i).
        size: (h, w) of the common grid.
        power: how strictly alike.

    Returns:
        (B, h * w, h * w), rows sum to 1.
    """
    layers = []
    for layer in features:
        resized = F.interpolate(layer.float(), size, mode="bilinear", align_corners=False).flatten(2)
        layers.append(F.normalize(resized - resized.mean(dim=2, keepdim=True), dim=1, eps=_EPS))
    vectors = torch.cat(layers, dim=1)
    cosine = torch.einsum("bci,bcj->bij", vectors, vectors) / len(layers)
    affinity = cosine.clamp_min(0) ** power
    return affinity / affinity.sum(dim=2, keepdim=True).clamp_min(_EPS)


def propagate(maps: Tensor, affinity: Tensor, *, steps: int = 1) -> Tensor:
    """Replace each place's value by the mean over the places it looks like, `steps` times.

    Args:
        maps: (B, C, h, w).
        affinity: (B, h * w, h * w) of `feature_affinity`.
        steps: of the random walk.

    Returns:
        (B, C, h, w).
    """
    flat = maps.float().flatten(2)
    for _ in range(steps):
        flat = torch.einsum("bci,bji->bcj", flat, affinity)
    return flat.reshape(maps.shape)
