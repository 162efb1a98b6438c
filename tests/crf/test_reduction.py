"""Improbable classes that go on together: the same marginals as with every class by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.crf import dense_crf, mean_field, reduction
from tag2mask.crf.pydensecrf import densecrf
from tests.crf.simple import smooth_probs, textured

HEIGHT, WIDTH = 60, 80
IMAGE = textured(HEIGHT, WIDTH, 0)


def mostly_improbable(classes: int, present: int, least: float) -> NDArray[np.float32]:
    """Probabilities (K, H, W) of a few classes among many that have about `least` everywhere."""
    random = np.random.default_rng(classes)
    probs = (least * random.uniform(0.5, 1.5, (classes, HEIGHT, WIDTH))).astype(np.float32)
    probs[random.permutation(classes)[:present]] += smooth_probs((HEIGHT, WIDTH), present, classes)
    return np.asarray(probs / probs.sum(axis=0), dtype=np.float32)


@pytest.fixture
def reductions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of classes that went on by themselves, of each reduction that was made."""
    found: list[int] = []
    of = mean_field.Reduced.of

    def spy(*args: object) -> mean_field.Reduced | None:
        reduced = of(*args)  # type: ignore[arg-type]
        if reduced is not None:
            found.append(len(reduced.lanes))
        return reduced

    monkeypatch.setattr(mean_field.Reduced, "of", spy)
    return found


@pytest.mark.parametrize("least", [1e-7, 1e-3, 5e-3])
@pytest.mark.parametrize(("classes", "present"), [(8, 2), (21, 4), (41, 9)])
def test_the_same_to_a_thousandth(
    classes: int, present: int, least: float, reductions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    probs = mostly_improbable(classes, present, least)
    found = dense_crf(IMAGE, probs)
    energies = (-np.log(probs)).reshape(classes, -1)
    crf = densecrf.DenseCRF2D(WIDTH, HEIGHT, classes)
    crf.setUnaryEnergy(energies)
    crf.addPairwiseGaussian(3, 3)
    crf.addPairwiseBilateral(50, 10, IMAGE, 5)
    same = crf.inference(10).reshape(probs.shape)
    assert len(reductions) == 2, "this tests nothing otherwise"
    assert all(present - 1 <= number <= classes // 2 for number in reductions), "the commonest class is the reference"
    monkeypatch.setattr(mean_field, "_WIDE_ENOUGH", 10**9)
    each = dense_crf(IMAGE, probs)
    assert len(reductions) == 2
    for one in (found, same):
        np.testing.assert_allclose(one, each, atol=1e-3)
        np.testing.assert_allclose(one.sum(axis=0), 1, atol=1e-5)
        assert (one.argmax(axis=0) == each.argmax(axis=0)).mean() > 0.9995


def test_classes_that_turn_out_to_matter_are_computed_again(
    reductions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of the classes that went on together is probable in the end, the result is thrown away."""
    probs = mostly_improbable(21, 4, 1e-3)
    with monkeypatch.context() as patch:
        patch.setattr(mean_field, "_WIDE_ENOUGH", 10**9)
        each = dense_crf(IMAGE, probs)
    share_out = reduction.share_out
    monkeypatch.setattr(reduction, "share_out", lambda *args: share_out(*args) + 1)
    np.testing.assert_array_equal(dense_crf(IMAGE, probs), each)
    assert reductions
