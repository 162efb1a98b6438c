"""Class scores: background and the present classes as probabilities of each pixel, from one network output.

The steps of Redondo-Cabrera et al. (IEEE TIP 2019, doi 10.1109/TIP.2019.2901393): class maps of the present classes,
a foreground prior, a background map, and all of them on one scale. Our default for the last two steps is
`soft_scores`; the paper's variants are `background_map` with `normalised_scores`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import MaskConfig, PaperConfig
from tag2mask.method.affinity import Affinity
from tag2mask.method.class_maps import EPSILON, class_maps, contrast_maps, min_max
from tag2mask.method.foreground_prior import foreground_prior
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.resize import resize_maps

SLOPE = 8.0
"""Of the sigmoid that turns evidence of foreground into its probability."""

_FLOOR = np.float32(1e-3)  # a pixel without evidence for any class is shared evenly among the present ones


class ClassScores(NamedTuple):
    """Class scores of one image with the steps that led to them, K present classes.

    Attributes:
        maps: (K, H, W) class maps in [0, 1].
        prior: (H, W) foreground prior in [0, 1].
        background: (H, W) background map in [0, 1].
        scores: (K + 1, H, W) probabilities, background first, summing to 1 over the first axis.
    """

    maps: Array
    prior: Array
    background: Array
    scores: Array


def class_scores(
    output: NetworkOutput, present: NDArray[np.intp], size: tuple[int, int], masks: MaskConfig, paper: PaperConfig
) -> ClassScores:
    """Class scores of the present classes from one output of the network.

    Args:
        output: with class activation maps and energies, or with those of a contrast head.
        present: (K,) positions of the present classes among all C, increasing.
        size: (H, W) of the result.
        masks: how the evidence is combined and cut.
        paper: which of the paper's variants to use.
    """
    threshold: float | Literal["mean", "otsu"]
    if output.contrast_logits is not None and output.contrast_prior is not None:
        prior = min_max(resize_maps(output.contrast_prior[None], size)[0])
        maps = contrast_maps(output.contrast_logits[present], output.contrast_prior, size)
        share, threshold = 0.0, "otsu"
    elif output.cams is not None:
        prior = foreground_prior(output.energies, size)
        maps = class_maps(output.cams[present], size, scaling=paper.map_scaling)
        share, threshold = masks.soft_prior, masks.threshold_rule()
        if paper.background != "soft":
            background = background_map(prior, maps, paper)
            return ClassScores(maps, prior, background, normalised_scores(background, maps))
    else:
        raise ValueError("this network's output holds nothing to make class maps from")
    evidence = foreground_evidence(prior, maps, prior_share=share, affinity=output.affinity)
    scores = soft_scores(evidence, maps, threshold=threshold, factor=masks.soft_factor)
    return ClassScores(maps, prior, scores[0], scores)


def foreground_evidence(prior: Array, maps: Array, *, prior_share: float, affinity: Affinity | None = None) -> Array:
    """Evidence of foreground: prior_share * prior + (1 - prior_share) * best class map.

    Where the network knows which parts of the image belong together, the evidence is spread over them.

    Args:
        prior: (H, W) in [0, 1].
        maps: (K, H, W) class maps in [0, 1].
        prior_share: weight of the prior, in [0, 1].
        affinity: between the parts of the image; None: the evidence stays where it is.

    Returns:
        (H, W) in [0, 1].
    """
    evidence: Array = prior_share * prior + (1 - prior_share) * maps.max(axis=0, initial=0)
    return evidence if affinity is None else affinity.spread(evidence)


def soft_scores(
    evidence: Array,
    maps: Array,
    *,
    threshold: float | Literal["mean", "otsu"],
    factor: float = 1.0,
    slope: float = SLOPE,
) -> Array:
    """Class scores by a soft threshold of the evidence of foreground.

        foreground = sigmoid(slope * (evidence - threshold))

    Each pixel's foreground is shared among the present classes in proportion to their maps: the evidence decides
    whether there is an object, the class maps which one.

    Args:
        evidence: (H, W) in [0, 1].
        maps: (K, H, W) class maps in [0, 1].
        threshold: evidence at which foreground and background are even, in [0, 1]; or the image's own: 'mean' of its
            evidence, or 'otsu', which parts it into two groups of the least variance.
        factor: on the image's own threshold; under 1 makes foreground larger.
        slope: how sharply evidence turns into probability.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis; all background where K is 0.
    """
    if not len(maps):
        return np.ones((1, *evidence.shape), np.float32)
    if threshold == "otsu":
        threshold = factor * otsu_threshold(evidence)
    elif threshold == "mean":
        threshold = factor * float(evidence.mean())
    shares = maps + _FLOOR
    shares /= shares.sum(axis=0)
    foreground = (1 / (1 + np.exp(-slope * (evidence - threshold)))).astype(np.float32)
    return np.concatenate([(1 - foreground)[None], foreground * shares])


def otsu_threshold(evidence: Array) -> float:
    """Threshold in [0, 1] of a map (H, W) in [0, 1] by Otsu's rule (IEEE SMC 1979), over 256 levels."""
    levels = np.rint(evidence * 255).astype(np.uint8)
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return min(1.0, (float(level) + 0.5) / 255)


def background_map(prior: Array, maps: Array, paper: PaperConfig) -> Array:
    """Evidence of background at every pixel, by the paper's variants.

    Args:
        prior: (H, W) foreground prior in [0, 1].
        maps: (K, H, W) class maps in [0, 1].
        paper: `background` chooses: 'prior': (1 - prior) ** power; 'prior_hard': 1 where the prior is under its
            threshold; 'cams_hard': 1 where every class map is; 'cams': (1 - best class map) ** power, as Ahn and
            Kwak (CVPR 2018, arXiv:1803.10464).

    Returns:
        (H, W) in [0, 1].
    """
    best: Array = maps.max(axis=0, initial=0)
    power = np.float32(paper.background_power)
    found: Array
    if paper.background == "prior":
        found = (1 - prior) ** power
    elif paper.background == "prior_hard":
        found = (prior < paper.prior_hard_threshold).astype(np.float32)
    elif paper.background == "cams_hard":
        found = (best < paper.cams_hard_threshold).astype(np.float32)
    else:
        found = (1 - best) ** power
    return found


def normalised_scores(background: Array, maps: Array) -> Array:
    """Background (H, W) and class maps (K, H, W), divided by their sum; all background where both are zero.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis.
    """
    joined = np.concatenate([background[None], maps])
    total = joined.sum(axis=0)
    nothing = np.zeros_like(joined)
    nothing[0] = 1
    return np.where(total > EPSILON, joined / np.maximum(total, EPSILON), nothing)


def thresholded_cam(steps: ClassScores, present: NDArray[np.intp], threshold: float) -> NDArray[np.uint8]:
    """Plain thresholded CAM, the baseline: the best class map where it exceeds `threshold`, else background.

    Args:
        steps: class scores of the image.
        present: (K,) positions of their classes among all C.
        threshold: in [0, 1].

    Returns:
        (H, W) class indices.
    """
    if not len(present):
        return np.zeros(steps.prior.shape, dtype=np.uint8)
    best = (present + 1)[steps.maps.argmax(axis=0)]
    return np.where(steps.maps.max(axis=0) > threshold, best, 0).astype(np.uint8)
