"""What research code asks of pydensecrf besides one Gaussian and one bilateral Potts term, for `bench_crf.py`.

Each case is written against pydensecrf's interface and runs with both packages, which are given as a pair of modules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Run = Callable[[Any, Any, Image, Floats], Floats]
"""A case: (`densecrf`, `utils`, image (H, W, 3), probabilities (K, H, W)) -> marginals (K, N)."""

_ITERATIONS = 10
_FLOOR = 1e-5


def _unary(probs: Floats) -> Floats:
    return np.asarray(-np.log(np.clip(probs, _FLOOR, 1)).reshape(len(probs), -1), dtype=np.float32)


def _plane(densecrf: Any, image: Image, probs: Floats) -> Any:
    crf = densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(probs))
    crf.setUnaryEnergy(_unary(probs))
    return crf


def normalised(name: str) -> Run:
    """The usual two terms with another normalisation."""

    def run(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
        crf, kind = _plane(densecrf, image, probs), getattr(densecrf, name)
        gaussian, bilateral = (0.03, 0.01) if name == "NO_NORMALIZATION" else (3, 10)
        crf.addPairwiseGaussian(sxy=3, compat=gaussian, normalization=kind)
        crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=bilateral, normalization=kind)
        return np.asarray(crf.inference(_ITERATIONS))

    return run


def compatible(matrix: bool) -> Run:
    """The usual two terms with a vector or matrix of label compatibilities."""

    def compat(labels: int, weight: float) -> Floats:
        if not matrix:
            return np.asarray(-weight * np.linspace(0.8, 1.2, labels), dtype=np.float32)
        other = weight * 0.1 * np.random.default_rng(0).random((labels, labels))
        return np.asarray((other + other.T) / 2 - weight * np.eye(labels), dtype=np.float32)

    def run(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
        crf = _plane(densecrf, image, probs)
        crf.addPairwiseGaussian(sxy=3, compat=compat(len(probs), 3))
        crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=compat(len(probs), 10))
        return np.asarray(crf.inference(_ITERATIONS))

    return run


def two_bilateral(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """Two bilateral terms."""
    crf = _plane(densecrf, image, probs)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    crf.addPairwiseBilateral(sxy=40, srgb=26, rgbim=image, compat=5)
    return np.asarray(crf.inference(_ITERATIONS))


def one_channel(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """An image of one channel, by explicit features."""
    crf = _plane(densecrf, image, probs)
    grey = np.ascontiguousarray(image.mean(axis=2, keepdims=True), dtype=np.float32)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    features = utils.create_pairwise_bilateral(sdims=(80, 80), schan=(13,), img=grey, chdim=2)
    crf.addPairwiseEnergy(features, compat=10)
    return np.asarray(crf.inference(_ITERATIONS))


def explicit(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """The usual two terms by explicit features."""
    crf = densecrf.DenseCRF(image.shape[0] * image.shape[1], len(probs))
    crf.setUnaryEnergy(_unary(probs))
    crf.addPairwiseEnergy(utils.create_pairwise_gaussian(sdims=(3, 3), shape=image.shape[:2]), compat=3)
    features = utils.create_pairwise_bilateral(sdims=(80, 80), schan=(13, 13, 13), img=image, chdim=2)
    crf.addPairwiseEnergy(features, compat=10)
    return np.asarray(crf.inference(_ITERATIONS))


def volume(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """A grey volume of 96 x 96 x 20 voxels with a bright ball, as many classes as in `probs`; explicit features."""
    shape = (96, 96, 20)
    random = np.random.default_rng(1)
    x, y, z = np.mgrid[: shape[0], : shape[1], : shape[2]]
    ball = (x - 48) ** 2 + (y - 48) ** 2 + (5 * z - 50) ** 2 < 900
    grey = (ball * 120 + random.normal(60, 10, shape)).astype(np.float32)
    inside = np.clip(0.3 + 0.4 * (grey > 120) + random.normal(0, 0.1, shape), 0.02, 0.98)
    planes = np.stack([1 - inside, inside, *[np.full(shape, 0.05)] * (len(probs) - 2)])
    crf = densecrf.DenseCRF(ball.size, len(probs))
    crf.setUnaryEnergy(_unary((planes / planes.sum(axis=0)).astype(np.float32)))
    crf.addPairwiseEnergy(utils.create_pairwise_gaussian(sdims=(3, 3, 3), shape=shape), compat=3)
    features = utils.create_pairwise_bilateral(sdims=(20, 20, 20), schan=(20,), img=grey[..., None], chdim=3)
    crf.addPairwiseEnergy(features, compat=5)
    return np.asarray(crf.inference(_ITERATIONS))


def step_by_step(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """The usual two terms, one call of `stepInference` for each update."""
    crf = _plane(densecrf, image, probs)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    q, first, second = crf.startInference()
    for _ in range(_ITERATIONS):
        crf.stepInference(q, first, second)
    return np.asarray(q)


def usual(densecrf: Any, utils: Any, image: Image, probs: Floats) -> Floats:
    """One Gaussian and one bilateral term."""
    crf = _plane(densecrf, image, probs)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    return np.asarray(crf.inference(_ITERATIONS))


CASES: dict[str, tuple[Run, tuple[int, ...]]] = {
    "usual": (usual, (2, 3, 21, 41, 81, 150)),
    "not normalised": (normalised("NO_NORMALIZATION"), (2, 3, 21)),
    "normalised before": (normalised("NORMALIZE_BEFORE"), (2, 3, 21)),
    "normalised after": (normalised("NORMALIZE_AFTER"), (2, 3, 21)),
    "compatibility vector": (compatible(matrix=False), (2, 3, 21)),
    "compatibility matrix": (compatible(matrix=True), (2, 3, 21)),
    "two bilateral terms": (two_bilateral, (2, 3, 21)),
    "one channel": (one_channel, (2, 3, 21)),
    "explicit features": (explicit, (2, 3, 21)),
    "volume": (volume, (2, 3, 21)),
    "step by step": (step_by_step, (2, 3, 21)),
}
"""Name -> (case, numbers of classes)."""
