"""Probabilities of the allowed classes alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.method.gate import allowed_classes, class_weights, gated_probs, gated_probs_at, reweighed
from tag2mask.method.output import Array
from tag2mask.method.resize import resize_maps


def softmax(logits: Array) -> Array:
    powers: NDArray[np.float64] = np.exp(logits.astype(np.float64))
    return np.asarray(powers / powers.sum(axis=0), dtype=np.float32)


def logits_of(seed: int = 4) -> Array:
    return (3 * np.random.default_rng(seed).standard_normal((5, 6, 7))).astype(np.float32)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("allowed", [[0, 2], [1], [0, 1, 2, 3], []])
def test_a_distribution_over_what_is_allowed(allowed: list[int], plain: bool) -> None:
    channels = np.array([0, *(k + 1 for k in allowed)])
    probs = gated_probs(logits_of(), channels, plain=plain)
    assert probs.shape == (len(channels), 6, 7)
    np.testing.assert_allclose(probs.sum(axis=0), 1, atol=1e-5)
    if not allowed:
        assert (probs == 1).all()


def test_where_every_class_is_allowed_both_gates_are_the_softmax() -> None:
    channels = np.arange(5)
    for plain in (False, True):
        np.testing.assert_allclose(gated_probs(logits_of(), channels, plain=plain), softmax(logits_of()), atol=1e-5)


def test_a_pixel_that_looks_like_an_excluded_class_stays_foreground() -> None:
    logits = np.zeros((4, 1, 2), np.float32)
    logits[:, 0, 0] = [1.0, -2.0, 6.0, -3.0]  # looks like the second class, which is not there
    logits[:, 0, 1] = [8.0, 0.0, 0.0, 0.0]
    channels = np.array([0, 1, 3])
    plain, ours = gated_probs(logits, channels, plain=True)[:, 0], gated_probs(logits, channels)[:, 0]
    assert plain[:, 0].argmax() == 0
    assert ours[0, 0] == pytest.approx(float(softmax(logits)[0, 0, 0]), rel=1e-4)
    assert ours[:, 0].argmax() == 1
    assert ours[1, 0] / ours[2, 0] == pytest.approx(plain[1, 0] / plain[2, 0], rel=1e-4)
    assert ours[:, 1].argmax() == 0


def test_large_logits() -> None:
    for plain in (False, True):
        even = np.array([[[1000.0]], [[1000.0]]], dtype=np.float32)
        np.testing.assert_allclose(gated_probs(even, np.array([0, 1]), plain=plain), 0.5)
        sure = np.array([[[-1000.0]], [[1000.0]]], dtype=np.float32)
        np.testing.assert_allclose(gated_probs(sure, np.array([0, 1]), plain=plain)[1], 1.0)


def test_resized_logits_are_gated_at_their_new_size() -> None:
    channels = np.array([0, 2, 4])
    direct = gated_probs(resize_maps(logits_of(), (13, 20)), channels)
    np.testing.assert_allclose(gated_probs_at(logits_of(), channels, (13, 20)), direct, atol=1e-5)


def test_which_classes_are_allowed() -> None:
    probs = np.array([0.9, 0.04, 0.5, 0.01], np.float32)
    every = np.ones(4, bool)
    assert allowed_classes(probs, 0.05, present=None, unknown=every).tolist() == [True, False, True, False]
    present, unknown = np.array([False, True, False, False]), np.array([False, False, True, True])
    assert allowed_classes(probs, 0.05, present=present, unknown=unknown).tolist() == [False, True, True, False]


def test_the_tag_classifier_decides_between_classes_that_a_pixel_cannot_tell_apart() -> None:
    logits = np.zeros((3, 1, 1), np.float32)
    logits[1:, 0, 0] = 2.0  # two classes, alike
    channels = np.array([0, 1, 2])
    plain = gated_probs(logits, channels)
    weighed = gated_probs(logits, channels, weights=np.array([1.0, 0.25], np.float32))
    assert weighed[0, 0, 0] == pytest.approx(plain[0, 0, 0], abs=1e-6)  # background keeps its probability
    assert weighed[1, 0, 0] / weighed[2, 0, 0] == pytest.approx(4.0, rel=1e-5)


def test_reweighed_class_scores_keep_their_foreground() -> None:
    scores = np.array([[[0.4, 1.0]], [[0.3, 0.0]], [[0.3, 0.0]]], np.float32)
    weighed = reweighed(scores, np.array([0.5, 1.0], np.float32))
    np.testing.assert_allclose(weighed[:, 0, 0], [0.4, 0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose(weighed[:, 0, 1], [1, 0, 0], atol=1e-6)


def test_only_classes_that_the_tags_do_not_name_are_weighed() -> None:
    probs = np.array([0.5, 0.1, 0.0], np.float32)
    everything, none = np.ones(3, bool), np.zeros(3, bool)
    np.testing.assert_allclose(class_weights(probs, 2.0, present=None, unknown=everything), [0.25, 0.01, 1e-6], 1e-5)
    named = np.array([True, False, False])
    assert (class_weights(probs, 2.0, present=named, unknown=none) == 1).all()
    np.testing.assert_allclose(class_weights(probs, 1.0, present=named, unknown=~named), [1, 0.1, 1e-3], 1e-5)
    assert (class_weights(probs, 0.0, present=None, unknown=everything) == 1).all()
