"""Mean-field inference in the fully connected CRF, for one image or many."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import checks, layout, meanfield
from tag2mask.crf.lattice import Deviations, Lattice
from tag2mask.crf.resizing import resize
from tag2mask.crf.workspace import Workspace, padded

Floats = NDArray[np.float32]

FLOOR = 1e-5
"""Probabilities below this count as this, so that the logarithm stays finite."""

_DEFAULTS = Deviations.isotropic(3.0, 50.0, 10.0)
_WIDE = (0.0,) * 16
_ROOM = Workspace()
"""Unary, nodes and blocks of one call."""


def dense_crf(
    image: NDArray[np.uint8],
    probs: Floats,
    *,
    iterations: int = 10,
    gaussian_weight: float = 3.0,
    gaussian_xy: float = 3.0,
    bilateral_weight: float = 5.0,
    bilateral_xy: float = 50.0,
    bilateral_rgb: float = 10.0,
    prune: float = 0.0,
    scale: float = 1.0,
    lattice: Lattice | None = None,
) -> Floats:
    """Sharpen class probabilities along the edges of an image.

    Mean-field inference in the fully connected CRF with Potts compatibility (P. Kraehenbuehl, V. Koltun,
    NIPS 2011, https://arxiv.org/abs/1210.5644), the Gaussians filtered on permutohedral lattices
    (A. Adams, J. Baek, M. A. Davis, Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x)
    with symmetric normalisation. The unary is -log of `probs`, which are held above 1e-5. One thread; the
    interpreter lock is released. The same input gives the same result, bit by bit.

    Args:
        image: uint8 (H, W, 3), RGB.
        probs: float32 (K, H, W), between 0 and 1, sums to 1 over K.
        iterations: mean-field updates, at least 0.
        gaussian_weight: weight of the position-only term, at least 0.
        gaussian_xy: its deviation in pixels, above 0.
        bilateral_weight: weight of the position-and-colour term, at least 0.
        bilateral_xy: its deviation in pixels, above 0.
        bilateral_rgb: its deviation in grey levels 0..255, above 0.
        prune: leave out classes that win fewer than this share of the pixels of `probs`, at least 0 and
            below 1; their marginals are 0. 0 leaves none out and is exact; 0.001 is much faster where K
            is large.
        scale: above 0 and at most 1: work on an image resized by this factor, and enlarge the result
            linearly. 0.5 is several times faster and blurs edges by about a pixel.
        lattice: the lattice of this image, to save building it. Deviations and scale are then the
            lattice's; asking for others is an error.

    Returns:
        float32 (K, H, W), the marginals Q, between 0 and 1; they sum to 1 over K.

    Raises:
        DataError: an array has a wrong type, shape or range, or holds NaN or infinite values.
        ConfigError: a setting is out of range, or contradicts `lattice`.
    """
    image = checks.checked_image(image)
    probs = checks.checked_probs(probs, (image.shape[0], image.shape[1]))
    iterations = checks.count("iterations", iterations, least=0)
    near_weight = checks.non_negative("gaussian_weight", gaussian_weight)
    far_weight = checks.non_negative("bilateral_weight", bilateral_weight)
    deviations = Deviations.isotropic(gaussian_xy, bilateral_xy, bilateral_rgb)
    factor = checks.scale_factor("scale", scale)
    labels = _kept_labels(probs, checks.share("prune", prune))
    if lattice is not None:
        _check_lattice(lattice, (image.shape[0], image.shape[1]), deviations, factor)
    if len(labels) == 1:
        alone = np.zeros_like(probs)
        alone[labels] = 1
        return alone
    if lattice is not None:
        return _through(lattice, probs, labels, iterations, near_weight, far_weight)
    lattice = Lattice(
        image, gaussian_xy=gaussian_xy, bilateral_xy=bilateral_xy, bilateral_rgb=bilateral_rgb, scale=factor
    )
    out = _through(lattice, probs, labels, iterations, near_weight, far_weight)
    lattice.recycle()
    return out


def _through(
    lattice: Lattice,
    probs: Floats,
    labels: NDArray[np.int64],
    iterations: int,
    near_weight: float,
    far_weight: float,
) -> Floats:
    """`mean_field` at the size of the lattice, and back."""
    if lattice.size == lattice.shape:
        return mean_field(lattice, probs, labels, FLOOR, iterations, near_weight, far_weight)
    small = resize(probs[labels], *lattice.size)
    everything = np.arange(len(labels))
    marginals = mean_field(lattice, small, everything, FLOOR, iterations, near_weight, far_weight)
    large = resize(marginals, *lattice.shape)
    if len(labels) == len(probs):
        return large
    out = np.zeros_like(probs)
    out[labels] = large
    return out


def dense_crf_batch(
    images: Sequence[NDArray[np.uint8]],
    probs: Sequence[Floats],
    *,
    threads: int = 1,
    iterations: int = 10,
    gaussian_weight: float = 3.0,
    gaussian_xy: float = 3.0,
    bilateral_weight: float = 5.0,
    bilateral_xy: float = 50.0,
    bilateral_rgb: float = 10.0,
    prune: float = 0.0,
    scale: float = 1.0,
) -> list[Floats]:
    """Run `dense_crf` over many images, several at a time.

    Args:
        images: uint8 (H, W, 3) each, of any sizes.
        probs: float32 (K, H, W) each; K may differ.
        threads: images worked on at the same time, at least 1. The results do not depend on it.
        iterations, gaussian_weight, gaussian_xy, bilateral_weight, bilateral_xy, bilateral_rgb, prune,
            scale: as in `dense_crf`.

    Returns:
        float32 (K, H, W) for each image, in the order of `images`.

    Raises:
        DataError: as `dense_crf`, or the numbers of images and of probs differ.
        ConfigError: as `dense_crf`.
    """
    threads = checks.count("threads", threads, least=1)
    if len(images) != len(probs):
        raise DataError(f"got {len(images)} images but {len(probs)} probs; there must be one for each image")

    def one(pair: tuple[NDArray[np.uint8], Floats]) -> Floats:
        return dense_crf(
            pair[0],
            pair[1],
            iterations=iterations,
            gaussian_weight=gaussian_weight,
            gaussian_xy=gaussian_xy,
            bilateral_weight=bilateral_weight,
            bilateral_xy=bilateral_xy,
            bilateral_rgb=bilateral_rgb,
            prune=prune,
            scale=scale,
        )

    pairs = list(zip(images, probs, strict=True))
    if threads == 1 or len(pairs) < 2:
        return [one(pair) for pair in pairs]
    with ThreadPoolExecutor(min(threads, len(pairs))) as pool:
        return list(pool.map(one, pairs))


def mean_field(
    lattice: Lattice,
    scores: Floats,
    labels: NDArray[np.int64],
    floor: float,
    iterations: int,
    near_weight: float,
    far_weight: float,
) -> Floats:
    """Run the iterations, without checks.

    Args:
        lattice: the lattice, of size (H, W).
        scores: float32 (K, H, W): probabilities where `floor` > 0, else log-probabilities.
        labels: int64, the classes that take part, at least two.
        floor: least probability; 0 for log-probabilities.
        iterations: mean-field updates.
        near_weight, far_weight: weights of the position-only and of the bilateral term.

    Returns:
        float32 (K, H, W), the marginals; 0 for classes that take no part.
    """
    flat = scores.reshape(len(scores), -1)
    full, tail = _chunks(len(labels) - 1)
    lanes = 16 * full + len(tail)
    near_scale, far_scale = np.float32(near_weight), np.float32(far_weight)
    bias = far_scale * lattice.far_sum + near_scale * lattice.near_sum
    sizes = [
        flat.shape[1] * lanes,
        *2 * (lattice.near_count * lanes, lattice.far_count * lanes),
        meanfield.BLOCK * lanes,
        meanfield.BLOCK * 2,
    ]
    ends = np.cumsum([padded(size) for size in sizes])
    room = _ROOM.take(int(ends[-1]))
    unary, near, far, near_out, far_out, buffer, shares = (
        room[end - padded(size) : end - padded(size) + size] for end, size in zip(ends, sizes, strict=True)
    )
    extreme = layout.pack(
        _WIDE,
        len(tail),
        full,
        flat,
        labels,
        np.float32(floor),
        bias,
        lattice.pixels,
        lattice.tiles,
        unary,
    )
    steep = bool(extreme + bias.max() + np.log(len(labels)) > meanfield.LIMIT)
    room[ends[0] :] = 0
    lattices = (
        lattice.starts,
        lattice.far_corners,
        lattice.far_weights,
        lattice.near_corners,
        lattice.near_weights,
    )
    for i in range(iterations + 1):
        first, last = i == 0, i == iterations
        meanfield.sweep(
            _WIDE,
            tail,
            full,
            unary,
            bias,
            lattices,
            near,
            far,
            near_out,
            far_out,
            near_scale,
            far_scale,
            steep,
            first,
            last,
            buffer,
            shares,
        )
        if not last:
            meanfield.blur(_WIDE, tail, full, near_out, lattice.near_links)
            meanfield.blur(_WIDE, tail, full, far_out, lattice.far_links)
            near, near_out, far, far_out = near_out, near, far_out, far
            near_out.fill(0)
            far_out.fill(0)
    # zeros come untouched from the system, where zeros_like would write them all
    out = np.empty(flat.shape, np.float32) if len(labels) == len(flat) else np.zeros(flat.shape, np.float32)
    layout.unpack(len(tail), full, unary, bias, labels, lattice.pixels, lattice.tiles, out)
    _ROOM.give(room)
    return out.reshape(scores.shape)


def _kept_labels(probs: Floats, prune: float) -> NDArray[np.int64]:
    """Classes that take part, after a check of the values."""
    wins = np.zeros(len(probs), np.int64)
    finite, low, high, worst = layout.inspect(_WIDE, probs.reshape(-1), prune > 0, wins)
    checks.check_values(finite, low, high, worst)
    if prune == 0:
        return np.arange(len(probs))
    kept = np.flatnonzero(wins >= prune * wins.sum())
    return kept if len(kept) else np.array([wins.argmax()])


def _check_lattice(lattice: Lattice, shape: tuple[int, int], deviations: Deviations, scale: float) -> None:
    if lattice.shape != shape:
        raise ConfigError(
            f"the lattice was built for an image of shape {lattice.shape}, not {shape}; build one for this image"
        )
    if deviations not in (_DEFAULTS, lattice.deviations) or scale not in (1.0, lattice.scale):
        raise ConfigError(
            f"the lattice was built with {lattice.deviations} and scale {lattice.scale}, but the call asks for "
            f"{deviations} and scale {scale}; leave these out of the call or build another lattice"
        )


def _chunks(channels: int) -> tuple[int, tuple[float, ...]]:
    """Chunks of 16 lanes, and a tuple of as many zeros as the tail has lanes."""
    full = (channels - 1) // 16
    tail = channels - 16 * full
    lanes = next(lanes for lanes in (1, 2, 4, 8, 16) if lanes >= tail)
    return full, (0.0,) * lanes
