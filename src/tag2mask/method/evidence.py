"""The evidence for a mask: the network's output at all scales and on the horizontal flip, gated and combined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config, PredictionConfig
from tag2mask.method.class_scores import class_scores
from tag2mask.method.gate import allowed_classes, class_weights, gated_probs, gated_probs_at, reweighed
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.resize import average_maps, resize_maps, resize_window
from tag2mask.method.uncertainty import (
    Uncertainty,
    between_views,
    disagreement,
    expected_error,
    tag_uncertainty,
    undecided,
)

COARSE_STRIDE = 8
"""Image size as the network sees it / grid on which the segmentation head's logits are averaged over views."""

_MOST_VALUES = 32_000_000  # of the class scores of one image: 128 MB


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an image before the dense CRF, on coarse grids; K classes are allowed.

    Attributes:
        channels: (K + 1,) class indices of background and the allowed classes among all C + 1.
        pixel_logits: (C + 1, h, w) of the segmentation head, averaged over the views.
        scores: (K + 1, h', w') class scores of the recognition head, averaged over the views; None where they have
            no share.
        scores_weight: their share in the probabilities, in [0, 1].
        tag_probs: (C,) of the tag classifier, in [0, 1].
        uncertainty: of the mask to come.
        plain_gate: as `paper.plain_gate`.
        weights: (K,) of the allowed classes, by what the tag classifier says; None: all count alike.
    """

    channels: NDArray[np.intp]
    pixel_logits: Array
    scores: Array | None
    scores_weight: float
    tag_probs: Array
    uncertainty: Uncertainty
    plain_gate: bool = False
    weights: Array | None = None

    def probs(self, size: tuple[int, int]) -> Array:
        """Probabilities (K + 1, *size) of background and the allowed classes."""
        probs = gated_probs_at(self.pixel_logits, self.channels, size, plain=self.plain_gate, weights=self.weights)
        return probs if self.scores is None else self._mixed(probs, resize_maps(self.scores, size))

    def probs_window(self, size: tuple[int, int], rows: slice, columns: slice) -> Array:
        """A window (K + 1, rows, columns) of `probs(size)`, computed without the rest of it."""
        logits = resize_window(self.pixel_logits, size, rows, columns)
        probs = gated_probs(logits, self.channels, plain=self.plain_gate, weights=self.weights)
        return probs if self.scores is None else self._mixed(probs, resize_window(self.scores, size, rows, columns))

    def _mixed(self, probs: Array, scores: Array) -> Array:
        probs += np.float32(self.scores_weight) * (scores - probs)
        return probs


def combine(
    views: Sequence[NetworkOutput],
    seen: tuple[int, int],
    config: Config,
    settings: PredictionConfig,
    *,
    present: NDArray[np.bool_] | None,
    unknown: NDArray[np.bool_],
) -> Evidence:
    """Combine the network's outputs on one image.

    Args:
        views: its output at each scale, and on the horizontal flip (flipped back).
        seen: (H, W) at which the network sees the image at scale 1.
        config: of the run that trained the network.
        settings: of this prediction.
        present: (C,) bool, classes that the tags name; None where there are no tags.
        unknown: (C,) bool, classes that the tags say nothing of.
    """
    tag_logits = np.mean([view.tag_logits for view in views], axis=0)
    tag_probs: Array = (1 / (1 + np.exp(-tag_logits))).astype(np.float32)
    allowed = np.flatnonzero(allowed_classes(tag_probs, settings.gate, present=present, unknown=unknown))
    channels = np.concatenate([[0], allowed + 1])
    coarse = (seen[0] // COARSE_STRIDE, seen[1] // COARSE_STRIDE)
    logits = [resize_maps(view.pixel_logits, coarse) for view in views]
    plain = config.paper.plain_gate
    weights = None
    if settings.tag_weight:
        weights = class_weights(tag_probs, settings.tag_weight, present=present, unknown=unknown)[allowed]
    scores = None
    if settings.prior_weight and config.training.supervision == "tags" and views[0].has_class_maps:
        size = scores_grid(seen, config.masks.stride, len(tag_probs))
        scores = _mean(class_scores(view, allowed, size, config.masks, config.paper).scores for view in views)
        if weights is not None:
            scores = reweighed(scores, weights)
    per_view = [gated_probs(one, channels, plain=plain, weights=weights) for one in logits]
    between_heads, mixed = 0.0, np.mean(per_view, axis=0)
    if scores is not None:
        averaged, share = average_maps(scores, coarse), np.float32(settings.prior_weight)
        # Without a share, as before it was trained, the segmentation head says nothing of the mask.
        between_heads = undecided(averaged) if share == 1 else disagreement(mixed, averaged)
        mixed = mixed + share * (averaged - mixed)
    contradiction = tag_uncertainty(tag_probs, present, unknown)
    uncertainty = Uncertainty(between_heads, between_views(per_view), contradiction, expected_error(mixed))
    mean_logits: Array = np.mean(logits, axis=0)
    return Evidence(channels, mean_logits, scores, settings.prior_weight, tag_probs, uncertainty, plain, weights)


def _mean(arrays: Iterable[Array]) -> Array:
    """Mean of arrays of one shape, two of which are in memory at once."""
    remaining = iter(arrays)
    total, count = np.array(next(remaining)), 1
    for one in remaining:
        total += one
        count += 1
    total /= count
    return total


def scores_grid(seen: tuple[int, int], stride: int, classes: int) -> tuple[int, int]:
    """Grid of the class scores of an image that the network sees at `seen`: at `stride`, or coarser for huge ones."""
    while (seen[0] // stride) * (seen[1] // stride) * (classes + 1) > _MOST_VALUES:
        stride *= 2
    return seen[0] // stride, seen[1] // stride
