"""Unaries and features under the names of `pydensecrf.utils`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import checks
from tag2mask.crf.pairwise import deviations

Floats = NDArray[np.float32]

_LOG = logging.getLogger("tag2mask.crf")


def unary_from_labels(labels: NDArray[Any], n_labels: int, gt_prob: float, zero_unsure: bool = True) -> Floats:
    """Energies from a class map that is right with probability `gt_prob`.

    Args:
        labels: integers of any shape; with `zero_unsure`, 0 means unknown and classes count from 1.
        n_labels: number of classes, not counting the 0 of `zero_unsure`.
        gt_prob: above 0 and below 1.
        zero_unsure: whether 0 means that the class is unknown.

    Returns:
        float32 (n_labels, N).

    Raises:
        ConfigError: `gt_prob` is not between 0 and 1, or there are fewer than two classes.
        DataError: a label out of range.
    """
    if not 0 < gt_prob < 1:
        raise ConfigError(f"gt_prob must lie between 0 and 1, not {gt_prob!r}")
    n_labels = checks.count("n_labels", n_labels, least=2)
    flat = np.asarray(labels).reshape(-1)
    if flat.dtype.kind not in "iu":
        raise DataError(f"labels must be integers, not {flat.dtype}")
    index = flat.astype(np.int64) - int(zero_unsure)
    known = index >= 0 if zero_unsure else np.ones(len(flat), np.bool_)
    if (index[known] < 0).any() or (index >= n_labels).any() or (index < -int(zero_unsure)).any():
        raise DataError(f"labels run from {flat.min()} to {flat.max()}, too far for {n_labels} classes")
    out = np.full((n_labels, len(flat)), -np.log((1 - gt_prob) / (n_labels - 1)), np.float32)
    out[index[known], np.flatnonzero(known)] = -np.log(gt_prob)
    out[:, ~known] = np.log(n_labels)
    return out


def unary_from_softmax(sm: NDArray[Any], scale: float | None = None, clip: float | None = 1e-5) -> Floats:
    """Energies from class probabilities.

    Args:
        sm: float (K, ...), probabilities.
        scale: above 0 and at most 1; mixes in the uniform distribution with weight `1 - scale`.
        clip: least probability; None for no limit.

    Returns:
        float32 (K, N).

    Raises:
        ConfigError: `scale` is out of range.
    """
    probs = np.asarray(sm)
    if scale is not None:
        if not 0 < scale <= 1:
            raise ConfigError(f"scale must be above 0 and at most 1, not {scale!r}")
        probs = scale * probs + (1 - scale) / len(probs)
    if clip is not None:
        probs = np.clip(probs, clip, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(probs).reshape(len(probs), -1), dtype=np.float32)


def compute_unary(labels: NDArray[Any], M: int, GT_PROB: float = 0.5) -> Floats:  # noqa: N803
    """Old name of `unary_from_labels`."""
    _LOG.warning("compute_unary is an old name; use unary_from_labels")
    return unary_from_labels(labels, M, GT_PROB)


def softmax_to_unary(sm: NDArray[Any], GT_PROB: float = 1) -> Floats:  # noqa: N803
    """Old form of `unary_from_softmax`, without a least probability."""
    _LOG.warning("softmax_to_unary is an old name; use unary_from_softmax")
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> Floats:
    """Features of positions in a grid of any number of dimensions.

    Args:
        sdims: deviation along each axis of `shape`.
        shape: size of the grid.

    Returns:
        float32 (len(shape), N), in C order of the grid.
    """
    sigma = deviations("sdims", sdims, len(shape))
    grid = np.indices(tuple(shape), dtype=np.float32).reshape(len(shape), -1)
    return grid / np.array(sigma, np.float32)[:, None]


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: NDArray[Any], chdim: int = -1
) -> Floats:
    """Features of positions and channels of an image of any number of dimensions.

    Args:
        sdims: deviation along each axis of the image but `chdim`.
        schan: deviation of the channels, one number or one for each.
        img: the image.
        chdim: axis of the channels; -1 for an image without that axis.

    Returns:
        float32 (D, N): positions first, then channels, in C order of the image.
    """
    channels = img[np.newaxis] if chdim == -1 else np.moveaxis(img, chdim, 0)
    sigma = deviations("schan", schan, len(channels))
    colours = channels.astype(np.float32).reshape(len(channels), -1)
    positions = create_pairwise_gaussian(sdims, channels.shape[1:])
    return np.concatenate([positions, colours / np.array(sigma, np.float32)[:, None]])
