"""The stack of background and class maps in NumPy: what `tag2mask.method.torch_prior` computes on torch.

One image at a time, and only the K allowed classes. The equations stand in `tag2mask.method.torch_maps`;
`tests/portable/test_maps.py` holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import MaskConfig

Array = NDArray[np.float32]

_EPS = np.float32(1e-6)


def resize_maps(maps: Array, size: tuple[int, int]) -> Array:
    """Resize maps (K, h, w) bilinearly, pixel centres at half integers, to (K, *size)."""
    if maps.shape[1:] == size:
        return maps
    out = np.empty((len(maps), *size), dtype=np.float32)
    for source, target in zip(maps, out, strict=True):
        cv2.resize(np.ascontiguousarray(source), size[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return out


def deep_stack(cams: Array, energies: Sequence[Array], size: tuple[int, int], config: MaskConfig) -> Array:
    """Stack from class activation maps and the energy of features.

    Args:
        cams: (K, h, w) raw class activation maps of the allowed classes.
        energies: (h_i, w_i) each, activations summed over channels by magnitude.
        size: (H, W) of the result.
        config: the settings of the masks.

    Returns:
        (K + 1, H, W), background first, summing to 1 over the first axis.
    """
    maps = resize_maps(cams, size)
    if config.map_scaling == "min_max":
        maps = _min_max(maps)
    else:
        maps = np.maximum(maps, 0)
        maps = maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), _EPS)
    prior = _min_max(np.sum([_min_max(resize_maps(energy[None], size)[0]) for energy in energies], axis=0))
    if config.background == "soft":
        return _soft_stack(prior, maps, config.soft_prior, config.threshold_rule(), config)
    return _stack(_background(prior, maps, config), maps)


def contrast_stack(logits: Array, prior: Array, size: tuple[int, int], config: MaskConfig) -> Array:
    """Stack from what stands out.

    Args:
        logits: (K, h, w) class logits of every place, of the allowed classes.
        prior: (h, w), at least 0: how much a place stands out.
        size: (H, W) of the result.
        config: the settings of the masks.

    Returns:
        (K + 1, H, W), background first, summing to 1 over the first axis.
    """
    flat = logits.reshape(len(logits), prior.size)
    middle = (flat.shape[1] - 1) // 2  # of an even number, the lower: as torch.median
    excess = logits - np.partition(flat, middle, axis=1)[:, middle, None, None]
    maps = resize_maps(np.sqrt(np.maximum(excess, 0) * prior), size)
    maps = maps / np.maximum(maps.max(initial=0), _EPS)
    best = maps.max(axis=0) if len(maps) else np.zeros(size, np.float32)
    return _soft_stack(best, maps, 0.0, "otsu", config)


def _min_max(maps: Array) -> Array:
    low = maps.min(axis=(-2, -1), keepdims=True)
    span = maps.max(axis=(-2, -1), keepdims=True) - low
    result: Array = (maps - low) / np.maximum(span, _EPS)
    return result


def _background(prior: Array, maps: Array, config: MaskConfig) -> Array:
    best: Array = maps.max(axis=0, initial=0)
    power = np.float32(config.background_power)
    found: Array
    if config.background == "prior":
        found = (1 - prior) ** power
    elif config.background == "prior_hard":
        found = (prior < config.prior_hard_threshold).astype(np.float32)
    elif config.background == "cams_hard":
        found = (best < config.cams_hard_threshold).astype(np.float32)
    else:
        found = (1 - best) ** power
    return found


def _stack(background: Array, maps: Array) -> Array:
    stack = np.concatenate([background[None], maps])
    total = stack.sum(axis=0)
    fallback = np.zeros_like(stack)
    fallback[0] = 1
    return np.where(total > _EPS, stack / np.maximum(total, _EPS), fallback)


def _soft_stack(
    prior: Array, maps: Array, prior_share: float, threshold: float | Literal["mean", "otsu"], config: MaskConfig
) -> Array:
    background = np.ones((1, *prior.shape), np.float32)
    if not len(maps):
        return background
    shares = maps + np.float32(1e-3)
    shares /= np.maximum(shares.sum(axis=0), _EPS)
    evidence = prior_share * prior + (1 - prior_share) * maps.max(axis=0)
    if threshold == "otsu":
        threshold = config.soft_factor * _otsu_threshold(evidence)
    elif threshold == "mean":
        threshold = config.soft_factor * float(evidence.mean())
    foreground = (1 / (1 + np.exp(-config.soft_slope * (evidence - threshold)))).astype(np.float32)
    return np.concatenate([(1 - foreground)[None], foreground * shares])


def _otsu_threshold(evidence: Array, bins: int = 256) -> float:
    counts = np.bincount(np.rint(evidence * (bins - 1)).astype(np.int64).ravel(), minlength=bins).astype(np.float64)
    below, mass = counts.cumsum(), (counts * np.arange(bins)).cumsum()
    above = below[-1] - below
    means = mass / np.maximum(below, 1), (mass[-1] - mass) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    return min(1.0, (int(between.argmax()) + 0.5) / (bins - 1))
