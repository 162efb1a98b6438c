"""Drop-in replacement for `pydensecrf.utils`: unaries from class maps and probabilities, features of pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import checks
from tag2mask.crf.errors import ArrayError, ParameterError
from tag2mask.crf.pairwise import deviations

Floats = NDArray[np.float32]

__all__ = [
    "compute_unary",
    "create_pairwise_bilateral",
    "create_pairwise_gaussian",
    "softmax_to_unary",
    "unary_from_labels",
    "unary_from_softmax",
]

_LOG = logging.getLogger("tag2mask.crf")


def unary_from_labels(labels: NDArray[Any], n_labels: int, gt_prob: float, zero_unsure: bool = True) -> Floats:
    """Return a unary from a class map that is correct with probability `gt_prob`.

    The energy is -log(gt_prob) for the class given and -log((1 - gt_prob) / (n_labels - 1)) for each other class.

    Args:
        labels: integer array of any shape with N entries. With `zero_unsure`, 0 means unknown and classes start at 1.
        n_labels: number of classes K, at least 2, without the 0 of `zero_unsure`.
        gt_prob: in (0, 1).
        zero_unsure: whether 0 means that the class is unknown; such pixels get equal energies for all classes.

    Returns:
        float32 (K, N).

    Raises:
        ParameterError: `gt_prob` is not between 0 and 1, or there are fewer than two classes.
        ArrayError: `labels` are not integers, or out of range.

    Example:
        >>> import numpy as np
        >>> np.exp(-unary_from_labels(np.array([0, 1, 2]), 2, gt_prob=0.75))
        array([[0.5 , 0.75, 0.25],
               [0.5 , 0.25, 0.75]], dtype=float32)
    """
    if not 0 < gt_prob < 1:
        raise ParameterError(f"`gt_prob` must lie between 0 and 1, not {gt_prob!r}")
    n_labels = checks.count("n_labels", n_labels, least=2)
    flat = np.asarray(labels).reshape(-1)
    if flat.dtype.kind not in "iu":
        raise ArrayError(f"`labels` must be integers, not {flat.dtype}")
    index = flat.astype(np.int64) - int(zero_unsure)
    known = index >= 0 if zero_unsure else np.ones(len(flat), np.bool_)
    if (index[known] < 0).any() or (index >= n_labels).any() or (index < -int(zero_unsure)).any():
        raise ArrayError(
            f"`labels` run from {flat.min()} to {flat.max()}, which is out of range for {n_labels} classes"
        )
    out = np.full((n_labels, len(flat)), -np.log((1 - gt_prob) / (n_labels - 1)), np.float32)
    out[index[known], np.flatnonzero(known)] = -np.log(gt_prob)
    out[:, ~known] = np.log(n_labels)
    return out


def unary_from_softmax(sm: NDArray[Any], scale: float | None = None, clip: float | None = 1e-5) -> Floats:
    """Return a unary, -log of class probabilities.

    Args:
        sm: float (K, ...), probabilities in [0, 1], N = product of the other axes.
        scale: in (0, 1]; mixes in the uniform distribution with weight `1 - scale`. None is 1.
        clip: probabilities are clipped to at least this; None for no clipping.

    Returns:
        float32 (K, N).

    Raises:
        ParameterError: `scale` is out of range.
    """
    probs = np.asarray(sm)
    if scale is not None:
        if not 0 < scale <= 1:
            raise ParameterError(f"`scale` must be above 0 and at most 1, not {scale!r}")
        probs = scale * probs + (1 - scale) / len(probs)
    if clip is not None:
        probs = np.clip(probs, clip, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(probs).reshape(len(probs), -1), dtype=np.float32)


def compute_unary(labels: NDArray[Any], M: int, GT_PROB: float = 0.5) -> Floats:  # noqa: N803
    """Deprecated name of `unary_from_labels`, with `M` for `n_labels`."""
    _LOG.warning("compute_unary is deprecated; use unary_from_labels")
    return unary_from_labels(labels, M, GT_PROB)


def softmax_to_unary(sm: NDArray[Any], GT_PROB: float = 1) -> Floats:  # noqa: N803
    """Deprecated form of `unary_from_softmax` without clipping, with `GT_PROB` for `scale`."""
    _LOG.warning("softmax_to_unary is deprecated; use unary_from_softmax")
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> Floats:
    """Return features of positions in a grid with any number D of dimensions, for `DenseCRF.addPairwiseEnergy`.

    Args:
        sdims: standard deviation along each axis of `shape`, above 0.
        shape: size of the grid.

    Returns:
        float32 (D, N), positions divided by `sdims`, in C order of the grid.

    Raises:
        ParameterError: `sdims` has another length than `shape`, or is not positive.
    """
    sigma = deviations("sdims", sdims, len(shape))
    grid = np.indices(tuple(shape), dtype=np.float32).reshape(len(shape), -1)
    return grid / np.array(sigma, np.float32)[:, None]


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: NDArray[Any], chdim: int = -1
) -> Floats:
    """Return features of positions and channels of an image with any number of dimensions.

    Args:
        sdims: standard deviation along each axis of the image except `chdim`, above 0.
        schan: standard deviation of the channels, above 0: one number, or one for each channel.
        img: array of any numeric type.
        chdim: axis of the channels; -1 for an image without a channel axis.

    Returns:
        float32 (D, N): positions first, then channels, in C order of the image.

    Raises:
        ParameterError: `sdims` or `schan` has a wrong length, or is not positive.
    """
    channels = img[np.newaxis] if chdim == -1 else np.moveaxis(img, chdim, 0)
    sigma = deviations("schan", schan, len(channels))
    colours = channels.astype(np.float32).reshape(len(channels), -1)
    positions = create_pairwise_gaussian(sdims, channels.shape[1:])
    return np.concatenate([positions, colours / np.array(sigma, np.float32)[:, None]])
