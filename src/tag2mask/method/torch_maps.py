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
Scaling = Literal["min_max", "positive"]

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


def class_maps(cams: Tensor, present: Tensor, size: tuple[int, int], *, scaling: Scaling = "min_max") -> Tensor:
    """Scale the class activation maps of the present classes to [0, 1]; all others are zero.

    Args:
        cams: (B, C, h, w) raw class activation maps.
        present: (B, C) bool.
        size: (H, W) of the result.
        scaling: 'min_max', as the paper, or 'positive': negative evidence is 0, the maximum 1.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    maps = F.interpolate(cams.float(), size, mode="bilinear", align_corners=False)
    if scaling == "min_max":
        maps = min_max(maps)
    else:
        maps = maps.clamp_min(0)
        maps = maps / maps.amax(dim=(-2, -1), keepdim=True).clamp_min(_EPS)
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


def foreground_evidence(prior: Tensor, maps: Tensor, *, prior_share: float = 0.6) -> Tensor:
    """Evidence of foreground: prior_share * prior + (1 - prior_share) * best class map.

    Args:
        prior: (B, H, W) foreground prior in [0, 1].
        maps: (B, C, H, W) class maps in [0, 1], zero for absent classes.
        prior_share: weight of the prior, in [0, 1].

    Returns:
        (B, H, W) in [0, 1].
    """
    return prior_share * prior + (1 - prior_share) * maps.amax(dim=1)


def soft_stack(
    prior: Tensor,
    maps: Tensor,
    present: Tensor,
    *,
    prior_share: float = 0.6,
    threshold: float | Literal["mean", "otsu"] = 0.25,
    factor: float = 1.0,
    slope: float = 8.0,
) -> Tensor:
    """Stack background and class maps by a soft threshold of the evidence of foreground.

    Foreground is `sigmoid(slope * (evidence - threshold))` with the evidence of `foreground_evidence`;
    each pixel's foreground is shared out among the present classes in proportion to their maps. So the
    class-free prior decides where objects are, and the class maps which object it is.

    Args:
        prior: (B, H, W) foreground prior in [0, 1].
        maps: (B, C, H, W) class maps in [0, 1], zero for absent classes.
        present: (B, C) bool.
        prior_share: weight of the prior in the evidence, in [0, 1].
        threshold: evidence at which foreground and background are even, in [0, 1]; or each image's own:
            'mean': of its evidence; 'otsu': the one that parts it into two groups of the least variance.
        factor: on each image's own; under 1 makes foreground larger.
        slope: how sharply evidence turns into probability.

    Returns:
        (B, C + 1, H, W), summing to 1 over dimension 1; all background where no class is present.
    """
    floor = 1e-3 * present[:, :, None, None].to(maps)  # a pixel without any evidence is shared evenly
    shares = maps + floor
    shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(_EPS)
    evidence = foreground_evidence(prior, maps, prior_share=prior_share)
    if threshold == "otsu":
        even: float | Tensor = factor * otsu_threshold(evidence)[:, None, None]
    elif threshold == "mean":
        even = factor * evidence.mean(dim=(1, 2), keepdim=True)
    else:
        even = threshold
    foreground = torch.sigmoid(slope * (evidence - even)) * present.any(dim=1)[:, None, None].to(maps)
    return torch.cat([(1 - foreground)[:, None], foreground[:, None] * shares], dim=1)


def contrast_maps(logits: Tensor, prior: Tensor, present: Tensor, size: tuple[int, int]) -> Tensor:
    """Class maps of what stands out: the geometric mean of prior and class evidence.

    A class's evidence at a place is by how much its logit exceeds the median of its image, where
    the typical place is; below that it is none. The maps of an image keep their ratios among
    themselves and have 1 as their common maximum.

    Args:
        logits: (B, C, h, w) class logits.
        prior: (B, h, w), at least 0: how much a place stands out.
        present: (B, C) bool.
        size: (H, W) of the result.

    Returns:
        (B, C, H, W) in [0, 1], zero for classes that are not present.
    """
    excess = logits.float() - logits.float().flatten(2).median(dim=2).values[:, :, None, None]
    maps = (excess.clamp_min(0) * prior[:, None]).sqrt() * present[:, :, None, None]
    maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return maps / maps.amax(dim=(1, 2, 3), keepdim=True).clamp_min(_EPS)


def otsu_threshold(maps: Tensor, *, bins: int = 256) -> Tensor:
    """Threshold that parts each map into two groups of the least variance (Otsu, IEEE SMC 1979).

    Args:
        maps: (B, H, W) in [0, 1].
        bins: of the histogram.

    Returns:
        (B,) thresholds in [0, 1]; a value equal to its threshold belongs to the lower group.
    """
    index = (maps.flatten(1) * (bins - 1)).round().long()
    counts = torch.zeros(maps.shape[0], bins, dtype=torch.float64, device=maps.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))
    values = torch.arange(bins, dtype=counts.dtype, device=maps.device)
    below, mass = counts.cumsum(1), (counts * values).cumsum(1)
    above = below[:, -1:] - below
    means = mass / below.clamp_min(1), (mass[:, -1:] - mass) / above.clamp_min(1)
    between = below * above * (means[0] - means[1]) ** 2
    return ((between.argmax(dim=1) + 0.5) / (bins - 1)).clamp(max=1.0).to(maps)
