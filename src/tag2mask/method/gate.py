"""Gating: which classes may get pixels, and the probabilities of these alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.method.output import Array
from tag2mask.method.resize import resize_maps

_HIGHEST = np.float32(80)  # exponent: its power is still finite in float32


def allowed_classes(
    tag_probs: Array, gate: float, *, present: NDArray[np.bool_] | None, unknown: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Classes that may get pixels: the present ones, and of the unknown ones those whose probability passes the gate.

    Args:
        tag_probs: (C,) of the tag classifier, in [0, 1].
        gate: lowest probability, in [0, 1].
        present: (C,) bool, classes that the tags name; None where there are no tags: every class is unknown.
        unknown: (C,) bool, classes that the tags say nothing of.

    Returns:
        (C,) bool.
    """
    passed: NDArray[np.bool_] = tag_probs >= np.float32(gate)
    return passed if present is None else (passed & unknown) | present


def gated_probs(pixel_logits: Array, channels: NDArray[np.intp], *, plain: bool = False) -> Array:
    """Probabilities of background and the allowed classes, from logits of all classes.

    Where the network sees a class that is not allowed, say a horse though the tags name a cow, a softmax over
    background and the allowed classes (`plain`, the paper's) calls the pixel background. By default it stays
    foreground: background keeps its probability among all classes, and the rest is shared by the allowed classes as a
    softmax over these ranks them.

    Args:
        pixel_logits: (C + 1, H, W), background first.
        channels: (K + 1,) 0 for background, then the allowed classes' indices among the C + 1.
        plain: softmax over `channels` alone.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis.
    """
    return gated_probs_at(pixel_logits, channels, (pixel_logits.shape[1], pixel_logits.shape[2]), plain=plain)


def gated_probs_at(
    pixel_logits: Array, channels: NDArray[np.intp], size: tuple[int, int], *, plain: bool = False
) -> Array:
    """`gated_probs` of the logits (C + 1, h, w) resized to (H, W); only the allowed classes' maps are held at once."""
    if len(channels) == 1:
        return np.ones((1, *size), dtype=np.float32)
    if plain:
        return _softmax(resize_maps(pixel_logits[channels], size))
    background = _background_probability(pixel_logits, size)
    foreground = _softmax(resize_maps(pixel_logits[channels[1:]], size))
    foreground *= 1 - background
    return np.concatenate([background[None], foreground])


def _background_probability(pixel_logits: Array, size: tuple[int, int]) -> Array:
    """Softmax of the first channel at (H, W): 1 / (1 + sum_c exp(logit_c - logit_0)).

    Class by class, since the resized logits of all classes would not fit into any cache.
    """
    total = np.ones(size, dtype=np.float32)
    for logits in pixel_logits[1:]:
        difference = resize_maps((logits - pixel_logits[0])[None], size)[0]
        total += np.exp(np.minimum(difference, _HIGHEST))
    return np.asarray(1 / total, dtype=np.float32)


def _softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits - logits.max(axis=0))
    powers /= powers.sum(axis=0)
    return powers
