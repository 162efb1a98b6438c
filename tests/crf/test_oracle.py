"""The dense CRF against brute-force mean field over all pairs of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tag2mask.crf import dense_crf
from tests.crf.simple import SETTINGS, brute_force, noisy_probs, region_probs, textured


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("classes", [2, 3, 5, 21])
def test_agrees_with_all_pairs(classes: int, setting: tuple[float, float, float]) -> None:
    xy, rgb, weight = setting
    same, difference, changed = [], [], []
    for seed in range(3):
        image = textured(26, 34, seed, regions=5)
        probs = region_probs(26, 34, classes, seed, regions=5)
        q = dense_crf(image, probs, bilateral_xy=xy, bilateral_rgb=rgb, bilateral_weight=weight)
        truth = brute_force(image, probs, bilateral=setting)
        same.append((q.argmax(0) == truth.argmax(0)).mean())
        difference.append(np.abs(q - truth).mean())
        changed.append((truth.argmax(0) != probs.argmax(0)).mean())
    assert np.mean(same) >= 0.995
    assert np.mean(difference) < 0.01
    assert np.mean(changed) > 0.05, "the CRF must change something for this to be a test"


def test_one_update_is_close_at_every_pixel() -> None:
    image = textured(20, 24, 5, regions=3)
    probs = noisy_probs((20, 24), 3, 5)
    q = dense_crf(image, probs, iterations=1)
    truth = brute_force(image, probs, iterations=1)
    assert np.abs(q - truth).max() < 0.03
    assert np.abs(truth - probs).max() > 0.1, "the update must change something for this to be a test"


def test_gaussian_term_alone() -> None:
    image = textured(20, 24, 6)
    probs = noisy_probs((20, 24), 4, 6)
    q = dense_crf(image, probs, iterations=3, bilateral_weight=0, gaussian_xy=2.5, gaussian_weight=4)
    truth = brute_force(image, probs, iterations=3, gaussian=(2.5, 4.0), bilateral=(50, 10, 0))
    assert np.abs(q - truth).mean() < 0.02
    assert (q.argmax(0) == truth.argmax(0)).mean() > 0.97


def test_bilateral_term_alone() -> None:
    image = textured(20, 24, 7, regions=3)
    probs = noisy_probs((20, 24), 4, 7)
    q = dense_crf(image, probs, iterations=3, gaussian_weight=0, bilateral_weight=6, bilateral_rgb=20)
    truth = brute_force(image, probs, iterations=3, gaussian=(3, 0), bilateral=(50, 20, 6))
    assert np.abs(q - truth).mean() < 0.02


def test_no_updates_give_the_unary() -> None:
    image = textured(9, 13, 0)
    probs = noisy_probs((9, 13), 5, 0)
    np.testing.assert_allclose(dense_crf(image, probs, iterations=0), probs, atol=1e-6)


def test_follows_a_colour_edge() -> None:
    """Two colours, and a unary whose boundary is five pixels off: the CRF moves it to the edge."""
    image = np.full((40, 60, 3), 40, np.uint8)
    image[:, 30:] = (200, 120, 60)
    probs = np.empty((2, 40, 60), np.float32)
    probs[1] = np.where(np.arange(60) < 35, 0.3, 0.7)
    probs[0] = 1 - probs[1]
    q = dense_crf(image, probs)
    expected = np.broadcast_to(np.arange(60) >= 30, (40, 60))
    assert (q.argmax(0) == expected).all()
    assert (probs.argmax(0) == expected).mean() < 0.95
