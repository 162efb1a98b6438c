"""Losses of the tag classifier and of the segmentation head. A class with an unknown tag gets no gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tag2mask.core.constants import IGNORE_INDEX, Tag

_NEVER = -1e4


def tag_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Binary cross-entropy with logits over the known tags.

    Args:
        logits: float (B, C).
        tags: int (B, C), `Tag` values: 1 present, 0 absent, -1 unknown.

    Returns:
        Scalar, the mean over the known tags; 0 if none is known.
    """
    known = (tags != Tag.UNKNOWN).to(logits)
    target = (tags == Tag.PRESENT).to(logits)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp_min(1)


def without_unknown(logits: Tensor, tags: Tensor) -> Tensor:
    """Exclude classes with unknown tags from the softmax: set their pixel logits (B, C + 1, h, w) to -10000.

    `tags` are int (B, C), `Tag` values; channel 0 of the logits is background.
    """
    unknown = tags == Tag.UNKNOWN
    unknown = torch.cat([torch.zeros_like(unknown[:, :1]), unknown], dim=1)
    return logits.masked_fill(unknown[:, :, None, None], _NEVER)


def pixel_loss(
    logits: Tensor,
    masks: Tensor,
    tags: Tensor,
    *,
    background_weight: float = 1.0,
    class_balance: float = 0.0,
    corrected: Tensor | None = None,
    contradicted: Tensor | None = None,
    contradicted_weight: float = 1.0,
) -> Tensor:
    """Pixel-wise softmax cross-entropy against pseudo masks, without ignored pixels and unknown classes.

    Pseudo masks made from tags miss parts of objects more often than they extend over the background, so a network
    trained on them predicts too little foreground; a background weight below 1 compensates. The background of
    corrected masks, and of images in which every tag is absent, is reliable and keeps weight 1.

    Args:
        logits: float (B, C + 1, h, w), channel 0 is background; upsampled bilinearly to the size of the masks.
        masks: int64 (B, H, W), class indices; 255 is ignored.
        tags: int (B, C), `Tag` values.
        background_weight: weight of a background pixel; a foreground pixel has weight 1.
        class_balance: exponent in [0, 1] of the weights of foreground classes by their pixels in the batch: 0, every
            foreground pixel counts alike; 1, every class that occurs does.
        corrected: bool (B,), whether a person has corrected the mask; None means no mask is corrected.
        contradicted: bool (B, H, W), pixels of pseudo masks that are probably wrong, see `contradicted_pixels`; None
            means none.
        contradicted_weight: weight of these, in [0, 1], where their mask is not corrected.

    Returns:
        Scalar, the weighted mean over the pixels that are not ignored; 0 if there is none.
    """
    size = (masks.shape[-2], masks.shape[-1])
    logits = F.interpolate(without_unknown(logits.float(), tags), size, mode="bilinear", align_corners=False)
    loss = F.cross_entropy(logits, masks, ignore_index=IGNORE_INDEX, reduction="none")
    weights = (masks != IGNORE_INDEX).to(loss)
    if background_weight != 1:
        unreliable = (masks == 0) & (tags != Tag.ABSENT).any(dim=1)[:, None, None]
        if corrected is not None:
            unreliable &= ~corrected[:, None, None]
        weights = torch.where(unreliable, background_weight, weights)
    if contradicted is not None:
        if corrected is not None:
            contradicted = contradicted & ~corrected[:, None, None]
        weights = torch.where(contradicted, contradicted_weight, weights)
    if class_balance:
        weights = weights * _class_weights(masks, logits.shape[1], class_balance)
    return (loss * weights).sum() / weights.sum().clamp_min(1e-3)


def contradicted_pixels(logits: Tensor, masks: Tensor, tags: Tensor) -> Tensor:
    """Foreground of pseudo masks that a network takes for something else, of what the tags allow.

    Args:
        logits: float (B, C + 1, h, w) of that network, channel 0 is background.
        masks: int64 (B, H, W), class indices; 255 is ignored.
        tags: int (B, C), `Tag` values; absent classes are left out of the choice, unknown ones too.

    Returns:
        Bool (B, H, W).
    """
    size = (masks.shape[-2], masks.shape[-1])
    logits = F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
    excluded = torch.cat([torch.zeros_like(tags[:, :1], dtype=torch.bool), tags != Tag.PRESENT], dim=1)
    guess = logits.masked_fill(excluded[:, :, None, None], _NEVER).argmax(dim=1)
    return (masks > 0) & (masks != IGNORE_INDEX) & (guess != masks)


def _class_weights(masks: Tensor, channels: int, exponent: float) -> Tensor:
    """Weight (B, H, W) of each pixel by its class: (mean pixels of a class / pixels of its class) ** exponent.

    The mean weight of foreground pixels is 1; background and ignored pixels have 1.
    """
    foreground = (masks > 0) & (masks != IGNORE_INDEX)
    counts = torch.bincount(masks[foreground], minlength=channels).float()
    factors = torch.where(counts > 0, counts.clamp_min(1) ** -exponent, torch.zeros_like(counts))
    factors = factors * counts.sum() / (factors * counts).sum().clamp_min(1e-12)
    factors[0] = 1
    return torch.where(foreground, factors[masks.clamp_max(channels - 1)], torch.ones_like(factors[:1]))


def image_level_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Image-level loss on pixel logits, for images whose pseudo mask has no foreground.

    With s_k the maximum over the pixels of the softmax probability of class k, the loss of an image is the mean of
    -log s_k over background and present classes plus the mean of -log(1 - s_k) over absent classes
    (Redondo-Cabrera et al. 2019; cf. Pinheiro and Collobert, CVPR 2015, arXiv:1411.6228).

    Args:
        logits: float (B, C + 1, h, w), channel 0 is background.
        tags: int (B, C), `Tag` values.

    Returns:
        Scalar, the mean over the images; 0 for B = 0.
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
