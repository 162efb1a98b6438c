from __future__ import annotations

import numpy as np
import pytest

from tag2mask.images.resize import resize_image, scaled_size


@pytest.mark.parametrize(
    ("size", "long_side", "multiple", "expected"),
    [
        ((375, 500), 500, 1, (375, 500)),
        ((375, 500), 250, 1, (188, 250)),
        ((375, 500), 250, 32, (192, 256)),
        ((500, 1), 50, 16, (48, 16)),
        ((1, 500), 50, 1, (1, 50)),
    ],
)
def test_scaled_size(size: tuple[int, int], long_side: float, multiple: int, expected: tuple[int, int]) -> None:
    assert scaled_size(size, long_side, multiple=multiple) == expected


def test_resized_images_are_antialiased_and_writable() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = resize_image(stripes, (4, 16))
    assert small.shape == (4, 16, 3)
    assert small.dtype == np.uint8
    assert np.abs(small[:, 2:-2].astype(int) - 100).max() <= 2  # the mean of the stripes, not one of them
    assert small.flags.writeable
    assert resize_image(stripes, (8, 64)) is stripes


def test_exact_resizing_rounds_once() -> None:
    """An image halved: each value is the weighted mean of its neighbours, off by no more than one rounding."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    exact, quick = (resize_image(image, (20, 30), exact=one) for one in (True, False))
    assert exact.dtype == np.uint8
    weights = np.zeros((30, 60))
    for row in range(30):  # a triangle of twice the width, cut off at the borders
        distance = np.abs(np.arange(60) + 0.5 - (2 * row + 1)) / 2
        weights[row] = np.clip(1 - distance, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    by_hand = np.einsum(
        "ri,ijc,sj->rsc", weights[:20, :40] / weights[:20, :40].sum(axis=1, keepdims=True), image, weights
    )
    assert np.abs(exact - by_hand).max() <= 0.5 + 1e-4
    assert np.abs(quick - by_hand).max() > 0.5 + 1e-4
