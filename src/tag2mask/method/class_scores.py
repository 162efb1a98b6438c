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

AREA_LEVEL = 0.35
"""As many pixels are foreground as have a class map above it, by `masks.soft_threshold: area`."""

_HALF = 0.5
_SMALL = 0.2  # share of an image above half of a class map's maximum, under which objects count as small

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
    threshold: float | Literal["mean", "area", "otsu"]
    spread, shares = 1.0, None
    if output.contrast_logits is not None and output.contrast_prior is not None:
        prior = min_max(resize_maps(output.contrast_prior[None], size)[0])
        maps = contrast_maps(output.contrast_logits[present], output.contrast_prior, size)
        share, threshold = 0.0, "otsu"
    elif output.cams is not None:
        prior = foreground_prior(output.energies, size)
        maps = class_maps(output.cams[present], size, scaling=paper.map_scaling)
        share, threshold = masks.soft_prior, masks.threshold_rule()
        spread = spread_share(wide_area(maps)) if masks.spread == "auto" else masks.spread
        if paper.background != "soft":
            background = background_map(prior, maps, paper)
            return ClassScores(maps, prior, background, normalised_scores(background, maps))
    else:
        raise ValueError("this network's output holds nothing to make class maps from")
    if output.share_logits is not None and len(present):
        shares = class_shares(maps, output.share_logits[present])
    evidence = foreground_evidence(
        prior, maps, prior_share=share, affinity=output.affinity, spread=spread, shares=shares
    )
    scores = soft_scores(evidence, maps, threshold=threshold, factor=masks.soft_factor, shares=shares)
    return ClassScores(maps, prior, scores[0], scores)


def foreground_evidence(
    prior: Array,
    maps: Array,
    *,
    prior_share: float,
    affinity: Affinity | None = None,
    spread: float = 1.0,
    shares: Array | None = None,
) -> Array:
    """Evidence of foreground: prior_share * prior + (1 - prior_share) * best class map.

    Where the network knows which parts of the image belong together, the evidence is spread over them:

        spread * affinity(evidence) + (1 - spread) * best class map

    Beside an animal that fills the image, a person's part of the evidence is small after it was spread over all. Where
    the present classes share the evidence, its spread is therefore the mean of two, each scaled to [0, 1]: of all of
    it, and the best of the classes' parts,

        (affinity(evidence) + max_c affinity(evidence * share_c)) / 2

    Args:
        prior: (H, W) in [0, 1].
        maps: (K, H, W) class maps in [0, 1].
        prior_share: weight of the prior, in [0, 1].
        affinity: between the parts of the image; None: the evidence stays where it is.
        spread: share of it that is spread, in [0, 1].
        shares: (K, H, W) of the present classes, summing to 1, or None.

    Returns:
        (H, W) in [0, 1].
    """
    best = maps.max(axis=0, initial=0)
    evidence: Array = prior_share * prior + (1 - prior_share) * best
    if affinity is None:
        return evidence
    wide = affinity.spread(evidence)
    if shares is not None and len(shares) > 1:
        parts = np.stack([affinity.spread(evidence * share) for share in shares])
        wide = (wide + parts.max(axis=0)) / 2
    mixed: Array = np.float32(spread) * wide + np.float32(1 - spread) * best
    return mixed


def wide_area(maps: Array) -> float:
    """Share of the pixels where a class map (K, ...) in [0, 1] is above half of its maximum."""
    return float((maps.max(axis=0, initial=0) > _HALF).mean())


def spread_share(area: float) -> float:
    """Share of the evidence that is spread where class maps have this `wide_area`: less, the smaller it is.

    The patches of a vision transformer are coarse beside small objects: evidence that is spread over them loses their
    shape, which the class maps still have. 1 from an area of 0.2 on, 0.5 towards 0.
    """
    return 1 - 0.5 * min(1.0, max(0.0, 1 - area / _SMALL))


def area_threshold(evidence: Array, best: Array) -> float:
    """Threshold of the evidence that as many pixels are above as have a best class map above `AREA_LEVEL`.

    Evidence is spread over whole objects and a little beyond; the area of class maps tells how large they are.

    Args:
        evidence: (M,) of any pixels of an image or a dataset, in [0, 1].
        best: (M,) their best class map, in [0, 1].
    """
    share = float((best > AREA_LEVEL).mean())
    return float(np.quantile(evidence, 1 - share))


def class_shares(maps: Array, share_logits: Array) -> Array:
    """How a pixel of foreground is shared by K present classes, by class maps and the classifier of shares.

        share_c is in proportion to map_c^(1/2) * p_c^(1/4)

    with p the softmax of the logits over the present classes: the geometric mean of class map and sqrt(p), since p
    is surer than it is right.

    Args:
        maps: (K, H, W) in [0, 1].
        share_logits: (K, h, w) of the classifier of shares.

    Returns:
        (K, H, W), summing to 1 over the first axis.
    """
    logits = resize_maps(share_logits, (maps.shape[1], maps.shape[2]))
    logits = logits - logits.max(axis=0)
    log_p = logits - np.log(np.exp(logits).sum(axis=0))
    shares: Array = np.sqrt(maps + _FLOOR) * np.exp(log_p / 4)
    shares /= shares.sum(axis=0)
    return shares


def soft_scores(
    evidence: Array,
    maps: Array,
    *,
    threshold: float | Literal["mean", "area", "otsu"],
    factor: float = 1.0,
    slope: float = SLOPE,
    shares: Array | None = None,
) -> Array:
    """Class scores by a soft threshold of the evidence of foreground.

        foreground = sigmoid(slope * (evidence - threshold))

    Each pixel's foreground is shared among the present classes in proportion to their maps: the evidence decides
    whether there is an object, the class maps which one.

    Args:
        evidence: (H, W) in [0, 1].
        maps: (K, H, W) class maps in [0, 1].
        threshold: evidence at which foreground and background are even, in [0, 1]; or the image's own: 'mean' of its
            evidence, 'area' by `area_threshold`, or 'otsu', which parts it into two groups of the least variance.
        factor: on the image's own threshold; under 1 makes foreground larger.
        slope: how sharply evidence turns into probability.
        shares: (K, H, W) of the present classes in the foreground, summing to 1; None: in proportion to their maps.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis; all background where K is 0.
    """
    if not len(maps):
        return np.ones((1, *evidence.shape), np.float32)
    if threshold == "otsu":
        threshold = factor * otsu_threshold(evidence)
    elif threshold == "mean":
        threshold = factor * float(evidence.mean())
    elif threshold == "area":
        threshold = factor * area_threshold(evidence, maps.max(axis=0))
    if shares is None:
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
