"""Probabilities of the allowed classes from pixel logits, in NumPy; `gated_probs` on torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def gated_softmax(logits: Array, channels: NDArray[np.intp], reassign: float) -> Array:
    """Probabilities of background and the allowed classes; see `tag2mask.method.torch_prior.gated_probs`.

    Args:
        logits: (C + 1, H, W).
        channels: (K + 1,) 0 for background, then the indices of the allowed classes among the C + 1.
        reassign: share of the background of the softmax over all classes, in [0, 1]; the rest of it is
            that of the softmax over `channels`.

    Returns:
        (K + 1, H, W), summing to 1 over the first axis.
    """
    probs = _softmax(logits[channels])
    if reassign and len(channels) > 1:
        background = probs[:1] + np.float32(reassign) * (_softmax(logits)[:1] - probs[:1])
        probs = np.concatenate([background, (1 - background) * _softmax(logits[channels[1:]])])
    return probs


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=0))
    result: Array = powers / powers.sum(axis=0)
    return result
