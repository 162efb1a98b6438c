"""The dense CRF on class scores, and the arg max."""

from __future__ import annotations

import numpy as np
import pytest

from tag2mask.config.schema import CrfConfig
from tag2mask.method.refine import refine, refine_batch, refine_each, to_mask


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


def test_several_settings_give_the_bits_of_one() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    scores = np.zeros((4, 12, 17), np.float32)
    scores[[0, 1, 3]] = rng.dirichlet(np.ones(3), (12, 17)).transpose(2, 0, 1)
    near = CrfConfig(bilateral_xy=4.0, iterations=2)
    settings = [
        *(near, near.model_copy(update={"bilateral_weight": 0.5}), near.model_copy(update={"gaussian_weight": 0.0})),
        *(CrfConfig(enabled=False), CrfConfig(bilateral_rgb=1e-4, bilateral_xy=1e-3, iterations=2), near),
    ]
    each = list(refine_each(image, scores, settings, pixel_scale=1.5))
    for crf, marginals in zip(settings, each, strict=True):
        np.testing.assert_array_equal(marginals, refine(image, scores, crf, pixel_scale=1.5))
