"""Class-specific masks from prior network knowledge: features and tags in, masks out."""

from tag2mask.prior.generate import (
    MaskSteps,
    Pass,
    averaged_stack,
    evidence,
    gated_probs,
    mask_steps,
    training_masks,
    unflip,
)
from tag2mask.prior.maps import (
    background_map,
    class_maps,
    contrast_maps,
    foreground_evidence,
    foreground_prior,
    min_max,
    otsu_threshold,
    soft_stack,
    stack_maps,
)
from tag2mask.refining import refine, to_mask

__all__ = [
    "MaskSteps",
    "Pass",
    "averaged_stack",
    "background_map",
    "class_maps",
    "contrast_maps",
    "evidence",
    "foreground_evidence",
    "foreground_prior",
    "gated_probs",
    "mask_steps",
    "min_max",
    "otsu_threshold",
    "refine",
    "soft_stack",
    "stack_maps",
    "to_mask",
    "training_masks",
    "unflip",
]
