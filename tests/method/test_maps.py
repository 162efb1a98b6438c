from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tag2mask.method.torch_maps import (
    background_map,
    class_maps,
    contrast_maps,
    foreground_prior,
    min_max,
    otsu_threshold,
    soft_stack,
    stack_maps,
)


def test_min_max_of_known_values() -> None:
    maps = torch.tensor([[[2.0, 4.0], [6.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])
    assert torch.equal(min_max(maps)[0], torch.tensor([[0.0, 0.5], [1.0, 0.25]]))
    assert torch.equal(min_max(maps)[1], torch.zeros(2, 2))


def test_absent_classes_get_no_map() -> None:
    cams = torch.randn(2, 3, 4, 4)
    present = torch.tensor([[True, False, True], [False, False, False]])
    maps = class_maps(cams, present, (8, 8))
    for image in range(2):
        for cls in range(3):
            peak = float(maps[image, cls].max())
            assert peak == pytest.approx(1.0) if present[image, cls] else peak == 0


def test_foreground_prior_finds_the_active_place() -> None:
    """Two layers of different size and strength, both active in the lower right quarter."""
    fine, coarse = torch.zeros(1, 5, 8, 8), torch.zeros(1, 2, 4, 4)
    fine[..., 4:, 4:] = 100.0
    coarse[..., 2:, 2:] = -0.01  # networks without ReLU speak in negatives too
    prior = foreground_prior([fine, coarse], (8, 8))
    assert prior.shape == (1, 8, 8)
    assert float(prior[0, 6:, 6:].min()) > 0.95
    assert float(prior[0, :2, :2].max()) == 0
    assert float(prior.min()) == 0
    assert float(prior.max()) == 1


def test_background_variants_by_hand() -> None:
    prior = torch.tensor([[[0.0, 0.2, 0.9]]])
    maps = torch.tensor([[[[0.1, 0.5, 0.0]], [[0.0, 0.25, 1.0]]]])
    near = torch.testing.assert_close
    near(background_map(prior, maps, variant="prior"), torch.tensor([[[1.0, 0.8, 0.1]]]))
    near(background_map(prior, maps, variant="prior", power=2), torch.tensor([[[1.0, 0.64, 0.01]]]))
    near(background_map(prior, maps, variant="prior_hard"), torch.tensor([[[1.0, 1.0, 0.0]]]))
    near(background_map(prior, maps, variant="cams_hard"), torch.tensor([[[1.0, 0.0, 0.0]]]))
    near(background_map(prior, maps, variant="cams"), torch.tensor([[[0.9, 0.5, 0.0]]]))


def test_a_stack_of_nothing_is_background() -> None:
    stack = stack_maps(torch.zeros(1, 2, 2), torch.zeros(1, 3, 2, 2))
    assert torch.equal(stack[:, 0], torch.ones(1, 2, 2))
    assert float(stack[:, 1:].sum()) == 0


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
def test_a_stack_is_a_distribution(seed: int, classes: int, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, classes, side, side, generator=generator)
    maps[:, 0] = 0
    stack = stack_maps(torch.rand(2, side, side, generator=generator), maps)
    torch.testing.assert_close(stack.sum(dim=1), torch.ones(2, side, side))
    assert float(stack[:, 1].max()) == 0


def test_soft_stack_by_hand() -> None:
    """Even odds at the threshold; the foreground's share of each class follows its map."""
    prior = torch.tensor([[[0.35, 1.0, 0.0]]])
    maps = torch.tensor([[[[0.0, 0.75, 0.0]], [[0.0, 0.25, 0.0]], [[0.0, 0.0, 0.0]]]])
    present = torch.tensor([[True, True, False]])
    stack = soft_stack(prior, maps, present, prior_share=1.0, threshold=0.35, slope=10)
    torch.testing.assert_close(stack[0, :, 0, 0], torch.tensor([0.5, 0.25, 0.25, 0.0]))
    sure = 1 / (1 + math.exp(-6.5))
    torch.testing.assert_close(
        stack[0, :, 0, 1], torch.tensor([1 - sure, sure * 0.75, sure * 0.25, 0]), atol=1e-3, rtol=0
    )
    assert float(stack[0, 0, 0, 2]) > 0.97
    torch.testing.assert_close(stack.sum(dim=1), torch.ones(1, 1, 3))
    halved = soft_stack(prior, maps, present, prior_share=0.5, threshold=0.875, slope=10)
    torch.testing.assert_close(halved[0, 0, 0, 1], torch.tensor(0.5))  # (1.0 + 0.75) / 2


@given(st.integers(0, 10_000), st.floats(0.05, 1.0))
def test_otsu_does_not_mind_how_strong_the_evidence_is(seed: int, strength: float) -> None:
    """Half the evidence everywhere gives the same foreground, which a fixed threshold does not."""
    rng = np.random.default_rng(seed)
    disc = torch.from_numpy(np.hypot(*np.mgrid[-20:20, -20:20]) < 9).float()
    prior = (0.2 + 0.6 * disc + torch.from_numpy(rng.normal(0, 0.03, (40, 40))).float()).clamp(0, 1)
    maps, present = torch.zeros(1, 1, 40, 40), torch.tensor([[True]])
    stack = soft_stack(strength * prior[None], maps, present, prior_share=1.0, threshold="otsu")
    assert torch.equal(stack[0, 1] > 0.5, disc > 0)


@pytest.mark.parametrize("threshold", ["otsu", "mean"])
def test_the_factor_sizes_the_foreground(threshold: Literal["otsu", "mean"]) -> None:
    prior = torch.linspace(0, 1, 101)[None, None]
    maps, present = torch.zeros(1, 1, 1, 101), torch.tensor([[True]])
    sizes = [
        int((soft_stack(prior, maps, present, prior_share=1.0, threshold=threshold, factor=factor)[0, 1] > 0.5).sum())
        for factor in (0.5, 1.0, 1.5)
    ]
    assert sizes == pytest.approx([75, 50, 25], abs=2)


def test_soft_stack_without_tags_is_background() -> None:
    stack = soft_stack(torch.ones(1, 2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, dtype=torch.bool))
    assert torch.equal(stack[:, 0], torch.ones(1, 2, 2))


def test_a_present_class_without_positive_evidence_still_gets_the_foreground() -> None:
    present = torch.tensor([[False, True]])
    stack = soft_stack(torch.ones(1, 2, 2), torch.zeros(1, 2, 2, 2), present, prior_share=0.8, threshold=0.35)
    assert float(stack[0, 2].min()) > 0.5
    assert float(stack[0, 1].max()) == 0


def test_positive_scaling_cuts_negative_evidence_off() -> None:
    cams = torch.tensor([[[[-4.0, 1.0], [2.0, -1.0]]]])
    maps = class_maps(cams, torch.tensor([[True]]), (2, 2), scaling="positive")
    assert maps.tolist() == [[[[0.0, 0.5], [1.0, 0.0]]]]


def test_contrast_maps_of_known_values() -> None:
    logits = torch.zeros(1, 3, 3, 3)
    logits[0, 0, 0, 0], logits[0, 1, 2, 2], logits[0, 2, 1, 1] = 4.0, 1.0, 9.0
    logits[0, 0, 2, 2] = -5.0  # evidence against a class is none for it
    prior = torch.full((1, 3, 3), 0.25)
    present = torch.tensor([[True, True, False]])
    maps = contrast_maps(logits, prior, present, (3, 3))
    expected = torch.zeros(1, 3, 3, 3)
    expected[0, 0, 0, 0], expected[0, 1, 2, 2] = 1.0, 0.5  # sqrt(4 * 1/4) and sqrt(1 * 1/4), over the first
    torch.testing.assert_close(maps, expected)


def test_contrast_maps_do_not_change_with_a_shift_of_the_logits() -> None:
    torch.manual_seed(0)
    logits, prior, present = torch.randn(2, 2, 6, 6), torch.rand(2, 6, 6), torch.ones(2, 2, dtype=torch.bool)
    shifted = logits + torch.tensor([3.0, -2.0])[None, :, None, None]
    torch.testing.assert_close(
        contrast_maps(logits, prior, present, (12, 12)), contrast_maps(shifted, prior, present, (12, 12)),
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip


@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.floats(0.02, 0.5))
def test_otsu_threshold_is_that_of_opencv(seed: int, share: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(
        rng.random((40, 30)) < share, rng.normal(0.3, spread, (40, 30)), rng.normal(0.8, spread, (40, 30))
    )
    levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    expected, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    found = float(otsu_threshold(torch.from_numpy(levels / 255.0)[None])[0])
    assert found * 255 == pytest.approx(expected + 0.5, abs=1e-4)


def test_otsu_threshold_of_a_constant_map() -> None:
    assert otsu_threshold(torch.zeros(1, 4, 4)).isfinite().all()
