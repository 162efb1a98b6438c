"""Gating: which classes may get pixels, and the probabilities of these alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.method.output import Array
from tag2mask.method.resize import resize_maps

_LEAST = np.float32(1e-3)  # probability below which a class counts no less
_TINY = np.float32(1e-12)
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


def class_weights(
    tag_probs: Array, power: float, *, present: NDArray[np.bool_] | None, unknown: NDArray[np.bool_]
) -> Array:
    """How much each class's share of a pixel counts, by what the tag classifier says of the whole image.

    Which of two classes that are alike an image shows is seen better on the whole of it than at a pixel.

    Args:
        tag_probs: (C,) of the tag classifier, in [0, 1].
        power: of the probability; 0: all classes count alike.
        present: (C,) bool, classes that the tags name, which count fully; None where there are no tags.
        unknown: (C,) bool, classes that the tags say nothing of.

    Returns:
        (C,) in (0, 1].
    """
    weights = np.clip(tag_probs, _LEAST, 1).astype(np.float32) ** np.float32(power)
    open_classes = np.ones_like(unknown) if present is None else unknown & ~present
    return np.where(open_classes, weights, np.float32(1))


def reweighed(scores: Array, weights: Array) -> Array:
    """Class scores (K + 1, H, W) with the foreground of each pixel shared anew, by `weights` (K,) of the classes."""
    if len(scores) < 3:
        return scores
    foreground = scores[1:].sum(axis=0)
    shares = scores[1:] * weights[:, None, None]
    shares *= foreground / np.maximum(shares.sum(axis=0), _TINY)
    return np.concatenate([scores[:1], shares])


def gated_probs(
    pixel_logits: Array,
    channels: NDArray[np.intp],
    *,
    plain: bool = False,
    weights: Array | None = None,
) -> Array:
    """Probabilities of background and the allowed classes, from logits of all classes.

    Where the network sees a class that is not allowed, say a horse though the tags name a cow, a softmax over
    background and the allowed classes (`plain`, the paper's) calls the pixel background. By default it stays
    foreground: background keeps its probability among all classes, and the rest is shared by the allowed classes as a
    softmax over these ranks them.

    Args:
        pixel_logits: (C + 1, H, W), background first.
        channels: (K + 1,) 0 for background, then the allowed classes' indices among the C + 1.
        plain: softmax over `channels` alone.
        weights: (K,) of `class_weights`, of the allowed classes; not used with `plain`.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis.
    """
    size = (pixel_logits.shape[1], pixel_logits.shape[2])
    return gated_probs_at(pixel_logits, channels, size, plain=plain, weights=weights)


def gated_probs_at(
    pixel_logits: Array,
    channels: NDArray[np.intp],
    size: tuple[int, int],
    *,
    plain: bool = False,
    weights: Array | None = None,
) -> Array:
    """`gated_probs` of the logits (C + 1, h, w) resized to (H, W); only the allowed classes' maps are held at once."""
    if len(channels) == 1:
        return np.ones((1, *size), dtype=np.float32)
    if plain:
        return _softmax(resize_maps(pixel_logits[channels], size))
    background = _background_probability(pixel_logits, size)
    foreground = resize_maps(pixel_logits[channels[1:]], size)
    if weights is not None:
        foreground = foreground + np.log(weights)[:, None, None]
    foreground = _softmax(foreground)
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
