"""From a stack of maps to masks: the dense CRF, arg max and confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.config import CrfConfig
from tag2mask.crf import dense_crf_batch
from tag2mask.types import IGNORE_INDEX


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


def to_mask(marginals: NDArray[np.float32], *, confidence: float = 0.0) -> NDArray[np.uint8]:
    """Arg max over K of (K, H, W); pixels whose best value is under `confidence` become 255.

    Returns:
        (H, W) uint8 class indices.
    """
    mask: NDArray[np.uint8] = marginals.argmax(axis=0).astype(np.uint8)
    if confidence > 0:
        mask[marginals.max(axis=0) < confidence] = IGNORE_INDEX
    return mask
