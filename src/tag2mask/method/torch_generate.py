"""Class-specific masks of a batch from the current network: the method's core, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tag2mask.config.schema import MaskConfig
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.method.refine import foreground_first, refine, to_mask
from tag2mask.method.torch_maps import (
    background_map,
    class_maps,
    contrast_maps,
    foreground_evidence,
    foreground_prior,
    min_max,
    soft_stack,
    stack_maps,
)
from tag2mask.models import Recognition
from tag2mask.training.losses import without_unknown


class MaskSteps(NamedTuple):
    """Each step from features to the stack that goes into the dense CRF.

    Attributes:
        maps: (B, C, H, W) class maps in [0, 1], zero for classes that are not present.
        prior: (B, H, W) foreground prior in [0, 1].
        background: (B, H, W) background map in [0, 1].
        stack: (B, C + 1, H, W) probabilities, background first.
    """

    maps: Tensor
    prior: Tensor
    background: Tensor
    stack: Tensor


def mask_steps(
    recognition: Recognition,
    tags: Tensor,
    size: tuple[int, int],
    config: MaskConfig,
    *,
    pixel_logits: Tensor | None = None,
    teacher_weight: float = 0.0,
) -> MaskSteps:
    """Build the stack of background and class maps of a batch.

    Args:
        recognition: output of the recognition stream on the whole (not hidden) images.
        tags: (B, C) `Tag` values; only present classes get a map.
        size: (H, W) of the maps.
        config: the settings of the masks.
        pixel_logits: (B, C + 1, h, w) scores of the segmentation stream, mixed in by weight.
        teacher_weight: their share of the stack, in [0, 1].
    """
    present = tags == Tag.PRESENT
    steps = (_deep_steps if recognition.contrast is None else _contrast_steps)(recognition, present, size, config)
    if pixel_logits is not None and teacher_weight > 0:
        probs = gated_probs(pixel_logits, present, size, reassign=config.reassign)
        return steps._replace(stack=torch.lerp(steps.stack, probs, teacher_weight))
    return steps


def _deep_steps(recognition: Recognition, present: Tensor, size: tuple[int, int], config: MaskConfig) -> MaskSteps:
    """Class maps from the last features, prior from the energy of features."""
    maps = class_maps(recognition.cams, present, size, scaling=config.map_scaling)
    prior = foreground_prior([recognition.features[layer] for layer in config.prior_layers], size)
    if config.background == "soft":
        stack = soft_stack(
            prior,
            maps,
            present,
            prior_share=config.soft_prior,
            threshold=config.threshold_rule(),
            factor=config.soft_factor,
            slope=config.soft_slope,
        )
        return MaskSteps(maps, prior, stack[:, 0], stack)
    background = background_map(
        prior,
        maps,
        variant=config.background,
        power=config.background_power,
        prior_threshold=config.prior_hard_threshold,
        cams_threshold=config.cams_hard_threshold,
    )
    return MaskSteps(maps, prior, background, stack_maps(background, maps))


def _contrast_steps(recognition: Recognition, present: Tensor, size: tuple[int, int], config: MaskConfig) -> MaskSteps:
    """Class maps and prior from what stands out; each image has its own threshold."""
    assert recognition.contrast is not None
    maps = contrast_maps(recognition.contrast.logits, recognition.contrast.prior, present, size)
    prior = min_max(F.interpolate(recognition.contrast.prior[:, None], size, mode="bilinear", align_corners=False))
    stack = soft_stack(
        prior[:, 0],
        maps,
        present,
        prior_share=0.0,
        threshold="otsu",
        factor=config.soft_factor,
        slope=config.soft_slope,
    )
    return MaskSteps(maps, prior[:, 0], stack[:, 0], stack)


class Pass(NamedTuple):
    """One look at an image: both streams' output on it, and on its mirror image if the batch is 2."""

    recognition: Recognition
    pixel_logits: Tensor


def averaged_stack(
    passes: Sequence[Pass],
    tags: Tensor,
    size: tuple[int, int],
    config: MaskConfig,
    *,
    teacher_weight: float = 0.0,
) -> Tensor:
    """Build the stack of one image, averaged over scales and mirror image.

    Args:
        passes: at least one.
        tags: (1, C) `Tag` values; only present classes get a map.
        size: (H, W) of the result.
        config: the settings of the masks.
        teacher_weight: share of the segmentation stream, in [0, 1].

    Returns:
        (1, C + 1, H, W), summing to 1 over dimension 1.
    """
    stacks = []
    for recognition, pixel_logits in passes:
        states = tags.expand(recognition.cams.shape[0], -1)
        steps = mask_steps(recognition, states, size, config, pixel_logits=pixel_logits, teacher_weight=teacher_weight)
        stacks.append(unflip(steps.stack))
    return torch.stack(stacks).mean(dim=0)


def evidence(passes: Sequence[Pass], tags: Tensor, size: tuple[int, int], config: MaskConfig) -> Tensor:
    """Evidence of foreground that 'soft' cuts, of one image at each scale, and of its mirror image.

    Args:
        passes: at least one.
        tags: (1, C) `Tag` values; only present classes get a map.
        size: (H, W) of the result.
        config: the settings of the masks.

    Returns:
        (N, H, W) in [0, 1], one for each look at the image.
    """
    found = []
    for recognition, _ in passes:
        states = tags.expand(recognition.cams.shape[0], -1)
        steps = mask_steps(recognition, states, size, config)
        found.append(foreground_evidence(steps.prior, steps.maps, prior_share=config.soft_prior))
    return torch.cat(found)


def unflip(maps: Tensor) -> Tensor:
    """Average the maps of an image (first) with those of its mirror image (second), if there are two."""
    if maps.shape[0] == 1:
        return maps
    return (maps[:1] + maps[1:].flip(-1)) / 2


def gated_probs(pixel_logits: Tensor, allowed: Tensor, size: tuple[int, int], *, reassign: float = 0.0) -> Tensor:
    """Probabilities of background and the allowed classes alone.

    Where the network sees a class that is not allowed, say a horse though the tags name a cow, a softmax
    over background and the allowed classes takes that place for background. With `reassign` it stays
    foreground: its probability goes to the allowed classes, shared out as the network ranks them there.

    Args:
        pixel_logits: (B, C + 1, h, w).
        allowed: (B, C) bool.
        size: (H, W) of the result.
        reassign: 0 for the softmax over what is allowed, 1 for the background of the softmax over all
            classes; in between, both backgrounds by weight.

    Returns:
        (B, C + 1, H, W), summing to 1 over dimension 1, zero for classes that are not allowed.
    """
    states = torch.where(allowed, Tag.PRESENT, Tag.UNKNOWN)
    logits = F.interpolate(pixel_logits.float(), size, mode="bilinear", align_corners=False)
    gated = without_unknown(logits, states)
    probs = gated.softmax(dim=1)
    if reassign:
        some = allowed.any(dim=1)[:, None, None, None]
        background = torch.where(some, torch.lerp(probs[:, :1], logits.softmax(dim=1)[:, :1], reassign), 1.0)
        probs = torch.cat([background, (1 - background) * gated[:, 1:].softmax(dim=1)], dim=1)
    keep = torch.cat([torch.ones_like(allowed[:, :1]), allowed], dim=1)
    return probs * keep[:, :, None, None]


def training_masks(
    steps: MaskSteps,
    images: Tensor,
    outside: Tensor,
    config: MaskConfig,
    *,
    pixel_scale: float,
    threads: int,
) -> tuple[Tensor, Tensor]:
    """Refine the stacks of a batch by the dense CRF and take the arg max.

    Args:
        steps: the stacks, (B, C + 1, H, W).
        images: (B, 3, H, W) uint8 RGB on the same grid.
        outside: (B, H, W) bool, true outside the photograph; becomes 255.
        config: the settings of the masks.
        pixel_scale: pixels of this grid per pixel of `image_size`.
        threads: images worked on at once.

    Returns:
        Masks (B, H, W) int64 and (B,) bool: which of them hold any foreground.
    """
    device = steps.stack.device
    photographs: list[NDArray[np.uint8]] = list(images.permute(0, 2, 3, 1).contiguous().cpu().numpy())
    stacks = [foreground_first(stack, power=config.share_power) for stack in steps.stack.float().cpu().numpy()]
    marginals = refine(photographs, stacks, config.crf, pixel_scale=pixel_scale, threads=threads)
    masks = torch.from_numpy(np.stack([to_mask(q, confidence=config.confidence) for q in marginals]))
    masks = masks.to(device, torch.int64).masked_fill(outside, IGNORE_INDEX)
    has_foreground = ((masks > 0) & (masks != IGNORE_INDEX)).flatten(1).any(dim=1)
    return masks, has_foreground
