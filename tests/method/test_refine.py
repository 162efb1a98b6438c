"""The dense CRF on class scores, and the arg max."""

from __future__ import annotations

import numpy as np
import pytest

from tag2mask.config.schema import CrfConfig
from tag2mask.method.refine import refine, refine_batch, to_mask


@pytest.mark.parametrize("threads", [1, 2])
def test_empty_channels_stay_empty(threads: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    scores = rng.random((4, 20, 24), dtype=np.float32)
    scores[2] = 0
    scores /= scores.sum(axis=0)
    alone = np.zeros((4, 20, 24), dtype=np.float32)
    alone[0] = 1
    first, second = refine_batch([image, image], [scores, alone], CrfConfig(), threads=threads)
    np.testing.assert_allclose(first.sum(axis=0), 1, atol=1e-4)
    assert not first[2].any()
    assert np.array_equal(second, alone)
    assert np.array_equal(refine(image, scores, CrfConfig()), first)
    assert refine(image, scores, CrfConfig(enabled=False)) is scores


def test_deviations_grow_with_the_image() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    scores = rng.dirichlet([1, 1], size=(24, 32)).transpose(2, 0, 1).astype(np.float32)
    small = CrfConfig(gaussian_xy=1.5, bilateral_xy=10)
    large = CrfConfig(gaussian_xy=3.0, bilateral_xy=20)
    np.testing.assert_allclose(refine(image, scores, small, pixel_scale=2.0), refine(image, scores, large), atol=1e-6)


def test_class_indices_of_the_arg_max() -> None:
    marginals = np.array([[[0.9, 0.2, 0.1]], [[0.1, 0.5, 0.2]], [[0.0, 0.3, 0.7]]], dtype=np.float32)
    assert to_mask(marginals, np.array([0, 4, 9])).tolist() == [[0, 4, 9]]
