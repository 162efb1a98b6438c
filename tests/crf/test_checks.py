"""Invalid arguments raise an error that says what was given and what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import Lattice, dense_crf, dense_crf_batch
from tests.crf.simple import noisy_probs, textured

IMAGE = textured(12, 17, 0)
PROBS = noisy_probs((12, 17), 3, 0)


@settings(max_examples=60, deadline=None)
@given(
    bad=st.sampled_from([np.nan, np.inf, -np.inf, -0.5, 3.0]),
    index=st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 16)),
)
def test_one_bad_value_at_any_pixel(bad: float, index: tuple[int, int, int]) -> None:
    probs = PROBS.copy()
    probs[index] = bad
    with pytest.raises(DataError, match="`probs`"):
        dense_crf(IMAGE, probs)


@pytest.mark.parametrize(
    ("image", "probs", "message"),
    [
        (IMAGE.astype(np.float32), PROBS, "must be uint8.*float32"),
        (IMAGE[..., 0], PROBS, r"\(H, W, 3\).*\(12, 17\)"),
        (np.zeros((12, 17, 4), np.uint8), PROBS, r"\(H, W, 3\)"),
        (np.zeros((0, 17, 3), np.uint8), np.zeros((3, 0, 17), np.float32), "empty"),
        ("image.jpg", PROBS, "not str"),
        (IMAGE, PROBS.transpose(0, 2, 1), "12 high and 17 wide"),
        (IMAGE, PROBS[:, :-1], "12 high and 17 wide"),
        (IMAGE, PROBS[0], r"\(K, H, W\)"),
        (IMAGE, PROBS[:0], "no classes"),
        (IMAGE, np.zeros((3, 12, 17), np.uint8), "must be float32"),
        (IMAGE, PROBS.tolist(), "not list"),
        (IMAGE, PROBS * 0.5, "sum to 1"),
        (IMAGE, np.log(PROBS), "apply softmax"),
    ],
)
def test_wrong_arrays(image: Any, probs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        dense_crf(image, probs)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("number", [4.0, np.float32(4), np.int64(4), np.array(4), np.array(4.0), torch.tensor(4)])
def test_numbers_of_any_kind(number: Any) -> None:
    expected = dense_crf(IMAGE, PROBS, iterations=4, bilateral_xy=4, bilateral_weight=4)
    given = dense_crf(IMAGE, PROBS, iterations=number, bilateral_xy=number, bilateral_weight=number)
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("iterations", [-1, 2.5, True, "10", None]),
        ("gaussian_weight", [-1, np.nan, np.inf, "3", None, True]),
        ("bilateral_weight", [-0.1, np.nan]),
        ("gaussian_xy", [0, -3, np.nan, np.inf]),
        ("bilateral_xy", [0, -3, np.nan, (3, 3)]),
        ("bilateral_rgb", [0, -3, np.inf]),
        ("prune", [-0.1, 1, 2, np.nan]),
        ("scale", [0, -1, 1.5, np.nan]),
    ],
)
def test_wrong_parameters(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=f"`{name}`") as error:
            dense_crf(IMAGE, PROBS, **{name: value})
        assert isinstance(error.value, ValueError)


def test_standard_deviations_too_small_for_the_lattice() -> None:
    with pytest.raises(ConfigError, match="too small for an image"):
        Lattice(IMAGE, bilateral_xy=1e-4, bilateral_rgb=1e-4)
    with pytest.raises(ConfigError, match="bilateral_rgb"):
        Lattice(IMAGE, bilateral_rgb=0)


def test_wrong_batches() -> None:
    with pytest.raises(DataError, match="2 images but 1 probs"):
        dense_crf_batch([IMAGE, IMAGE], [PROBS])
    with pytest.raises(ConfigError, match="threads"):
        dense_crf_batch([IMAGE], [PROBS], threads=0)
    with pytest.raises(DataError, match="12 high"):
        dense_crf_batch([IMAGE, IMAGE], [PROBS, PROBS[:, :4]], threads=2)
