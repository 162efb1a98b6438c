from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.training.losses import contradicted_pixels, image_level_loss, pixel_loss, tag_loss


def test_tag_loss_by_hand_ignores_unknown_tags() -> None:
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    tags = torch.tensor([[1, 0, -1]], dtype=torch.int8)
    expected = (math.log(2) + math.log1p(math.exp(2))) / 2
    torch.testing.assert_close(tag_loss(logits, tags), torch.tensor(expected))


def test_unknown_tags_have_no_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    tags = torch.tensor([[-1, 1, 0], [-1, -1, -1]], dtype=torch.int8)
    tag_loss(logits, tags).backward()
    assert logits.grad is not None
    assert (logits.grad[tags == -1] == 0).all()
    assert (logits.grad[tags != -1] != 0).all()


def test_pixel_loss_ignores_pixels_of_value_255() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    masks = torch.full((1, 4, 4), 255)
    masks[0, 1, 2] = 1
    loss = pixel_loss(logits, masks, torch.tensor([[1, 0]], dtype=torch.int8))
    torch.testing.assert_close(loss, -logits.log_softmax(dim=1)[0, 1, 1, 2])
    loss.backward()
    assert logits.grad is not None
    assert int((logits.grad.abs().sum(dim=1) > 0).sum()) == 1


def test_pixel_loss_does_not_suppress_an_unknown_class() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    masks = torch.zeros(1, 2, 2, dtype=torch.int64)
    pixel_loss(logits, masks, torch.tensor([[0, -1]], dtype=torch.int8)).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 1] > 0).all()
    assert (logits.grad[0, 2] == 0).all()


def test_pixel_loss_without_pixels_is_zero() -> None:
    masks = torch.full((1, 2, 2), 255)
    assert float(pixel_loss(torch.randn(1, 3, 2, 2), masks, torch.zeros(1, 2, dtype=torch.int8))) == 0


def test_image_level_loss_by_hand() -> None:
    """Background, one present and one absent class with equal logits: probability 1/3 everywhere."""
    loss = image_level_loss(torch.zeros(1, 3, 2, 2), torch.tensor([[1, 0]], dtype=torch.int8))
    torch.testing.assert_close(loss, torch.tensor(math.log(3) - math.log(1 - 1 / 3)))


def test_signs_of_the_gradient_of_image_level_loss() -> None:
    logits = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    image_level_loss(logits, torch.tensor([[1, 0, -1]], dtype=torch.int8)).backward()
    assert logits.grad is not None
    present, absent, unknown = logits.grad[0, 1], logits.grad[0, 2], logits.grad[0, 3]
    assert present.min() < 0
    assert absent.max() > 0
    assert unknown.abs().max() < absent.max()


def test_image_level_loss_without_images_is_zero() -> None:
    assert float(image_level_loss(torch.zeros(0, 3, 2, 2), torch.zeros(0, 2, dtype=torch.int8))) == 0


def test_background_weight_does_not_apply_to_images_without_tags() -> None:
    logits = torch.randn(1, 2, 1, 2)
    masks = torch.tensor([[[0, 1]]])
    nll = -logits.log_softmax(dim=1)[0, [0, 1], 0, [0, 1]]
    tagged = torch.tensor([[1]], dtype=torch.int8)
    expected = (0.25 * nll[0] + nll[1]) / 1.25
    torch.testing.assert_close(pixel_loss(logits, masks, tagged, background_weight=0.25), expected)
    # All tags of the second image are absent: its background keeps weight 1.
    logits = torch.randn(2, 2, 1, 1)
    masks = torch.zeros(2, 1, 1, dtype=torch.int64)
    tags = torch.tensor([[1], [0]], dtype=torch.int8)
    nll = -logits.log_softmax(dim=1)[:, 0, 0, 0]
    torch.testing.assert_close(pixel_loss(logits, masks, tags, background_weight=0.25), (0.25 * nll[0] + nll[1]) / 1.25)


def test_balanced_classes_count_alike_however_few_pixels_they_have() -> None:
    masks = torch.ones(1, 4, 4, dtype=torch.int64)
    masks[0, 0, 0] = 2  # one pixel of the second class, eleven of the first, four of background
    masks[0, 3] = 0
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 1] = 3.0
    tags = torch.ones(1, 2, dtype=torch.int64)
    costs = torch.nn.functional.cross_entropy(logits, masks, reduction="none")
    by_class = [costs[masks == number].mean() for number in range(3)]
    plain = pixel_loss(logits, masks, tags)
    assert plain.item() == pytest.approx(costs.mean().item())
    balanced = pixel_loss(logits, masks, tags, class_balance=1.0)
    expected = (4 * by_class[0] + 6 * by_class[1] + 6 * by_class[2]) / 16  # twelve pixels of foreground, six a class
    assert balanced.item() == pytest.approx(expected.item(), rel=1e-5)
    half = pixel_loss(logits, masks, tags, class_balance=0.5)
    assert plain < half < balanced


def test_balanced_classes_ignore_what_is_ignored() -> None:
    masks = torch.full((1, 4, 4), 255)
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert pixel_loss(logits, masks, torch.ones(1, 2, dtype=torch.int64), class_balance=1.0) == 0


def test_contradicted_pixels_are_foreground_that_the_network_sees_otherwise() -> None:
    """Classes that are not tagged are no alternative, and background of a mask is never contradicted."""
    logits = torch.zeros(1, 4, 1, 5)
    logits[0, 0, 0] = torch.tensor([2.0, 0, 0, 2, 2])
    logits[0, 1, 0] = torch.tensor([0.0, 2, 1, 0, 0])
    logits[0, 2, 0] = torch.tensor([0.0, 0, 2, 0, 0])
    logits[0, 3, 0] = 9  # absent
    masks = torch.tensor([[[1, 1, 1, 0, IGNORE_INDEX]]])
    found = contradicted_pixels(logits, masks, torch.tensor([[1, 1, 0]], dtype=torch.int8))
    assert found.tolist() == [[[True, False, True, False, False]]]
    unknown = contradicted_pixels(logits, masks, torch.tensor([[1, -1, 0]], dtype=torch.int8))
    assert unknown.tolist() == [[[True, False, False, False, False]]]


def test_contradicted_pixels_weigh_less_unless_a_person_corrected_the_mask() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(1, 2, 1, 2), torch.tensor([[[1, 1]]])
    tags = torch.ones(1, 1, dtype=torch.int8)
    each = F.cross_entropy(logits, masks, reduction="none")[0, 0]
    first = torch.tensor([[[True, False]]])
    loss = pixel_loss(logits, masks, tags, contradicted=first, contradicted_weight=0.25)
    torch.testing.assert_close(loss, (0.25 * each[0] + each[1]) / 1.25)
    corrected = pixel_loss(
        logits, masks, tags, contradicted=first, contradicted_weight=0.25, corrected=torch.tensor([True])
    )
    torch.testing.assert_close(corrected, each.mean())
