"""The public functions of the dense CRF: `dense_crf` for one image, `dense_crf_batch` for many."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tag2mask.crf import checks, layout
from tag2mask.crf.errors import ArrayError, ParameterError, TooFineError
from tag2mask.crf.features import bilateral_features, position_features
from tag2mask.crf.general import NormalizationType
from tag2mask.crf.lattice import Deviations, Lattice, shrunk
from tag2mask.crf.mean_field import mean_field
from tag2mask.crf.pairwise import KernelType, PairwiseTerm
from tag2mask.crf.resizing import resize
from tag2mask.crf.terms import TermSet

Floats = NDArray[np.float32]

FLOOR = 1e-5
"""Probabilities are clipped to at least this, so that their logarithm stays finite."""

_DEFAULTS = Deviations.isotropic(3.0, 50.0, 10.0)
_WIDE = (0.0,) * 16


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
    """Refine class probabilities along the edges of an image with the fully connected (dense) CRF.

    The unary of class k at pixel i is u_k(i) = -log max(p_k(i), 1e-5). Two pairwise terms with Potts
    compatibility favour equal classes at pixels i and j that are close (Gaussian term), and at pixels that
    are close and of similar colour (bilateral term), with positions x and colours I:

        K_1(i, j) = exp(-|x_i - x_j|^2 / (2 gaussian_xy^2))
        K_2(i, j) = exp(-|x_i - x_j|^2 / (2 bilateral_xy^2) - |I_i - I_j|^2 / (2 bilateral_rgb^2))

    Mean field starts from Q = softmax(-u) and updates all pixels in parallel, `iterations` times:

        Q_k(i) <- softmax over k of  -u_k(i) + w_1 [N_1 Q_k](i) + w_2 [N_2 Q_k](i)
        N_m = D_m^-1/2 K_m D_m^-1/2,  D_m = diag(K_m 1)

    The products N_m Q_k are approximated by filtering on permutohedral lattices. The call runs in one
    thread and releases the interpreter lock. Equal input gives bitwise equal output.

    Args:
        image: uint8 (H, W, 3), RGB, 0..255.
        probs: float32 (K, H, W), class probabilities in [0, 1] that sum to 1 over K.
        iterations: number of mean-field updates, at least 0.
        gaussian_weight: w_1, weight of the Gaussian term, at least 0.
        gaussian_xy: standard deviation of the Gaussian term in pixels, above 0.
        bilateral_weight: w_2, weight of the bilateral term, at least 0.
        bilateral_xy: standard deviation of the bilateral term in pixels, above 0.
        bilateral_rgb: standard deviation of the bilateral term in grey levels 0..255, above 0.
        prune: fraction of the pixels in [0, 1). Classes that are the most probable one in `probs` at fewer
            pixels are left out, and their marginals are 0. 0 keeps every class; 0.001 is much faster for
            large K.
        scale: in (0, 1]. Below 1, inference runs on image and `probs` resized by this factor, and the
            marginals are enlarged linearly. 0.5 is several times faster and moves edges by about a pixel.
        lattice: the lattices of this image, built before. Standard deviations and scale are then those of
            the lattice and must not be given here as well.

    Returns:
        float32 (K, H, W), the marginals Q in [0, 1]; they sum to 1 over K.

    Raises:
        ArrayError: an array has the wrong type, shape or range, or holds NaN or infinite values.
        ParameterError: a parameter is out of range, or contradicts `lattice`.

    References:
        P. Kraehenbuehl, V. Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
        Potentials", NIPS 2011, https://doi.org/10.48550/arXiv.1210.5644.
        A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
        Eurographics 2010, https://doi.org/10.1111/j.1467-8659.2009.01645.x.

    Example:
        The image has an edge between columns 2 and 3; the probabilities place it one column further right.

        >>> import numpy as np
        >>> from tag2mask import dense_crf
        >>> image = np.zeros((4, 6, 3), np.uint8)
        >>> image[:, 3:] = 200
        >>> probs = np.empty((2, 4, 6), np.float32)
        >>> probs[1] = [0.2, 0.2, 0.2, 0.4, 0.8, 0.8]
        >>> probs[0] = 1 - probs[1]
        >>> probs.argmax(axis=0)[0]
        array([0, 0, 0, 0, 1, 1])
        >>> dense_crf(image, probs).argmax(axis=0)[0]
        array([0, 0, 0, 1, 1, 1])
    """
    image = checks.checked_image(image)
    probs = checks.checked_probs(probs, (image.shape[0], image.shape[1]))
    iterations = checks.count("iterations", iterations, least=0)
    weights = (
        checks.non_negative("gaussian_weight", gaussian_weight),
        checks.non_negative("bilateral_weight", bilateral_weight),
    )
    deviations = Deviations.isotropic(gaussian_xy, bilateral_xy, bilateral_rgb)
    factor = checks.scale_factor("scale", scale)
    kept = _kept_classes(probs, checks.fraction("prune", prune))
    if lattice is not None:
        _check_lattice(lattice, (image.shape[0], image.shape[1]), deviations, factor)
    if len(kept) == 1:
        return _one_class(probs, kept)
    if lattice is not None:
        return _infer(lattice, probs, kept, iterations, weights)
    try:
        lattice = Lattice(
            image, gaussian_xy=gaussian_xy, bilateral_xy=bilateral_xy, bilateral_rgb=bilateral_rgb, scale=factor
        )
    except TooFineError:
        return _infer_slowly(image, probs, kept, iterations, weights, deviations, factor)
    marginals = _infer(lattice, probs, kept, iterations, weights)
    lattice.release()
    return marginals


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
    """Run `dense_crf` on many images, several at the same time.

    Args:
        images: uint8 (H, W, 3) each, RGB, 0..255; sizes may differ.
        probs: float32 (K, H, W) each, in [0, 1], summing to 1 over K; K may differ.
        threads: number of images processed at the same time, at least 1. It does not change the results.
        iterations: as in `dense_crf`, like all parameters below.
        gaussian_weight: weight of the Gaussian term, at least 0.
        gaussian_xy: standard deviation of the Gaussian term in pixels, above 0.
        bilateral_weight: weight of the bilateral term, at least 0.
        bilateral_xy: standard deviation of the bilateral term in pixels, above 0.
        bilateral_rgb: standard deviation of the bilateral term in grey levels 0..255, above 0.
        prune: classes that win fewer than this fraction of the pixels are left out, in [0, 1).
        scale: resizing factor for faster, approximate inference, in (0, 1].

    Returns:
        float32 (K, H, W) for each image, in the order of `images`: the marginals, as from `dense_crf`.

    Raises:
        ArrayError: as `dense_crf`, or `images` and `probs` differ in length.
        ParameterError: as `dense_crf`, or `threads` is not a whole number of at least 1.

    Example:
        >>> import numpy as np
        >>> from tag2mask.crf import dense_crf_batch
        >>> images = [np.zeros((4, 6, 3), np.uint8), np.zeros((5, 3, 3), np.uint8)]
        >>> probs = [np.full((2, 4, 6), 1 / 2, np.float32), np.full((3, 5, 3), 1 / 3, np.float32)]
        >>> [marginals.shape for marginals in dense_crf_batch(images, probs, threads=2)]
        [(2, 4, 6), (3, 5, 3)]
    """
    threads = checks.count("threads", threads, least=1)
    if len(images) != len(probs):
        raise ArrayError(f"got {len(images)} images but {len(probs)} probs; there must be one for each image")

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


def _infer(
    lattice: Lattice, probs: Floats, kept: NDArray[np.int64], iterations: int, weights: tuple[float, float]
) -> Floats:
    """Mean field at the size of the lattice, resized to the size of the image."""
    if lattice.size == lattice.shape:
        return mean_field(lattice, probs, kept, FLOOR, iterations, *weights)
    small = resize(probs[kept], *lattice.size)
    marginals = mean_field(lattice, small, np.arange(len(kept)), FLOOR, iterations, *weights)
    return _enlarged(marginals, probs, kept)


def _infer_slowly(
    image: NDArray[np.uint8],
    probs: Floats,
    kept: NDArray[np.int64],
    iterations: int,
    weights: tuple[float, float],
    deviations: Deviations,
    factor: float,
) -> Floats:
    """The same on the general lattice, for standard deviations that are too small for the optimised one."""
    if factor < 1:
        image, deviations = shrunk(image, factor), deviations.scaled(factor)
    size = (image.shape[0], image.shape[1])
    small = probs[kept] if size == probs.shape[1:] else resize(probs[kept], *size)
    logits = np.log(np.maximum(small.reshape(len(kept), -1), np.float32(FLOOR)))
    features = (
        lambda: position_features(size, deviations.gaussian),
        lambda: bilateral_features(image, deviations.bilateral),
    )
    terms = [
        PairwiseTerm(points, weight, KernelType.CONST_KERNEL, NormalizationType.NORMALIZE_SYMMETRIC, len(kept))
        for points, weight in zip(features, weights, strict=True)
        if weight > 0
    ]
    model = TermSet(terms, len(kept), logits.shape[1])
    marginals = model.infer(model.pack(logits), iterations)
    return _enlarged(marginals.reshape(small.shape), probs, kept)


def _enlarged(marginals: Floats, probs: Floats, kept: NDArray[np.int64]) -> Floats:
    """The marginals of the kept classes in the shape of `probs`; 0 for the other classes."""
    size = probs.shape[1:]
    large = marginals if marginals.shape[1:] == size else resize(marginals, size[0], size[1])
    if len(kept) == len(probs):
        return large
    out = np.zeros_like(probs)
    out[kept] = large
    return out


def _one_class(probs: Floats, kept: NDArray[np.int64]) -> Floats:
    """Marginals when a single class is left: 1 for that class, 0 for the others."""
    out = np.zeros_like(probs)
    out[kept] = 1
    return out


def _kept_classes(probs: Floats, prune: float) -> NDArray[np.int64]:
    """Check the values of `probs`, and return the indices of the classes that pruning keeps."""
    wins = np.zeros(len(probs), np.int64)
    finite, low, high, worst = layout.inspect(_WIDE, probs.reshape(-1), prune > 0, wins)
    checks.check_values(finite, low, high, worst)
    if prune == 0:
        return np.arange(len(probs))
    kept = np.flatnonzero(wins >= prune * wins.sum())
    return kept if len(kept) else np.array([wins.argmax()])


def _check_lattice(lattice: Lattice, shape: tuple[int, int], deviations: Deviations, scale: float) -> None:
    if lattice.shape != shape:
        raise ParameterError(
            f"`lattice` was built for an image of shape {lattice.shape}, not {shape}; build one for this image"
        )
    if deviations not in (_DEFAULTS, lattice.deviations) or scale not in (1.0, lattice.scale):
        raise ParameterError(
            f"`lattice` was built with {lattice.deviations} and scale {lattice.scale}, but the call asks for "
            f"{deviations} and scale {scale}; do not give standard deviations and `scale` together with "
            "`lattice`, or build another lattice"
        )
