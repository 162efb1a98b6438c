"""Class maps, foreground prior, background map and their stack: tensors in, tensors out.

The steps of Redondo-Cabrera et al., IEEE TIP 2019, doi 10.1109/TIP.2019.2901393.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Background = Literal["prior", "prior_hard", "cams_hard", "cams"]

_EPS = 1e-6


def min_max(maps: Tensor) -> Tensor:
    """Scale each map to [0, 1] by its own minimum and maximum.

    Args:
        maps: (..., H, W) float. A constant map becomes 0.

    Returns:
        (..., H, W) in [0, 1].
    """
    low = maps.amin(dim=(-2, -1), keepdim=True)
    span = maps.amax(dim=(-2, -1), keepdim=True) - low
    return (maps - low) / span.clamp_min(_EPS)


def class_maps(cams: Tensor, present: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale the class activation maps of the present classes to [0, 1]; all others are zero.

    Args:
        cams: (B, C, h, w) raw class activation maps.
        present: (B, C) bool.
        size: (H, W) of the result.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    maps = min_max(F.interpolate(cams.float(), size, mode="bilinear", align_corners=False))
    return maps * present[:, :, None, None].to(maps)


def foreground_prior(features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """What a recognition network finds worth looking at, without regard to any class.

    The activations of each layer are summed over channels, resized to one grid, scaled to [0, 1],
    added and scaled again. Negative activations (networks without ReLU) count by magnitude.

    Args:
        features: layers (B, C_i, h_i, w_i).
        size: (H, W) of the result.

    Returns:
        (B, H, W) in [0, 1].
    """
    total = torch.zeros(1, device=features[0].device)
    for layer in features:
        energy = layer.float().abs().sum(dim=1, keepdim=True)
        total = total + min_max(F.interpolate(energy, size, mode="bilinear", align_corners=False))
    return min_max(total)[:, 0]


def background_map(
    prior: Tensor,
    maps: Tensor,
    *,
    variant: Background = "prior",
    power: float = 1.0,
    prior_threshold: float = 0.3,
    cams_threshold: float = 0.2,
) -> Tensor:
    """Evidence of background at every pixel.

    Args:
        prior: (B, H, W) foreground prior in [0, 1].
        maps: (B, C, H, W) class maps in [0, 1].
        variant: 'prior': (1 - prior) ** power; 'prior_hard': 1 where the prior is under
            `prior_threshold`; 'cams_hard': 1 where every class map is under `cams_threshold`;
            'cams': (1 - best class map) ** power (as Ahn and Kwak, CVPR 2018, arXiv:1803.10464).
        power: exponent of the soft variants.
        prior_threshold: of 'prior_hard'.
        cams_threshold: of 'cams_hard'.

    Returns:
        (B, H, W) in [0, 1].
    """
    if variant == "prior":
        return (1 - prior) ** power
    if variant == "prior_hard":
        return (prior < prior_threshold).to(prior)
    best = maps.amax(dim=1)
    return (best < cams_threshold).to(prior) if variant == "cams_hard" else (1 - best) ** power


def stack_maps(background: Tensor, maps: Tensor) -> Tensor:
    """Stack background and class maps into probabilities.

    Args:
        background: (B, H, W) in [0, 1].
        maps: (B, C, H, W) in [0, 1], zero for absent classes.

    Returns:
        (B, C + 1, H, W), summing to 1 over dimension 1; all background where nothing is known.
    """
    stack = torch.cat([background[:, None], maps], dim=1)
    total = stack.sum(dim=1, keepdim=True)
    fallback = torch.zeros_like(stack)
    fallback[:, 0] = 1
    return torch.where(total > _EPS, stack / total.clamp_min(_EPS), fallback)
