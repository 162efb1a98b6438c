"""Deciding on foreground before the class."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tag2mask.method.refine import foreground_first


def probs_of(*columns: list[float]) -> NDArray[np.float32]:
    """Probabilities (K, 1, N) of N places."""
    return np.array(columns, dtype=np.float32).T[:, None]


def test_classes_that_share_a_place_do_not_lose_it_to_background() -> None:
    probs = probs_of([0.4, 0.35, 0.25], [0.6, 0.4, 0.0])
    decided = foreground_first(probs, power=4)
    assert probs.argmax(axis=0).tolist() == [[0, 0]]
    assert decided.argmax(axis=0).tolist() == [[1, 0]]
    share = 0.35**4 / (0.35**4 + 0.25**4)
    np.testing.assert_allclose(decided[:, 0, 0], [0.4, 0.6 * share, 0.6 * (1 - share)], rtol=1e-5)
    np.testing.assert_allclose(decided[:, 0, 1], [0.6, 0.4, 0.0], rtol=1e-5)


def test_a_shift_is_one_of_log_odds() -> None:
    decided = foreground_first(probs_of([0.5, 0.3, 0.2]), shift=math.log(3))
    np.testing.assert_allclose(decided[:, 0, 0], [0.25, 0.45, 0.3], rtol=1e-5)


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_background_alone_stays(power: float) -> None:
    probs = probs_of([1.0, 0.0, 0.0])
    assert np.array_equal(foreground_first(probs, power=power, shift=1.0), probs)


@given(st.integers(0, 10_000), st.floats(1, 100), st.floats(-5, 5))
def test_it_stays_a_distribution_and_keeps_the_order_of_the_classes(seed: int, power: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet([0.3] * 5, size=(6, 7)).transpose(2, 0, 1).astype(np.float32)
    probs[2] = 0
    probs /= probs.sum(axis=0)
    decided = foreground_first(probs, power=power, shift=shift)
    np.testing.assert_allclose(decided.sum(axis=0), 1, atol=1e-4)
    assert decided.min() >= 0
    assert not decided[2].any()
    clear = probs[1:].max(axis=0) > 1e-6  # else no class stands out
    assert (decided[1:].argmax(axis=0) == probs[1:].argmax(axis=0))[clear].all()
    odds = math.exp(shift) * (1 - probs[0]) / np.maximum(probs[0], 1e-6)
    np.testing.assert_allclose(1 - decided[0], odds / (1 + odds), atol=1e-3)
