"""Pseudo masks: the targets of the segmentation head, from the tags and the network as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config, MaskConfig
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.method.class_scores import (
    area_threshold,
    class_scores,
    class_shares,
    foreground_evidence,
    spread_share,
    wide_area,
)
from tag2mask.method.gate import gated_probs_at
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.refine import refine, to_mask

_SAMPLED = 4000
"""Pixels of an image whose evidence is looked at, about."""


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


class EvidenceSample(NamedTuple):
    """The evidence of foreground at some pixels of one image, over its views, before it is cut.

    Attributes:
        spread: (M,) in [0, 1], evidence that was spread by affinity; where there is none, as it is.
        best: (M,) in [0, 1], the best class map.
        area: `wide_area` of the class maps, mean over the views.
        affine: whether there is an affinity.
    """

    spread: Array
    best: Array
    area: float
    affine: bool


class Measured(NamedTuple):
    """What a dataset's evidence says of the settings of its masks.

    Attributes:
        threshold: for `masks.soft_threshold`, in [0, 1], times `masks.soft_factor`.
        spread: for `masks.spread`; None where nothing is spread.
    """

    threshold: float
    spread: float | None = None


def sample_evidence(
    views: Sequence[NetworkOutput], tags: NDArray[np.int8], size: tuple[int, int], config: Config
) -> EvidenceSample:
    """Sample the evidence of one image on a regular grid of its pixels.

    Args:
        views: the network's output on the image at each scale, and on its horizontal flip (flipped back).
        tags: (C,) `Tag` values.
        size: (H, W) of the mask.
        config: settings of the masks.
    """
    present = np.flatnonzero(tags == Tag.PRESENT)
    step = max(1, round((size[0] * size[1] / _SAMPLED) ** 0.5))
    spread, best, areas = [], [], []
    for view in views:
        steps = class_scores(view, present, size, config.masks, config.paper)
        shares = None if view.share_logits is None else class_shares(steps.maps, view.share_logits[present])
        evidence = foreground_evidence(
            steps.prior, steps.maps, prior_share=config.masks.soft_prior, affinity=view.affinity, shares=shares
        )
        spread.append(evidence[::step, ::step].ravel())
        best.append(steps.maps.max(axis=0, initial=0)[::step, ::step].ravel())
        areas.append(wide_area(steps.maps))
    affine = any(view.affinity is not None for view in views)
    return EvidenceSample(np.concatenate(spread), np.concatenate(best), float(np.mean(areas)), affine)


def measure_evidence(samples: Sequence[EvidenceSample], masks: MaskConfig) -> Measured:
    """What `masks.soft_threshold: auto` or `area` and `masks.spread: auto` stand for, on a dataset.

    `auto` is the mean of the evidence over the images: where there is more of it than on average is foreground. `area`
    is `area_threshold`, with which objects may be of any size.

    Args:
        samples: of images with a present class, at least one.
        masks: settings.
    """
    share = masks.spread
    if share == "auto":
        share = spread_share(float(np.median([one.area for one in samples])))
    if not samples[0].affine:
        share = 1.0
    evidence = [np.float32(share) * one.spread + np.float32(1 - share) * one.best for one in samples]
    if masks.soft_threshold == "area":
        threshold = area_threshold(np.concatenate(evidence), np.concatenate([one.best for one in samples]))
    else:
        threshold = float(np.mean([one.mean() for one in evidence]))
    threshold = round(min(1.0, masks.soft_factor * threshold), 4)
    return Measured(threshold, round(share, 4) if samples[0].affine else None)
