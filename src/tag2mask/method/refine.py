"""From class scores to marginals and masks: the dense CRF and the arg max."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import CrfConfig
from tag2mask.crf import Lattice, dense_crf, dense_crf_batch
from tag2mask.crf.errors import TooFineError
from tag2mask.method.output import Array


def refine(image: NDArray[np.uint8], scores: Array, crf: CrfConfig, *, pixel_scale: float = 1.0) -> Array:
    """Apply the dense CRF to one image.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (K + 1, H, W) probabilities, summing to 1 over the first axis.
        crf: settings; deviations are in pixels of the configuration's `data.image_size`.
        pixel_scale: pixels of `image` per pixel of `data.image_size`.

    Returns:
        (K + 1, H, W) marginals, summing to 1 over the first axis.
    """
    return refine_batch([image], [scores], crf, pixel_scale=pixel_scale)[0]


def refine_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[Array],
    crf: CrfConfig,
    *,
    pixel_scale: float = 1.0,
    threads: int = 1,
) -> list[Array]:
    """`refine` for several images, `threads` of them at once.

    Classes whose score is zero everywhere stay at zero and cost nothing.
    """
    if not crf.enabled:
        return list(scores)
    kept = [np.flatnonzero(one.reshape(len(one), -1).any(axis=1)) for one in scores]
    busy = [index for index, channels in enumerate(kept) if len(channels) > 1]
    marginals = dense_crf_batch(
        [images[index] for index in busy],
        [_chosen(scores[index], kept[index]) for index in busy],
        threads=threads,
        iterations=crf.iterations,
        gaussian_weight=crf.gaussian_weight,
        gaussian_xy=crf.gaussian_xy * pixel_scale,
        bilateral_weight=crf.bilateral_weight,
        bilateral_xy=crf.bilateral_xy * pixel_scale,
        bilateral_rgb=crf.bilateral_rgb,
    )
    refined = list(scores)
    for index, marginal in zip(busy, marginals, strict=True):
        refined[index] = _among_all(marginal, scores[index], kept[index])
    return refined


def refine_each(
    image: NDArray[np.uint8], scores: Array, settings: Sequence[CrfConfig], *, pixel_scale: float = 1.0
) -> Iterator[Array]:
    """`refine` with each of several settings, in their order, to the same bits.

    Neighbours of equal deviations share the lattices of the image, which take as long as some iterations.
    """
    kept = np.flatnonzero(scores.reshape(len(scores), -1).any(axis=1))
    chosen = _chosen(scores, kept)
    shared: tuple[tuple[float, ...], Lattice] | None = None
    for crf in settings:
        deviations = (crf.gaussian_xy, crf.bilateral_xy, crf.bilateral_rgb)
        if not crf.enabled or len(kept) < 2:
            yield scores
            continue
        if shared is None or shared[0] != deviations:
            shared = None  # its memory is free before the next is built
            try:
                shared = (
                    deviations,
                    Lattice(
                        image,
                        gaussian_xy=crf.gaussian_xy * pixel_scale,
                        bilateral_xy=crf.bilateral_xy * pixel_scale,
                        bilateral_rgb=crf.bilateral_rgb,
                    ),
                )
            except TooFineError:
                yield refine(image, scores, crf, pixel_scale=pixel_scale)
                continue
        marginals = dense_crf(
            image,
            chosen,
            iterations=crf.iterations,
            gaussian_weight=crf.gaussian_weight,
            bilateral_weight=crf.bilateral_weight,
            lattice=shared[1],
        )
        yield _among_all(marginals, scores, kept)


def _among_all(marginals: Array, scores: Array, kept: NDArray[np.intp]) -> Array:
    """Marginals of some channels among all of `scores`; 0 for the others."""
    if len(marginals) == len(scores):
        return marginals
    out = np.zeros(scores.shape, dtype=np.float32)
    out[kept] = marginals
    return out


def _chosen(scores: Array, channels: NDArray[np.intp]) -> Array:
    """Some channels, contiguous; the same array where that is all of them."""
    return np.ascontiguousarray(scores if len(channels) == len(scores) else scores[channels], dtype=np.float32)


def to_mask(marginals: Array, channels: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Arg max over (K + 1, H, W) as class indices.

    Args:
        marginals: of background and the allowed classes.
        channels: (K + 1,) their class indices, 0 first.

    Returns:
        (H, W) uint8.
    """
    mask: NDArray[np.uint8] = channels.astype(np.uint8)[marginals.argmax(axis=0)]
    return mask
