"""Class-specific masks on synthetic features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tag2mask.config.schema import CrfConfig, MaskConfig
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.method.refine import refine, to_mask
from tag2mask.method.torch_generate import gated_probs, mask_steps, training_masks
from tag2mask.models import Recognition

SIZE = 32


def scene() -> tuple[Recognition, Tensor, Tensor]:
    """Red square of class 1 upper left, blue one of class 2 lower right, on grey; coarse evidence.

    Returns the recognition stream's output, the image (1, 3, 32, 32) uint8, and the true mask.
    """
    mask = torch.zeros(SIZE, SIZE, dtype=torch.int64)
    mask[4:16, 4:16], mask[18:28, 18:28] = 1, 2
    colours = torch.tensor([[120, 120, 120], [220, 30, 30], [30, 30, 220]], dtype=torch.uint8)
    image = colours[mask].permute(2, 0, 1)[None]
    cams = torch.full((1, 3, 8, 8), -1.0)
    cams[0, 0, 1:3, 1:3] = 2.0  # only a part of each object, as class maps are
    cams[0, 1, 5:7, 5:7] = 2.0
    cams[0, 2] = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    feature = torch.zeros(1, 4, 8, 8)
    feature[..., 1:4, 1:4] = 1.0
    feature[..., 4:7, 4:7] = 1.0
    feature[..., 7, 0] = 0.4  # something that is no object, but not nothing either
    return Recognition(torch.zeros(1, 3), cams, [feature, feature]), image, mask


def iou(preds: Tensor, target: Tensor, index: int) -> float:
    both = ((preds == index) & (target == index)).sum()
    return float(both / ((preds == index) | (target == index)).sum())


def test_masks_follow_tags_and_edges() -> None:
    recognition, image, mask = scene()
    tags = torch.tensor([[1, 1, 0]], dtype=torch.int8)
    config = MaskConfig(crf=CrfConfig(bilateral_xy=20, bilateral_rgb=10, bilateral_weight=5))
    steps = mask_steps(recognition, tags, (SIZE, SIZE), config)
    rough = torch.from_numpy(to_mask(steps.stack[0].numpy()))
    outside = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    masks, has_foreground = training_masks(steps, image, outside, config, pixel_scale=1.0, threads=1)
    assert has_foreground.tolist() == [True]
    assert set(masks.unique().tolist()) == {0, 1, 2}
    for index in (1, 2):
        assert iou(masks[0], mask, index) > 0.9
        assert iou(masks[0], mask, index) > iou(rough, mask, index) + 0.1


def test_an_absent_or_unknown_class_gets_no_pixel() -> None:
    recognition, image, _ = scene()
    outside = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    for state in (Tag.ABSENT, Tag.UNKNOWN):
        tags = torch.tensor([[1, state, state]], dtype=torch.int8)
        steps = mask_steps(recognition, tags, (SIZE, SIZE), MaskConfig())
        masks, _ = training_masks(steps, image, outside, MaskConfig(), pixel_scale=1.0, threads=1)
        assert set(masks.unique().tolist()) <= {0, 1}


def test_no_tag_means_no_foreground() -> None:
    recognition, image, _ = scene()
    outside = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    steps = mask_steps(recognition, torch.zeros(1, 3, dtype=torch.int8), (SIZE, SIZE), MaskConfig())
    masks, has_foreground = training_masks(steps, image, outside, MaskConfig(), pixel_scale=1.0, threads=1)
    assert not masks.any()
    assert not has_foreground.any()


def test_outside_the_photograph_is_ignored() -> None:
    recognition, image, _ = scene()
    outside = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    outside[:, :, 20:] = True
    steps = mask_steps(recognition, torch.ones(1, 3, dtype=torch.int8), (SIZE, SIZE), MaskConfig())
    masks, _ = training_masks(steps, image, outside, MaskConfig(), pixel_scale=1.0, threads=1)
    assert (masks[outside] == IGNORE_INDEX).all()
    assert (masks[~outside] != IGNORE_INDEX).all()


def test_the_segmentation_stream_is_mixed_in_by_weight() -> None:
    recognition, _, _ = scene()
    tags = torch.tensor([[1, 0, 0]], dtype=torch.int8)
    logits = torch.zeros(1, 4, 8, 8)
    logits[:, 1, :, :4] = 20.0
    logits[:, 2] = 30.0  # absent: must not count
    steps = mask_steps(recognition, tags, (SIZE, SIZE), MaskConfig(), pixel_logits=logits, teacher_weight=1.0)
    assert float(steps.stack[0, 1, :, :12].min()) > 0.99
    assert float(steps.stack[0, 2].max()) == 0
    half = mask_steps(recognition, tags, (SIZE, SIZE), MaskConfig(), pixel_logits=logits, teacher_weight=0.5)
    none = mask_steps(recognition, tags, (SIZE, SIZE), MaskConfig())
    torch.testing.assert_close(half.stack, (steps.stack + none.stack) / 2)


def test_gated_probs_sum_to_one_over_what_is_allowed() -> None:
    logits = torch.randn(2, 4, 3, 3)
    allowed = torch.tensor([[True, False, True], [False, False, False]])
    probs = gated_probs(logits, allowed, (6, 6))
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(2, 6, 6))
    assert float(probs[0, 2].max()) == 0
    assert float(probs[1, 0].min()) == 1


def test_a_place_that_looks_like_an_absent_class_stays_foreground_when_reassigned() -> None:
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, :, 0, 0] = torch.tensor([1.0, -2.0, 6.0, -3.0])  # looks like the second class, which is not there
    logits[0, :, 0, 1] = torch.tensor([8.0, 0.0, 0.0, 0.0])
    allowed = torch.tensor([[True, False, True]])
    without = gated_probs(logits, allowed, (1, 2))[0, :, 0]
    probs = gated_probs(logits, allowed, (1, 2), reassign=1.0)[0, :, 0]
    assert without[:, 0].argmax() == 0
    torch.testing.assert_close(probs[0], logits.softmax(dim=1)[0, 0, 0])
    assert probs[:, 0].argmax() == 1
    torch.testing.assert_close(probs[1, 0] / probs[3, 0], without[1, 0] / without[3, 0])
    torch.testing.assert_close(probs.sum(dim=0), torch.ones(2))
    assert probs[:, 1].argmax() == 0
    half = gated_probs(logits, allowed, (1, 2), reassign=0.5)[0, :, 0]
    torch.testing.assert_close(half[0], (probs[0] + without[0]) / 2)


def test_reassigning_changes_nothing_where_every_class_or_none_is_allowed() -> None:
    logits = torch.randn(1, 4, 3, 3)
    for allowed in (torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3, dtype=torch.bool)):
        torch.testing.assert_close(
            gated_probs(logits, allowed, (3, 3), reassign=1.0), gated_probs(logits, allowed, (3, 3))
        )


def test_confidence_leaves_the_doubtful_out() -> None:
    marginals = np.array([[[0.9, 0.55]], [[0.1, 0.45]]], dtype=np.float32)
    assert to_mask(marginals).tolist() == [[0, 0]]
    assert to_mask(marginals, confidence=0.6).tolist() == [[0, 255]]


@pytest.mark.parametrize("threads", [1, 2])
def test_refine_keeps_empty_channels_empty(threads: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    stack = rng.random((4, 20, 24), dtype=np.float32)
    stack[2] = 0
    stack /= stack.sum(axis=0)
    alone = np.zeros((4, 20, 24), dtype=np.float32)
    alone[0] = 1
    first, second = refine([image, image], [stack, alone], CrfConfig(), pixel_scale=[1.0, 0.5], threads=threads)
    np.testing.assert_allclose(first.sum(axis=0), 1, atol=1e-4)
    assert not first[2].any()
    assert np.array_equal(second, alone)
