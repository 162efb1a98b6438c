"""From a stack of maps to masks: the dense CRF, arg max and confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig
from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.crf import dense_crf_batch

_EPS = np.float32(1e-12)


def refine(
    images: Sequence[NDArray[np.uint8]],
    stacks: Sequence[NDArray[np.float32]],
    crf: CrfConfig,
    *,
    pixel_scale: float | Sequence[float] = 1.0,
    threads: int = 1,
) -> list[NDArray[np.float32]]:
    """Apply the dense CRF to each stack, leaving out the channels that are zero everywhere.

    Args:
        images: (H, W, 3) uint8 RGB each.
        stacks: (K, H, W) float32 each, summing to 1 over K.
        crf: settings; deviations are in pixels of the configuration's `image_size`.
        pixel_scale: pixels of `images` per pixel of `image_size`, one or one an image.
        threads: images worked on at once.

    Returns:
        (K, H, W) float32 each, marginals that sum to 1 over K.
    """
    if not crf.enabled:
        return list(stacks)
    scales = [pixel_scale] * len(images) if isinstance(pixel_scale, float | int) else list(pixel_scale)
    kept = [np.flatnonzero(stack.reshape(len(stack), -1).any(axis=1)) for stack in stacks]
    busy = [index for index, channels in enumerate(kept) if len(channels) > 1]
    results = [np.array(stack, dtype=np.float32) for stack in stacks]
    for scale in dict.fromkeys(scales[index] for index in busy):
        group = [index for index in busy if scales[index] == scale]
        marginals = dense_crf_batch(
            [images[index] for index in group],
            [np.ascontiguousarray(stacks[index][kept[index]]) for index in group],
            threads=threads,
            iterations=crf.iterations,
            gaussian_weight=crf.gaussian_weight,
            gaussian_xy=crf.gaussian_xy * scale,
            bilateral_weight=crf.bilateral_weight,
            bilateral_xy=crf.bilateral_xy * scale,
            bilateral_rgb=crf.bilateral_rgb,
        )
        for index, marginal in zip(group, marginals, strict=True):
            results[index][:] = 0
            results[index][kept[index]] = marginal
    return results


def foreground_first(probs: NDArray[np.float32], *, power: float = 1.0, shift: float = 0.0) -> NDArray[np.float32]:
    """Ask first whether there is an object, then which one.

    Where two classes share a place, say 0.3 each, background wins it with 0.4 though foreground is
    likelier. The classes' shares of the foreground, raised to a power, make the likeliest class stand
    for nearly all of it; background keeps its probability.

    Args:
        probs: (C + 1, ...), background first, summing to 1 over the first axis.
        power: of the shares; 1 leaves them as they are.
        shift: added to the log-odds of foreground; above 0 objects get larger.

    Returns:
        As `probs`; the same array if there is nothing to do.
    """
    if power == 1 and not shift:
        return probs
    kept = [channel for channel in range(1, len(probs)) if probs[channel].any()]
    if not kept:
        return probs
    result = np.zeros_like(probs)
    foreground = probs[kept].sum(axis=0)
    if shift:
        raised = foreground * np.float32(np.exp(shift))
        foreground = raised / np.maximum(raised + probs[0], _EPS)
    shares = probs[kept] / np.maximum(probs[kept].max(axis=0), _EPS)  # by the greatest: no power underflows
    shares **= np.float32(power)
    result[kept] = shares * (foreground / np.maximum(shares.sum(axis=0), _EPS))
    result[0] = np.maximum(1 - foreground, 0)
    return result


def to_mask(marginals: NDArray[np.float32], *, confidence: float = 0.0) -> NDArray[np.uint8]:
    """Arg max over K of (K, H, W); pixels whose best value is under `confidence` become 255.

    Returns:
        (H, W) uint8 class indices.
    """
    mask: NDArray[np.uint8] = marginals.argmax(axis=0).astype(np.uint8)
    if confidence > 0:
        mask[marginals.max(axis=0) < confidence] = IGNORE_INDEX
    return mask
