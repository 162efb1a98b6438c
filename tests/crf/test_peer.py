"""The dense CRF against pydensecrf2, a development dependency that needs a compiler to build."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.crf import dense_crf
from tag2mask.crf.pydensecrf import densecrf, utils
from tests.crf.simple import SETTINGS, Image, noisy_probs, real_images, smooth_probs, textured

peer = pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf2 is not installed (it needs a compiler)")

Floats = NDArray[np.float32]


def peer_marginals(image: Image, probs: Floats, setting: tuple[float, float, float]) -> Floats:
    classes, height, width = probs.shape
    crf = peer.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(-np.log(np.clip(probs, 1e-5, 1)).reshape(classes, -1))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=setting[0], srgb=setting[1], rgbim=image, compat=setting[2])
    return np.asarray(crf.inference(10), dtype=np.float32).reshape(probs.shape)


def agreement(images: list[Image], classes: int, setting: tuple[float, float, float]) -> list[float]:
    xy, rgb, weight = setting
    out = []
    for seed, image in enumerate(images):
        probs = smooth_probs(image.shape[:2], classes, seed)
        q = dense_crf(image, probs, bilateral_xy=xy, bilateral_rgb=rgb, bilateral_weight=weight)
        out.append(float((q.argmax(0) == peer_marginals(image, probs, setting).argmax(0)).mean()))
    return out


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("classes", [2, 3, 5, 21])
def test_agrees_on_generated_images(classes: int, setting: tuple[float, float, float]) -> None:
    same = agreement([textured(90, 120, 0), textured(121, 67, 1), textured(64, 64, 2)], classes, setting)
    assert np.median(same) >= 0.999
    assert min(same) >= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("classes", [2, 3, 5, 21])
def test_agrees_on_real_images(classes: int, setting: tuple[float, float, float]) -> None:
    images = real_images(3)
    if not images:
        pytest.skip("the shared dataset is not here")
    same = agreement(images, classes, setting)
    assert np.median(same) >= 0.999
    assert min(same) >= 0.995


WIDTH, HEIGHT, CLASSES = 31, 23, 4
IMAGE = textured(HEIGHT, WIDTH, 3)
ENERGIES = -np.log(noisy_probs((HEIGHT, WIDTH), CLASSES, 3)).reshape(CLASSES, -1)
MATRIX = np.random.default_rng(0).random((CLASSES, CLASSES)).astype(np.float32)
DIAGONAL = np.array([-1, -2, -0.5, -1.5], np.float32)


def gaussian(crf: Any, normalization: int, kernel: int) -> None:
    crf.addPairwiseGaussian((3, 2), 0.02 if normalization == 0 else 3, kernel, normalization)


def bilateral(crf: Any, normalization: int, kernel: int) -> None:
    crf.addPairwiseBilateral((9, 11), (13, 12, 20), IMAGE, 0.1 if normalization == 0 else 4, kernel, normalization)


def arrays(crf: Any, normalization: int, kernel: int) -> None:
    small = np.float32(0.01 if normalization == 0 else 1)
    crf.addPairwiseGaussian(2, DIAGONAL * small, kernel, normalization)
    features = utils.create_pairwise_gaussian((2,), (HEIGHT * WIDTH,))
    crf.addPairwiseEnergy(features, MATRIX * small, kernel, normalization)


@pytest.mark.parametrize("terms", [gaussian, bilateral, arrays])
@pytest.mark.parametrize("kernel", [0, 1, 2])
@pytest.mark.parametrize("normalization", [0, 1, 2, 3])
def test_drop_in_gives_the_same_numbers(terms: Any, kernel: int, normalization: int) -> None:
    results = []
    for module in (peer, densecrf):
        crf = module.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
        crf.setUnaryEnergy(ENERGIES)
        terms(crf, normalization, kernel)
        q, first, second = crf.startInference()
        for _ in range(4):
            crf.stepInference(q, first, second)
        results.append((np.array(crf.inference(4)), np.array(q), crf.klDivergence(q)))
    (whole, stepped, divergence), (our_whole, our_stepped, our_divergence) = results
    np.testing.assert_allclose(our_whole, whole, atol=1e-4)
    np.testing.assert_allclose(our_stepped, stepped, atol=1e-4)
    assert our_divergence == pytest.approx(divergence, rel=1e-5)
    assert np.abs(whole - np.exp(-ENERGIES)).max() > 0.01, "the terms must do something for this to be a test"


@pytest.mark.parametrize("srgb", [0.1, 0.02, 0.01, 1e-3])
def test_small_deviations_of_colour_give_the_same_numbers(srgb: float) -> None:
    """Too small for the keys of the optimised lattice."""
    results = []
    for module in (peer, densecrf):
        crf = module.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
        crf.setUnaryEnergy(ENERGIES)
        crf.addPairwiseGaussian(sxy=3, compat=3)
        crf.addPairwiseBilateral(sxy=50, srgb=srgb, rgbim=IMAGE, compat=5)
        results.append(np.array(crf.inference(5)))
    np.testing.assert_allclose(results[1], results[0], atol=1e-4)
    mine = dense_crf(IMAGE, np.exp(-ENERGIES).reshape(CLASSES, HEIGHT, WIDTH), iterations=5, bilateral_rgb=srgb)
    np.testing.assert_allclose(mine.reshape(CLASSES, -1), results[0], atol=1e-4)


def test_infinite_energies_give_the_same_numbers() -> None:
    energies = ENERGIES.copy()
    energies[0, ::3] = energies[-1, 1::3] = energies[:-1, 5] = np.inf
    results = []
    for module in (peer, densecrf):
        crf = module.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
        crf.setUnaryEnergy(energies)
        crf.addPairwiseGaussian(sxy=3, compat=3)
        crf.addPairwiseBilateral(sxy=50, srgb=10, rgbim=IMAGE, compat=5)
        q, first, second = crf.startInference()
        for _ in range(3):
            crf.stepInference(q, first, second)
        results.append((np.array(crf.inference(5)), np.array(q)))
    for ours, theirs in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_example_of_one_channel_gives_the_same_numbers() -> None:
    """`schan=(0.01,)` and an image of one channel in [0, 1], as in pydensecrf's own example."""
    image = (IMAGE[..., :1] / 255).astype(np.float32)
    results = []
    for module in (peer, densecrf):
        crf = module.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
        crf.setUnaryEnergy(ENERGIES)
        crf.addPairwiseEnergy(utils.create_pairwise_bilateral((10, 10), (0.01,), image, chdim=2), compat=10)
        results.append(np.array(crf.inference(5)))
    assert (results[1].argmax(axis=0) == results[0].argmax(axis=0)).mean() > 0.999
    # In single precision, as pydensecrf embeds points, a coordinate of 100 deviations is off by 1e-5.
    assert np.abs(results[1] - results[0]).mean() < 1e-3


def test_drop_in_for_any_points() -> None:
    points = np.random.default_rng(1).normal(0, 2, (3, 200)).astype(np.float32)
    energies = -np.log(noisy_probs((1, 200), 3, 0)).reshape(3, -1)
    results = []
    for module in (peer, densecrf):
        crf = module.DenseCRF(200, 3)
        crf.setUnary(module.ConstUnary(energies))
        crf.addPairwiseEnergy(points, 2.0)
        results.append(np.array(crf.inference(5)))
    np.testing.assert_allclose(results[1], results[0], atol=1e-4)


def test_utils_give_the_same_numbers() -> None:
    theirs = pytest.importorskip("pydensecrf.utils")
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, (6, 7))
    probs = random.dirichlet(np.ones(5), (6, 7)).transpose(2, 0, 1)
    for count, sure, unknown in [(3, 0.7, True), (4, 0.6, False)]:
        np.testing.assert_allclose(
            utils.unary_from_labels(labels, count, sure, unknown),
            theirs.unary_from_labels(labels, count, sure, unknown),
            rtol=1e-6,
        )
    for scale, clip in [(None, 1e-5), (0.7, 1e-5), (1.0, None)]:
        np.testing.assert_allclose(
            utils.unary_from_softmax(probs, scale, clip),
            theirs.unary_from_softmax(probs, scale, clip),
            rtol=1e-5,
        )
    np.testing.assert_allclose(
        utils.create_pairwise_gaussian((2, 3), (6, 7)), theirs.create_pairwise_gaussian((2, 3), (6, 7))
    )
    cases: list[tuple[Any, int, Any]] = [(IMAGE, 2, (4, 5, 6)), (IMAGE[..., 0], -1, 7), (IMAGE, 2, 5)]
    for image, axis, deviation in cases:
        np.testing.assert_allclose(
            utils.create_pairwise_bilateral((2, 3), deviation, image, axis),
            theirs.create_pairwise_bilateral((2, 3), deviation, image, axis),
            rtol=1e-6,
        )
