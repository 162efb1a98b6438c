"""Pairwise terms with any features, normalisation and label compatibility against sums over all pairs of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tag2mask.crf.pydensecrf.densecrf as dcrf
from tests.crf.simple import noisy_probs

Doubles = NDArray[np.float64]


def one_update(energies: Doubles, terms: list[tuple[Doubles, Any, int]]) -> Doubles:
    """Marginals (K, N) after one update, each term by its kernel matrix."""
    q = np.exp(-energies)
    q /= q.sum(axis=0)
    logits = -energies
    for features, compat, normalization in terms:
        distances = ((features[:, :, None] - features[:, None, :]) ** 2).sum(axis=0)
        kernel = np.exp(-distances / 2)
        norm = kernel.sum(axis=1)
        before, after = {0: (0, 0), 1: (1, 0), 2: (0, 1), 3: (0.5, 0.5)}[normalization]
        kernel = norm[:, None] ** -after * kernel * norm[None, :] ** -before
        messages = q @ kernel.T
        matrix = -compat * np.eye(len(q)) if np.ndim(compat) == 0 else compat
        matrix = np.diag(matrix) if matrix.ndim == 1 else (matrix + matrix.T) / 2
        logits = logits - matrix @ messages
    odds = np.exp(logits - logits.max(axis=0))
    return np.asarray(odds / odds.sum(axis=0))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    labels=st.sampled_from([2, 3, 5, 18]),
    kinds=st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["number", "vector", "matrix"]), st.integers(0, 3)), max_size=3
    ),
)
def test_any_terms_are_close_to_the_sums_over_all_pairs(
    seed: int, labels: int, kinds: list[tuple[int, str, int]]
) -> None:
    """The lattice is an approximation, by a few hundredths where features vary by two standard deviations."""
    random = np.random.default_rng(seed)
    points = 60
    energies = -np.log(noisy_probs((1, points), labels, seed)).reshape(labels, -1)
    crf = dcrf.DenseCRF(points, labels)
    crf.setUnaryEnergy(energies)
    terms = []
    for size, kind, normalization in kinds:
        features = random.normal(0, 1, (size, points))
        scale = 1.0 if normalization else 1 / points
        compat: Any = {
            "number": lambda scale: 2 * scale,
            "vector": lambda scale: (-random.uniform(0, 3, labels) * scale).astype(np.float32),
            "matrix": lambda scale: (random.uniform(-2, 2, (labels, labels)) * scale).astype(np.float32),
        }[kind](scale)
        crf.addPairwiseEnergy(features.astype(np.float32), compat, normalization=normalization)
        terms.append((features, np.asarray(compat, np.float64), normalization))
    truth = one_update(energies.astype(np.float64), terms)
    found = crf.inference(1)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert np.abs(found - truth).mean() < 0.02 * max(1, len(terms))
    q, first, second = crf.startInference()
    crf.stepInference(q, first, second)
    np.testing.assert_allclose(q, found, atol=1e-5)


def test_a_step_in_the_order_of_columns_and_with_one_class() -> None:
    energies = -np.log(noisy_probs((5, 6), 3, 0)).reshape(3, -1)
    crf = dcrf.DenseCRF2D(6, 5, 3)
    crf.setUnaryEnergy(energies)
    crf.addPairwiseGaussian(2, 3)
    rows, *empty = crf.startInference()
    columns = np.asfortranarray(rows)
    crf.stepInference(rows, *empty)
    crf.stepInference(columns, *empty)
    np.testing.assert_array_equal(rows, columns)
    assert not columns.flags.c_contiguous
    one = dcrf.DenseCRF(4, 1)
    one.setUnaryEnergy(np.zeros((1, 4), np.float32))
    q, *empty = one.startInference()
    one.stepInference(q, *empty)
    np.testing.assert_array_equal(q, 1)


def test_a_term_or_a_unary_that_comes_later_counts() -> None:
    """Lattices and the unary in the order of the kernels are kept between calls."""
    energies = -np.log(noisy_probs((5, 6), 3, 0)).reshape(3, -1)
    crf, fresh = dcrf.DenseCRF(30, 3), dcrf.DenseCRF(30, 3)
    features = np.random.default_rng(0).normal(0, 1, (2, 2, 30)).astype(np.float32)
    crf.setUnaryEnergy(energies[::-1].copy())
    crf.addPairwiseEnergy(features[0], 3)
    crf.inference(2)
    crf.addPairwiseEnergy(features[1], np.array([-1, -2, -3], np.float32), normalization=dcrf.NORMALIZE_AFTER)
    crf.inference(2)
    crf.setUnaryEnergy(energies)
    fresh.setUnaryEnergy(energies)
    fresh.addPairwiseEnergy(features[0], 3)
    fresh.addPairwiseEnergy(features[1], np.array([-1, -2, -3], np.float32), normalization=dcrf.NORMALIZE_AFTER)
    np.testing.assert_array_equal(crf.inference(4), fresh.inference(4))
