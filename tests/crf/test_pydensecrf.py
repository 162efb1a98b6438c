"""The drop-in interface: optimised kernels against the general lattice, and errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from numpy.typing import NDArray

import tag2mask.crf.pydensecrf.densecrf as dcrf
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import dense_crf
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
@pytest.mark.parametrize("classes", [2, 3, 4, 9, 17, 21, 40])
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


def test_errors_name_the_argument() -> None:
    crf = dcrf.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
    with pytest.raises(DataError, match="setUnaryEnergy first"):
        crf.inference(1)
    with pytest.raises(DataError, match=r"shape \(5, 1073\)"):
        crf.setUnaryEnergy(PROBS)
    with pytest.raises(DataError, match="NaN or infinite"):
        crf.setUnaryEnergy(np.full((CLASSES, HEIGHT * WIDTH), np.inf, np.float32))
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
