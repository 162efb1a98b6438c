"""The drop-in interface: optimised kernels against the general lattice, and errors."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import tag2mask.crf.pydensecrf.densecrf as dcrf
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import dense_crf
from tag2mask.crf.errors import ArrayError, ParameterError, TooFineError
from tag2mask.crf.pydensecrf import utils
from tag2mask.crf.pydensecrf.utils import unary_from_labels, unary_from_softmax
from tests.crf.simple import noisy_probs, smooth_probs, textured

WIDTH, HEIGHT, CLASSES = 37, 29, 5
IMAGE = textured(HEIGHT, WIDTH, 0)
PROBS = smooth_probs((HEIGHT, WIDTH), CLASSES, 0)


def test_names_of_pydensecrf_are_there() -> None:
    """The public names of `pydensecrf.densecrf` and of `pydensecrf.utils`, each in the module of that name."""
    assert {
        *("DenseCRF", "DenseCRF2D", "Unary", "ConstUnary", "LogisticUnary"),
        *("CONST_KERNEL", "DIAG_KERNEL", "FULL_KERNEL"),
        *("NO_NORMALIZATION", "NORMALIZE_BEFORE", "NORMALIZE_AFTER", "NORMALIZE_SYMMETRIC"),
    } <= set(dcrf.__all__)
    signatures = {name: list(inspect.signature(getattr(utils, name)).parameters) for name in utils.__all__}
    assert signatures == {
        "unary_from_labels": ["labels", "n_labels", "gt_prob", "zero_unsure"],
        "unary_from_softmax": ["sm", "scale", "clip"],
        "compute_unary": ["labels", "M", "GT_PROB"],
        "softmax_to_unary": ["sm", "GT_PROB"],
        "create_pairwise_gaussian": ["sdims", "shape"],
        "create_pairwise_bilateral": ["sdims", "schan", "img", "chdim"],
    }


def crf_for(energies: NDArray[np.float32]) -> dcrf.DenseCRF2D:
    crf = dcrf.DenseCRF2D(WIDTH, HEIGHT, len(energies))
    crf.setUnaryEnergy(energies)
    return crf


def test_usual_terms_equal_dense_crf() -> None:
    crf = crf_for(unary_from_softmax(PROBS))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=50, srgb=10, rgbim=IMAGE, compat=5)
    q = crf.inference(10).reshape(PROBS.shape)
    np.testing.assert_allclose(q, dense_crf(IMAGE, PROBS), atol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 60.0])
@pytest.mark.parametrize("classes", [2, 3, 9, 21, 40, pytest.param(17, marks=pytest.mark.thorough)])
def test_optimised_kernels_equal_the_general_lattice(classes: int, strength: float) -> None:
    """`stepInference` runs on the general lattice; large energies need the stabilised softmax."""
    energies = (-strength * np.log(noisy_probs((HEIGHT, WIDTH), classes, 1))).reshape(classes, -1).astype(np.float32)
    crf = crf_for(energies)
    crf.addPairwiseGaussian((2, 4), 3)
    crf.addPairwiseBilateral((20, 30), (9, 10, 11), IMAGE, 6)
    q, first, second = crf.startInference()
    for _ in range(5):
        crf.stepInference(q, first, second)
    np.testing.assert_allclose(crf.inference(5), q, atol=2e-4)
    assert np.isfinite(crf.inference(5)).all()


def test_large_weights_do_not_overflow() -> None:
    crf = crf_for(unary_from_softmax(PROBS))
    crf.addPairwiseBilateral(20, 10, IMAGE, 500)
    q = crf.inference(5)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-4)


def test_divergence_decreases_and_converges() -> None:
    crf = crf_for(unary_from_softmax(PROBS))
    crf.addPairwiseGaussian(3, 1)
    crf.addPairwiseBilateral(20, 10, IMAGE, 1)
    q, first, second = crf.startInference()
    values = [crf.klDivergence(q)]
    for _ in range(5):
        crf.stepInference(q, first, second)
        values.append(crf.klDivergence(q))
    assert values[-1] < values[0]
    assert abs(values[-1] - values[-2]) < abs(values[1] - values[0])


def test_without_pairwise_terms_and_with_one_class() -> None:
    crf = crf_for(unary_from_softmax(PROBS))
    np.testing.assert_allclose(crf.inference(3).reshape(PROBS.shape), PROBS, atol=1e-5)
    one = crf_for(np.zeros((1, HEIGHT * WIDTH), np.float32))
    one.addPairwiseGaussian(3, 3)
    np.testing.assert_array_equal(one.inference(2), 1)


def test_later_changes_of_the_image_have_no_effect() -> None:
    crf = crf_for(unary_from_softmax(PROBS))
    image = IMAGE.copy()
    crf.addPairwiseBilateral(20, 10, image, 5)
    before = crf.inference(3)
    image[:] = 0
    np.testing.assert_array_equal(crf.inference(3), before)


def test_deprecated_names_log_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.array([[0, 1], [2, 1]])
    np.testing.assert_array_equal(utils.compute_unary(labels, 2), unary_from_labels(labels, 2, 0.5))
    np.testing.assert_allclose(utils.softmax_to_unary(PROBS, 0.8), unary_from_softmax(PROBS, 0.8, None))
    assert caplog.text.count("is deprecated") == 2


def test_unary_from_labels_by_hand() -> None:
    out = unary_from_labels(np.array([0, 1, 2]), 2, 0.9)
    expected = -np.log([[0.5, 0.9, 0.1], [0.5, 0.1, 0.9]])
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def impossible(energies: NDArray[np.float32]) -> NDArray[np.float32]:
    """A few classes made impossible at many points, the last of them among these."""
    energies = energies.copy()
    energies[0, ::3] = energies[-1, 1::3] = energies[:-1, 5] = np.inf
    return energies


@pytest.mark.parametrize("weights", [(3, 5), (50, 500)])
def test_impossible_classes_stay_impossible(weights: tuple[float, float]) -> None:
    """`inference` runs on the optimised kernels, `stepInference` on the general lattice."""
    energies = impossible(unary_from_softmax(PROBS))
    crf = crf_for(energies)
    crf.addPairwiseGaussian(3, weights[0])
    crf.addPairwiseBilateral(20, 10, IMAGE, weights[1])
    marginals = crf.inference(5)
    assert (marginals[np.isinf(energies)] == 0).all()
    np.testing.assert_allclose(marginals.sum(axis=0), 1, atol=1e-5)
    assert marginals[-1, 5] == 1
    q, first, second = crf.startInference()
    for _ in range(5):
        crf.stepInference(q, first, second)
    np.testing.assert_allclose(marginals, q, atol=2e-4)
    assert np.isfinite(crf.klDivergence(q))


def test_unclipped_zeros_of_a_softmax() -> None:
    """-log 0, as `unary_from_softmax(probs, clip=None)` gives it."""
    probs = np.where(PROBS.max(axis=0) == PROBS, np.float32(1), np.float32(0))
    energies = unary_from_softmax(probs, clip=None)
    assert np.isinf(energies).any()
    crf = crf_for(energies)
    crf.addPairwiseGaussian(3, 3)
    np.testing.assert_array_equal(crf.inference(3).reshape(probs.shape), probs)
    clipped = dense_crf(IMAGE, probs)
    assert np.isfinite(clipped).all()


def test_a_point_without_any_possible_class_has_no_information(caplog: pytest.LogCaptureFixture) -> None:
    energies = unary_from_softmax(PROBS)
    energies[:, 7] = np.inf
    crf = crf_for(energies)
    assert "infinite energy at 1 of 1073 points" in caplog.text
    np.testing.assert_allclose(crf.inference(0)[:, 7], 1 / CLASSES, rtol=1e-6)
    energies[:, 7] = 0
    uniform = crf_for(energies)
    for one in (crf, uniform):
        one.addPairwiseBilateral(20, 10, IMAGE, 5)
    np.testing.assert_array_equal(crf.inference(5), uniform.inference(5))


@pytest.mark.parametrize("number", [5.0, np.float64(5), np.int32(5), np.array(5), torch.tensor(5), torch.tensor(5.0)])
def test_sizes_of_any_kind(number: Any) -> None:
    crf = dcrf.DenseCRF2D(number, number, number)
    crf.setUnaryEnergy(np.zeros((5, 25), np.float32))
    crf.addPairwiseGaussian(sxy=number, compat=number)
    assert crf.inference(number).shape == (5, 25)
    assert isinstance(dcrf.DenseCRF(number, number), dcrf.DenseCRF)
    for wrong in (5.5, True, "5", None, np.nan, torch.tensor([5, 5])):
        with pytest.raises(ConfigError, match="`w` must be a whole number"):
            dcrf.DenseCRF2D(wrong, 5, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("srgb", [0.1, 0.01, 1e-3, 1e-6, 1e-30])
def test_a_small_srgb_separates_all_colours(srgb: float) -> None:
    """An image of four colours is four images then: what one holds has no effect on another."""
    flat = (IMAGE // 64 * 64).astype(np.uint8)
    flat[..., 1:] = 0
    energies = unary_from_softmax(PROBS)
    other = np.where(flat.reshape(-1, 3)[:, 0] == 128, energies[::-1], energies)
    results = []
    for each in (energies, other):
        crf = crf_for(each)
        crf.addPairwiseBilateral(20, srgb, flat, 5)
        results.append(crf.inference(5))
    elsewhere = flat.reshape(-1, 3)[:, 0] != 128
    assert not np.allclose(results[0][:, ~elsewhere], results[1][:, ~elsewhere])
    np.testing.assert_allclose(results[0][:, elsewhere], results[1][:, elsewhere], atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_dense_crf_with_a_small_deviation_of_colour(scale: float) -> None:
    """No refusal: the general lattice takes over, and from one to the other nothing jumps."""
    probs = np.concatenate([PROBS, np.zeros_like(PROBS[:1])])
    tiny = [dense_crf(IMAGE, probs, bilateral_rgb=rgb, scale=scale, prune=0.001) for rgb in (0.5, 0.02)]
    assert tiny[1].shape == probs.shape
    np.testing.assert_allclose(tiny[1].sum(axis=0), 1, atol=1e-4)
    assert (tiny[1][-1] == 0).all(), "the class that is pruned"
    assert (np.abs(tiny[1] - tiny[0]).max(axis=0) < 0.05).mean() > 0.99


def test_features_beyond_32_bits() -> None:
    """Two clusters of points 10**10 standard deviations apart do not see each other; inside, the filter is the same."""
    points = np.random.default_rng(0).normal(0, 1, (2, 40)).astype(np.float32)
    energies = -np.log(noisy_probs((1, 80), 3, 0)).reshape(3, -1)
    results = []
    for offset in (100.0, 1e10):
        x = np.concatenate([points[0], np.full(40, offset, np.float32)])
        y = np.concatenate([points[1], points[1]])
        crf = dcrf.DenseCRF(80, 3)
        crf.setUnaryEnergy(energies)
        crf.addPairwiseEnergy(np.stack([x, y]), 3)
        results.append(crf.inference(5))
    np.testing.assert_allclose(results[0][:, :40], results[1][:, :40], atol=1e-6)
    with pytest.raises(DataError, match="standard deviations"):
        crf.addPairwiseEnergy(np.full((2, 80), 1e20, np.float32), 1)
        crf.inference(1)


def test_errors_are_value_errors_too() -> None:
    for error in (ArrayError, ParameterError, TooFineError):
        assert issubclass(error, ValueError)
    assert issubclass(ArrayError, DataError)
    assert issubclass(ParameterError, ConfigError)
    with pytest.raises(ValueError, match="gt_prob"):
        unary_from_labels(np.array([1]), 2, 1.0)


def test_errors_name_the_argument() -> None:
    crf = dcrf.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
    with pytest.raises(DataError, match="setUnaryEnergy first"):
        crf.inference(1)
    with pytest.raises(DataError, match=r"shape \(5, 1073\)"):
        crf.setUnaryEnergy(PROBS)
    for value in (np.nan, -np.inf):
        with pytest.raises(DataError, match="NaN or -infinity"):
            crf.setUnaryEnergy(np.full((CLASSES, HEIGHT * WIDTH), value, np.float32))
    with pytest.raises(DataError, match="37 wide"):
        crf.addPairwiseBilateral(3, 3, np.zeros((WIDTH, HEIGHT, 3), np.uint8), 1)
    with pytest.raises(DataError, match="uint8"):
        crf.addPairwiseBilateral(3, 3, IMAGE.astype(np.float32), 1)
    with pytest.raises(DataError, match="compat"):
        crf.addPairwiseGaussian(3, np.ones(2, np.float32))
    with pytest.raises(DataError, match="features"):
        crf.addPairwiseEnergy(np.zeros((2, 3), np.float32), 1)
    with pytest.raises(DataError, match="finite"):
        crf.setUnaryEnergy(unary_from_softmax(PROBS))
        crf.addPairwiseEnergy(np.full((2, HEIGHT * WIDTH), np.nan, np.float32), 1)
        crf.inference(1)
    with pytest.raises(ConfigError, match="sxy"):
        crf.addPairwiseGaussian(0, 1)
    with pytest.raises(ConfigError, match="srgb"):
        crf.addPairwiseBilateral(3, (1, 2), IMAGE, 1)
    with pytest.raises(ConfigError, match="sxy"):
        crf.addPairwiseGaussian("wide", 1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="normalization"):
        crf.addPairwiseGaussian(3, 1, dcrf.DIAG_KERNEL, 9)
    with pytest.raises(ConfigError, match="kernel"):
        crf.addPairwiseGaussian(3, 1, 7)
    with pytest.raises(ConfigError, match="niter"):
        crf.inference(-1)
    with pytest.raises(ConfigError, match="learning"):
        dcrf.LogisticUnary()
    with pytest.raises(ConfigError, match="gt_prob"):
        unary_from_labels(np.array([1]), 2, 1.0)
    with pytest.raises(DataError, match="out of range"):
        unary_from_labels(np.array([3]), 2, 0.5)
    with pytest.raises(ConfigError, match="scale"):
        unary_from_softmax(PROBS, 0.0)
