"""Class scores from network outputs whose answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tag2mask.config.schema import MaskConfig, PaperConfig
from tag2mask.method.affinity import Affinity
from tag2mask.method.class_maps import class_maps, contrast_maps, min_max
from tag2mask.method.class_scores import (
    area_threshold,
    background_map,
    class_scores,
    class_shares,
    foreground_evidence,
    normalised_scores,
    otsu_threshold,
    soft_scores,
    spread_share,
    thresholded_cam,
    wide_area,
)
from tag2mask.method.foreground_prior import foreground_prior
from tag2mask.method.output import Array, NetworkOutput

NONE = np.empty(0, np.intp)


def floats(values: object) -> Array:
    return np.array(values, dtype=np.float32)


def output(classes: int = 3) -> NetworkOutput:
    """Class 1 upper left and class 2 lower right, both in view of the features' energy."""
    cams = np.full((classes, 8, 8), -1.0, np.float32)
    cams[0, 1:3, 1:3] = 2.0
    cams[1, 5:7, 5:7] = 2.0
    energy = np.zeros((8, 8), np.float32)
    energy[1:4, 1:4] = energy[4:7, 4:7] = 1.0
    return NetworkOutput(np.zeros(classes, np.float32), np.zeros((classes + 1, 8, 8), np.float32), cams, (energy,))


def test_min_max_of_known_values() -> None:
    maps = floats([[[2, 4], [6, 3]], [[5, 5], [5, 5]]])
    assert np.array_equal(min_max(maps)[0], floats([[0, 0.5], [1, 0.25]]))
    assert not min_max(maps)[1].any()


def test_positive_scaling_cuts_negative_evidence_off() -> None:
    cams = floats([[[-4.0, 1.0], [2.0, -1.0]]])
    assert class_maps(cams, (2, 2)).tolist() == [[[0.0, 0.5], [1.0, 0.0]]]
    assert class_maps(cams, (2, 2), scaling="min_max")[0, 0, 0] == 0


def test_the_foreground_prior_finds_the_active_pixels() -> None:
    """Two layers of different size and strength, both active in the lower right quarter."""
    fine, coarse = np.zeros((8, 8), np.float32), np.zeros((4, 4), np.float32)
    fine[4:, 4:] = 500.0
    coarse[2:, 2:] = 0.02
    prior = foreground_prior([fine, coarse], (8, 8))
    assert prior.shape == (8, 8)
    assert prior[6:, 6:].min() > 0.95
    assert prior[:2, :2].max() == 0
    assert (prior.min(), prior.max()) == (0, 1)


@pytest.mark.parametrize(
    ("paper", "expected"),
    [
        (PaperConfig(background="prior"), [1.0, 0.8, 0.1]),
        (PaperConfig(background="prior", background_power=2), [1.0, 0.64, 0.01]),
        (PaperConfig(background="prior_hard"), [1.0, 1.0, 0.0]),
        (PaperConfig(background="cams_hard"), [1.0, 0.0, 0.0]),
        (PaperConfig(background="cams"), [0.9, 0.5, 0.0]),
    ],
)
def test_background_variants_by_hand(paper: PaperConfig, expected: list[float]) -> None:
    maps = floats([[[0.1, 0.5, 0.0]], [[0.0, 0.25, 1.0]]])
    np.testing.assert_allclose(background_map(floats([[0.0, 0.2, 0.9]]), maps, paper)[0], expected, atol=1e-6)


def test_scores_of_nothing_are_background() -> None:
    scores = normalised_scores(np.zeros((2, 2), np.float32), np.zeros((3, 2, 2), np.float32))
    assert (scores[0] == 1).all()
    assert not scores[1:].any()


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
def test_normalised_scores_are_a_distribution(seed: int, classes: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.random((classes, side, side), dtype=np.float32)
    maps[0] = 0
    scores = normalised_scores(rng.random((side, side), dtype=np.float32), maps)
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)
    assert not scores[1].any()


def test_soft_scores_by_hand() -> None:
    """Even odds at the threshold; the foreground's share of each class follows its map."""
    prior = floats([[0.35, 1.0, 0.0]])
    maps = floats([[[0.0, 0.75, 0.0]], [[0.0, 0.25, 0.0]]])
    scores = soft_scores(foreground_evidence(prior, maps, prior_share=1.0), maps, threshold=0.35, slope=10)
    np.testing.assert_allclose(scores[:, 0, 0], [0.5, 0.25, 0.25], atol=1e-6)
    sure = 1 / (1 + math.exp(-6.5))
    np.testing.assert_allclose(scores[:, 0, 1], [1 - sure, sure * 0.75, sure * 0.25], atol=1e-3)
    assert scores[0, 0, 2] > 0.97
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-6)
    half = soft_scores(foreground_evidence(prior, maps, prior_share=0.5), maps, threshold=0.875, slope=10)
    assert half[0, 0, 1] == pytest.approx(0.5)  # (1.0 + 0.75) / 2


@given(st.integers(0, 10_000), st.floats(0.05, 1.0))
def test_otsu_does_not_mind_how_strong_the_evidence_is(seed: int, strength: float) -> None:
    """Half the evidence everywhere gives the same foreground, which a fixed threshold does not."""
    rng = np.random.default_rng(seed)
    disc = np.hypot(*np.mgrid[-20:20, -20:20]) < 9
    evidence = (0.2 + 0.6 * disc + rng.normal(0, 0.03, (40, 40))).clip(0, 1).astype(np.float32)
    scores = soft_scores(np.float32(strength) * evidence, np.zeros((1, 40, 40), np.float32), threshold="otsu")
    assert np.array_equal(scores[1] > 0.5, disc)


@pytest.mark.parametrize("threshold", ["otsu", "mean"])
def test_the_factor_sizes_the_foreground(threshold: Literal["otsu", "mean"]) -> None:
    evidence, maps = np.linspace(0, 1, 101, dtype=np.float32)[None], np.zeros((1, 1, 101), np.float32)
    sizes = [
        int((soft_scores(evidence, maps, threshold=threshold, factor=factor)[1] > 0.5).sum())
        for factor in (0.5, 1.0, 1.5)
    ]
    assert sizes == pytest.approx([75, 50, 25], abs=2)


def test_a_present_class_without_positive_evidence_still_gets_the_foreground() -> None:
    scores = soft_scores(np.full((2, 2), 0.8, np.float32), np.zeros((1, 2, 2), np.float32), threshold=0.35)
    assert scores[1].min() > 0.5


@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.floats(0.02, 0.5))
def test_otsu_parts_at_the_least_variance(seed: int, share: float, spread: float) -> None:
    """No other of the 255 cuts has a smaller variance within its two groups."""
    rng = np.random.default_rng(seed)
    low = rng.random((40, 30)) < share
    values = np.where(low, rng.normal(0.3, spread, (40, 30)), rng.normal(0.8, spread, (40, 30))).clip(0, 1)
    levels = np.rint(values * 255)

    def within(cut: float) -> float:
        groups = (levels[levels <= cut], levels[levels > cut])
        return float(sum(group.size * group.var() for group in groups if group.size))

    found = otsu_threshold(values.astype(np.float32))
    assert within(found * 255) <= min(within(cut + 0.5) for cut in range(255)) * (1 + 1e-6) + 1e-6


def test_otsu_of_a_constant_map() -> None:
    assert 0 <= otsu_threshold(np.zeros((4, 4), np.float32)) <= 1


def test_contrast_maps_of_known_values() -> None:
    logits = np.zeros((2, 3, 3), np.float32)
    logits[0, 0, 0], logits[1, 2, 2] = 4.0, 1.0
    logits[0, 2, 2] = -5.0  # evidence against a class is none for it
    maps = contrast_maps(logits, np.full((3, 3), 0.25, np.float32), (3, 3))
    expected = np.zeros((2, 3, 3), np.float32)
    expected[0, 0, 0], expected[1, 2, 2] = 1.0, 0.5  # sqrt(4 * 1/4) and sqrt(1 * 1/4), over the first
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_contrast_maps_do_not_change_with_a_shift_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits, prior = floats(rng.normal(size=(2, 6, 6))), floats(rng.random((6, 6)))
    shifted = logits + floats([3.0, -2.0])[:, None, None]
    np.testing.assert_allclose(
        contrast_maps(logits, prior, (12, 12)), contrast_maps(shifted, prior, (12, 12)), atol=1e-3
    )


def test_scores_follow_the_tags() -> None:
    both = class_scores(output(), np.array([0, 1]), (32, 32), MaskConfig(soft_threshold=0.3), PaperConfig())
    assert both.scores.shape == (3, 32, 32)
    np.testing.assert_allclose(both.scores.sum(axis=0), 1, atol=1e-5)
    assert both.scores[:, 8, 8].argmax() == 1
    assert both.scores[:, 24, 24].argmax() == 2
    one = class_scores(output(), np.array([1]), (32, 32), MaskConfig(soft_threshold=0.3), PaperConfig())
    assert one.maps.shape == (1, 32, 32)
    nothing = class_scores(output(), NONE, (32, 32), MaskConfig(), PaperConfig())
    assert (nothing.scores == 1).all()


@pytest.mark.parametrize("background", ["soft", "prior", "prior_hard", "cams_hard", "cams"])
@pytest.mark.parametrize("scaling", ["positive", "min_max"])
def test_every_variant_is_a_distribution(
    background: Literal["soft", "prior", "prior_hard", "cams_hard", "cams"], scaling: Literal["positive", "min_max"]
) -> None:
    paper = PaperConfig(background=background, map_scaling=scaling)
    for present in (np.array([0, 2]), NONE):
        steps = class_scores(output(), present, (24, 36), MaskConfig(), paper)
        assert steps.scores.shape == (len(present) + 1, 24, 36)
        np.testing.assert_allclose(steps.scores.sum(axis=0), 1, atol=1e-5)
        assert steps.background.shape == steps.prior.shape == (24, 36)


def test_an_output_without_class_maps_is_refused() -> None:
    bare = NetworkOutput(np.zeros(2, np.float32), np.zeros((3, 4, 4), np.float32))
    assert not bare.has_class_maps
    with pytest.raises(ValueError, match="nothing to make class maps from"):
        class_scores(bare, NONE, (4, 4), MaskConfig(), PaperConfig())


def test_a_flipped_output_has_flipped_scores() -> None:
    present = np.array([0, 1])
    straight = class_scores(output(), present, (32, 32), MaskConfig(), PaperConfig()).scores
    flipped = class_scores(output().flipped(), present, (32, 32), MaskConfig(), PaperConfig()).scores
    np.testing.assert_allclose(flipped[:, :, ::-1], straight, atol=1e-5)


def test_thresholded_cam() -> None:
    present = np.array([0, 1])
    steps = class_scores(output(), present, (8, 8), MaskConfig(), PaperConfig())
    mask = thresholded_cam(steps, present, 0.5)
    assert (mask[1:3, 1:3] == 1).all()
    assert (mask[5:7, 5:7] == 2).all()
    assert not mask[0].any()
    empty = class_scores(output(), NONE, (8, 8), MaskConfig(), PaperConfig())
    assert not thresholded_cam(empty, NONE, 0.5).any()


def test_opencv_resizes_with_pixel_centres_at_half_integers() -> None:
    """What every map here relies on: a ramp stays a ramp, and does not move."""
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    large = cv2.resize(ramp, (32, 16), interpolation=cv2.INTER_LINEAR)
    expected = ((np.arange(32) + 0.5) / 4 - 0.5).clip(0, 7)
    np.testing.assert_allclose(large[0], expected, atol=1e-5)


def test_the_area_rule_keeps_as_many_pixels_as_have_a_high_class_map() -> None:
    """Whatever the size of the objects: here 4 % of one image and 36 % of the other."""
    for side in (10, 30):
        best = np.zeros((50, 50), np.float32)
        best[:side, :side] = 0.9
        evidence: Array = floats(cv2.GaussianBlur(best, (0, 0), 4))  # spread beyond the object
        threshold = area_threshold(evidence.ravel(), best.ravel())
        assert (evidence > threshold).mean() == pytest.approx(side**2 / 2500, abs=0.005)
        scores = soft_scores(evidence, best[None], threshold="area")
        assert (scores[1] > 0.5).mean() == pytest.approx(side**2 / 2500, abs=0.01)
    assert area_threshold(floats(np.linspace(0, 1, 11)), floats(np.zeros(11))) == 1.0  # no class map says anything


def test_small_objects_are_spread_less() -> None:
    assert [spread_share(area) for area in (0.0, 0.1, 0.2, 0.6)] == pytest.approx([0.5, 0.75, 1.0, 1.0])
    maps = np.zeros((2, 10, 10), np.float32)
    maps[0, :2], maps[1, 1:3] = 1.0, 0.6
    assert wide_area(maps) == pytest.approx(0.3)
    affinity = Affinity.whole(np.full((2, 2, 4), 0.25, np.float32) + 0.5 * np.eye(4, dtype=np.float32).reshape(2, 2, 4))
    prior = np.zeros((10, 10), np.float32)
    spread, kept, both = (
        foreground_evidence(prior, maps, prior_share=0.0, affinity=affinity, spread=share) for share in (1.0, 0.0, 0.75)
    )
    np.testing.assert_allclose(kept, maps.max(axis=0), atol=1e-6)
    np.testing.assert_allclose(both, 0.75 * spread + 0.25 * kept, atol=1e-6)


def test_shares_follow_class_maps_and_classifier() -> None:
    maps = np.full((2, 4, 4), 0.64, np.float32)
    maps[1, :, 2:] = 0.04
    even = class_shares(maps, np.zeros((2, 2, 2), np.float32))
    np.testing.assert_allclose(even.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(even[0, :, 0], 0.5, atol=1e-3)
    np.testing.assert_allclose(even[0, :, 3], 0.8, atol=5e-3)  # sqrt(0.64) : sqrt(0.04) is 4 : 1
    logits = np.zeros((2, 4, 4), np.float32)
    logits[1] = 4 * np.log(16)  # its probability is 16^4 times as high, which counts 16 times
    surer = class_shares(maps, logits)
    np.testing.assert_allclose(surer[1, :, 0] / surer[0, :, 0], 16, rtol=0.01)
    np.testing.assert_allclose(surer[1, :, 3] / surer[0, :, 3], 4, rtol=0.05)


def test_the_network_that_tells_shares_decides_among_the_present_classes() -> None:
    """Class maps alone give each half to its class; the classifier of shares, sure of it, gives both to the second."""
    plain = class_scores(output(), np.array([0, 1]), (32, 32), MaskConfig(soft_threshold=0.3), PaperConfig())
    logits = np.zeros_like(output().cams)
    logits[1] = 40.0
    told = replace(output(), share_logits=logits)
    shared = class_scores(told, np.array([0, 1]), (32, 32), MaskConfig(soft_threshold=0.3), PaperConfig())
    assert plain.scores[:, 8, 8].argmax() == 1 and shared.scores[:, 8, 8].argmax() == 2
    np.testing.assert_allclose(shared.scores[0], plain.scores[0], atol=1e-6)  # what is background stays so
    mirrored = told.flipped().share_logits
    assert mirrored is not None and np.array_equal(mirrored, logits[..., ::-1])
