"""The losses of both streams. Unknown tags neither train nor suppress a class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tag2mask.core.constants import IGNORE_INDEX, Tag

_NEVER = -1e4


def tag_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Sigmoid cross-entropy over the known tags.

    Args:
        logits: (B, C).
        tags: (B, C) `Tag` values: 1 present, 0 absent, -1 unknown.

    Returns:
        Mean over the known tags; 0 where none is known.
    """
    known = (tags != Tag.UNKNOWN).to(logits)
    target = (tags == Tag.PRESENT).to(logits)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp_min(1)


def without_unknown(logits: Tensor, tags: Tensor) -> Tensor:
    """Take the classes of unknown tags out of the softmax of pixel logits (B, C + 1, h, w)."""
    unknown = tags == Tag.UNKNOWN
    unknown = torch.cat([torch.zeros_like(unknown[:, :1]), unknown], dim=1)
    return logits.masked_fill(unknown[:, :, None, None], _NEVER)


def pixel_loss(
    logits: Tensor,
    masks: Tensor,
    tags: Tensor,
    *,
    background_weight: float = 1.0,
    corrected: Tensor | None = None,
) -> Tensor:
    """Softmax cross-entropy against masks, without their 255 pixels and without unknown classes.

    Masks made from tags miss parts of objects more often than they spill over, so that a network
    trained on them as they are finds too little; a weight under 1 makes up for it. Images that are
    known to show no class are background for certain, and keep the weight 1, as do corrected masks.

    Args:
        logits: (B, C + 1, h, w); upsampled to the masks' size.
        masks: (B, H, W) int64 class indices, 255 ignored.
        tags: (B, C) `Tag` values.
        background_weight: of a background pixel, against 1 of an object's.
        corrected: (B,) bool, masks that a person has corrected; None: none.

    Returns:
        Weighted mean over the pixels that count; 0 where there is none.
    """
    size = (masks.shape[-2], masks.shape[-1])
    logits = F.interpolate(without_unknown(logits.float(), tags), size, mode="bilinear", align_corners=False)
    loss = F.cross_entropy(logits, masks, ignore_index=IGNORE_INDEX, reduction="none")
    weights = (masks != IGNORE_INDEX).to(loss)
    if background_weight != 1:
        doubtful = (masks == 0) & (tags != Tag.ABSENT).any(dim=1)[:, None, None]
        if corrected is not None:
            doubtful &= ~corrected[:, None, None]
        weights = torch.where(doubtful, background_weight, weights)
    return (loss * weights).sum() / weights.sum().clamp_min(1e-3)


def image_level_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Image-level loss on segmentation scores, for images whose mask has no foreground.

    For present classes and background the best-scoring pixel must be confident; for absent classes
    even the best-scoring pixel must not be (Redondo-Cabrera et al. 2019; cf. Pinheiro and Collobert,
    CVPR 2015, arXiv:1411.6228).

    Args:
        logits: (B, C + 1, h, w).
        tags: (B, C) `Tag` values.

    Returns:
        Mean over images; 0 for B = 0.
    """
    if logits.shape[0] == 0:
        return logits.sum() * 0
    best = logits.float().log_softmax(dim=1).amax(dim=(2, 3))
    ones = torch.ones_like(tags[:, :1])
    states = torch.cat([ones, tags], dim=1)
    present = (states == Tag.PRESENT).to(best)
    absent = (states == Tag.ABSENT).to(best)
    confident = -(best * present).sum(dim=1) / present.sum(dim=1).clamp_min(1)
    quiet = -torch.log1p(-best.exp().clamp(max=1 - 1e-4))
    suppressed = (quiet * absent).sum(dim=1) / absent.sum(dim=1).clamp_min(1)
    return (confident + suppressed).mean()
