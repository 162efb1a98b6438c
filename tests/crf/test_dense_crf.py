"""Properties of `dense_crf` for any input: shapes, sums, determinism, pruning, reduced size, batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tag2mask.core.errors import ConfigError
from tag2mask.crf import Lattice, dense_crf, dense_crf_batch
from tests.crf.simple import brute_force, noisy_probs, region_probs, smooth_probs, textured


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    classes=st.sampled_from([1, 2, 3, 4, 5, 8, 9, 16, 17, 18, 33]),
    seed=st.integers(0, 10),
    gaussian_xy=st.floats(0.05, 100),
    bilateral_xy=st.floats(0.5, 500),
    bilateral_rgb=st.floats(0.5, 500),
    weight=st.floats(0, 300),
    scale=st.sampled_from([1.0, 1.0, 0.5, 0.3]),
    prune=st.sampled_from([0.0, 0.1, 0.9]),
)
def test_marginals_are_probabilities(
    height: int,
    width: int,
    classes: int,
    seed: int,
    gaussian_xy: float,
    bilateral_xy: float,
    bilateral_rgb: float,
    weight: float,
    scale: float,
    prune: float,
) -> None:
    image = textured(height, width, seed)
    probs = noisy_probs((height, width), classes, seed)
    q = dense_crf(
        image,
        probs,
        iterations=3,
        gaussian_weight=weight,
        gaussian_xy=gaussian_xy,
        bilateral_weight=weight,
        bilateral_xy=bilateral_xy,
        bilateral_rgb=bilateral_rgb,
        scale=scale,
        prune=prune,
    )
    assert q.shape == probs.shape
    assert q.dtype == np.float32
    assert q.min() >= 0
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-4)


def test_constant_image_and_extreme_colours() -> None:
    for value in (0, 255):
        image = np.full((70, 90, 3), value, np.uint8)
        probs = smooth_probs((70, 90), 3, 0)
        q = dense_crf(image, probs, gaussian_weight=0, bilateral_xy=1e5)
        assert q.std(axis=(1, 2)).max() < probs.std(axis=(1, 2)).max()
        np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (65, 1), (3, 129)])
def test_thin_images(shape: tuple[int, int]) -> None:
    image, probs = textured(*shape, 4), region_probs(*shape, 3, 4)
    truth = brute_force(image, probs)
    assert (dense_crf(image, probs).argmax(0) == truth.argmax(0)).mean() >= 0.98


def test_many_classes() -> None:
    image, probs = textured(40, 50, 0), smooth_probs((40, 50), 200, 0, strength=4)
    q = dense_crf(image, probs)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-4)
    assert len(np.unique(q.argmax(0))) > 3


def test_class_order_does_not_matter() -> None:
    """The last class has no channel of its own; this must not show when the classes are rotated."""
    image, probs = textured(50, 60, 1), smooth_probs((50, 60), 18, 1)
    q = dense_crf(image, probs)
    rolled = dense_crf(image, np.roll(probs, 5, axis=0))
    np.testing.assert_allclose(np.roll(rolled, -5, axis=0), q, atol=2e-3)


def test_results_do_not_depend_on_threads_bitwise() -> None:
    images = [textured(50 + i, 70, i) for i in range(6)]
    probs = [smooth_probs((50 + i, 70), 2 + i, i) for i in range(6)]
    alone = [dense_crf(*pair) for pair in zip(images, probs, strict=True)]
    for threads in (1, 2, 5):
        for one, other in zip(alone, dense_crf_batch(images, probs, threads=threads), strict=True):
            np.testing.assert_array_equal(one, other)


def test_one_lattice_for_many_calls_and_threads() -> None:
    image = textured(80, 60, 2)
    lattice = Lattice(image, bilateral_xy=30, bilateral_rgb=8)
    inputs = [smooth_probs((80, 60), k, k) for k in (2, 3, 7, 20)]

    def given_lattice(index: int) -> bytes:
        return dense_crf(image, inputs[index], lattice=lattice, bilateral_weight=3).tobytes()

    expected = [dense_crf(image, p, bilateral_xy=30, bilateral_rgb=8, bilateral_weight=3).tobytes() for p in inputs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(given_lattice, range(4))) == expected


def test_lattice_must_fit() -> None:
    image, probs = textured(20, 30, 0), noisy_probs((20, 30), 2, 0)
    with pytest.raises(ConfigError, match=r"\(30, 20\)"):
        dense_crf(image, probs, lattice=Lattice(textured(30, 20, 0)))
    with pytest.raises(ConfigError, match="do not give"):
        dense_crf(image, probs, lattice=Lattice(image), bilateral_rgb=11)
    with pytest.raises(ConfigError, match="do not give"):
        dense_crf(image, probs, lattice=Lattice(image), scale=0.5)
    half = dense_crf(image, probs, lattice=Lattice(image, scale=0.5))
    np.testing.assert_array_equal(half, dense_crf(image, probs, scale=0.5))


def test_inputs_are_not_modified() -> None:
    image, probs = textured(20, 30, 0), noisy_probs((20, 30), 5, 0)
    before = image.copy(), probs.copy()
    dense_crf(image, probs, prune=0.05, scale=0.5)
    dense_crf(image, probs)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(probs, before[1])


def test_views_and_float64() -> None:
    image, probs = textured(40, 60, 0), noisy_probs((40, 60), 3, 0)
    q = dense_crf(np.ascontiguousarray(image[::2, ::-1]), np.ascontiguousarray(probs[:, ::2, ::-1]))
    np.testing.assert_array_equal(dense_crf(image[::2, ::-1], probs[:, ::2, ::-1]), q)
    np.testing.assert_array_equal(dense_crf(image, probs.astype(np.float64)), dense_crf(image, probs))


def test_pruning_leaves_out_only_classes_that_win_nowhere() -> None:
    image = textured(60, 80, 3)
    probs = np.concatenate([region_probs(60, 80, 3, 3), np.full((18, 60, 80), 1e-3, np.float32)])
    probs /= probs.sum(axis=0)
    whole, pruned = dense_crf(image, probs), dense_crf(image, probs, prune=0.001)
    assert (pruned[3:] == 0).all()
    assert (whole[3:] > 0).any()
    assert (whole.argmax(0) == pruned.argmax(0)).mean() >= 0.999
    order = np.arange(21)[::-1]
    np.testing.assert_allclose(dense_crf(image, probs[order], prune=0.001)[order], pruned, atol=1e-4)


def test_pruning_keeps_at_least_one_class() -> None:
    probs = noisy_probs((20, 20), 8, 0)
    q = dense_crf(textured(20, 20, 0), probs, prune=0.99)
    assert sorted(np.unique(q)) == [0, 1]
    assert (q.sum(axis=(1, 2)) == 400).sum() == 1


def test_half_size_is_close() -> None:
    same = []
    for seed in range(3):
        image = textured(150, 200, seed)
        probs = region_probs(150, 200, 4, seed)
        q, fast = dense_crf(image, probs), dense_crf(image, probs, scale=0.5)
        same.append((q.argmax(0) == fast.argmax(0)).mean())
    assert np.median(same) >= 0.98


def test_empty_batch() -> None:
    assert dense_crf_batch([], []) == []


@pytest.mark.slow
def test_large_image() -> None:
    """12 million pixels in two uniform halves."""
    image = np.zeros((4000, 3000, 3), np.uint8)
    image[:, 1500:] = 200
    probs = np.full((2, 4000, 3000), 0.4, np.float32)
    probs[0, :, :1500] = probs[1, :, 1500:] = 0.6
    probs[1] = 1 - probs[0]
    q = dense_crf(image, probs, iterations=2)
    assert (q[0, :, :1500] > 0.9).all()
    assert (q[1, :, 1500:] > 0.9).all()
