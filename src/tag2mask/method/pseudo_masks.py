"""Pseudo masks: the targets of the segmentation head, from the tags and the network as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.method.class_scores import class_scores, foreground_evidence
from tag2mask.method.gate import gated_probs_at
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.refine import refine, to_mask


def pseudo_mask(
    image: NDArray[np.uint8],
    views: Sequence[NetworkOutput],
    tags: NDArray[np.int8],
    config: Config,
    *,
    teacher_weight: float,
    pixel_scale: float,
) -> tuple[NDArray[np.uint8], bool]:
    """Pseudo mask of one image; only its present classes get pixels.

    Args:
        image: (H, W, 3) uint8 RGB on the grid of the mask.
        views: the network's output on the image at each scale, and on its horizontal flip (flipped back).
        tags: (C,) `Tag` values.
        config: settings of the masks.
        teacher_weight: share of the segmentation head in the scores, in [0, 1].
        pixel_scale: pixels of `image` per pixel of `data.image_size`.

    Returns:
        Mask (H, W) uint8, and whether it has the foreground that the tags ask for. Without it, the mask of an image
        with a present class is `IGNORE_INDEX` everywhere.
    """
    present = np.flatnonzero(tags == Tag.PRESENT)
    channels = np.concatenate([[0], present + 1])
    size = (image.shape[0], image.shape[1])
    scores = [pseudo_mask_scores(view, present, size, config, teacher_weight=teacher_weight) for view in views]
    marginals = refine(image, np.mean(scores, axis=0), config.masks.crf, pixel_scale=pixel_scale)
    mask = to_mask(marginals, channels)
    complete = not len(present) or bool(mask.any())
    if not complete:
        mask[:] = IGNORE_INDEX
    return mask, complete


def pseudo_mask_scores(
    view: NetworkOutput, present: NDArray[np.intp], size: tuple[int, int], config: Config, *, teacher_weight: float
) -> Array:
    """Scores (K + 1, *size) of one view: class scores, with the segmentation head mixed in by its weight.

    Args:
        view: the network's output.
        present: (K,) positions of the present classes.
        size: (H, W) of the result.
        config: settings of the masks.
        teacher_weight: share of the segmentation head, in [0, 1].
    """
    scores = class_scores(view, present, size, config.masks, config.paper).scores
    if teacher_weight <= 0:
        return scores
    channels = np.concatenate([[0], present + 1])
    probs = gated_probs_at(view.pixel_logits, channels, size, plain=config.paper.plain_gate)
    return scores + np.float32(teacher_weight) * (probs - scores)


def mean_evidence(
    views: Sequence[NetworkOutput], tags: NDArray[np.int8], size: tuple[int, int], config: Config
) -> float:
    """Mean evidence of foreground in one image, over its pixels and views.

    The mean of this over a dataset is the threshold that `masks.soft_threshold: auto` stands for.

    Args:
        views: the network's output on the image at each scale, and on its horizontal flip (flipped back).
        tags: (C,) `Tag` values.
        size: (H, W) of the mask.
        config: settings of the masks.
    """
    present = np.flatnonzero(tags == Tag.PRESENT)
    means = []
    for view in views:
        steps = class_scores(view, present, size, config.masks, config.paper)
        evidence = foreground_evidence(
            steps.prior, steps.maps, prior_share=config.masks.soft_prior, affinity=view.affinity
        )
        means.append(float(evidence.mean()))
    return float(np.mean(means))
