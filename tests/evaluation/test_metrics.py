from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou, pixel_accuracy

Mask = NDArray[np.uint8]
CLASSES = 4


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    preds = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)))
    target = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([*range(CLASSES), IGNORE_INDEX])))
    return preds, target


def test_counts_by_hand() -> None:
    target = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    preds = np.array([[0, 1, 1, 1], [2, 0, 1, 0]], np.uint8)
    confusion = confusion_matrix(preds, target, 4)
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    iou = iou_per_class(confusion)
    np.testing.assert_allclose(iou, [1 / 3, 2 / 3, 1 / 2, np.nan])
    assert mean_iou(confusion) == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    assert pixel_accuracy(confusion) == pytest.approx(4 / 6)


def test_rows_are_target() -> None:
    confusion = confusion_matrix(np.array([1]), np.array([0]), 2)
    np.testing.assert_array_equal(confusion, [[0, 1], [0, 0]])


def test_predicted_but_absent_counts_zero_and_absent_from_both_is_left_out() -> None:
    confusion = confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3)
    np.testing.assert_array_equal(iou_per_class(confusion), [0.5, 0.0, np.nan])
    assert mean_iou(confusion) == pytest.approx(0.25)


def test_one_matrix_over_the_split_is_not_the_mean_over_images() -> None:
    a = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
    b = confusion_matrix(np.array([1]), np.array([1]), 2)
    assert mean_iou(a + b) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert mean_iou(a + b) != pytest.approx((mean_iou(a) + mean_iou(b)) / 2)


def test_nothing_to_score() -> None:
    confusion = confusion_matrix(np.array([0, 1]), np.array([255, 255]), 2)
    assert confusion.sum() == 0
    assert np.isnan(mean_iou(confusion))
    assert np.isnan(pixel_accuracy(confusion))
    assert confusion_matrix(np.zeros((0, 3), np.uint8), np.zeros((0, 3), np.uint8), 2).sum() == 0


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_integer_types_do_not_overflow(kind: type[np.integer[Any]]) -> None:
    target = np.array([253, 254, 0], kind)
    preds = np.array([253, 253, 254], kind)
    confusion = confusion_matrix(preds, target, 255)
    assert confusion.sum() == 3
    assert confusion[253, 253] == confusion[254, 253] == confusion[0, 254] == 1


@given(mask_pairs())
@settings(deadline=None, max_examples=60)
def test_agrees_with_torchmetrics(pair: tuple[Mask, Mask]) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex
    preds, target = pair
    if (target == IGNORE_INDEX).all():
        return
    left, right = (torch.from_numpy(mask.astype(np.int64)) for mask in pair)
    confusion = confusion_matrix(preds, target, CLASSES)
    matrix = MulticlassConfusionMatrix(CLASSES, ignore_index=IGNORE_INDEX)(left, right)
    np.testing.assert_array_equal(confusion, matrix.numpy())
    jaccard = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE_INDEX, average="none")(left, right)
    iou = iou_per_class(confusion)
    np.testing.assert_allclose(np.nan_to_num(iou), np.nan_to_num(jaccard.numpy()), atol=1e-6)
    macro = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE_INDEX, average="macro")(left, right)
    assert mean_iou(confusion) == pytest.approx(float(macro), abs=1e-6)


@given(mask_pairs())
@settings(deadline=None)
def test_sums_and_bounds(pair: tuple[Mask, Mask]) -> None:
    preds, target = pair
    confusion = confusion_matrix(preds, target, CLASSES)
    assert confusion.sum() == (target != IGNORE_INDEX).sum()
    iou = iou_per_class(confusion)
    present = iou[~np.isnan(iou)]
    assert ((present >= 0) & (present <= 1)).all()
    for k in range(CLASSES):
        in_target = target == k
        in_preds = (preds == k) & (target != IGNORE_INDEX)
        assert np.isnan(iou[k]) == (not (in_target | in_preds).any())


@given(mask_pairs(), st.permutations(range(CLASSES)))
@settings(deadline=None)
def test_renaming_classes_renames_scores(pair: tuple[Mask, Mask], order: list[int]) -> None:
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[:CLASSES] = order
    before = iou_per_class(confusion_matrix(*pair, CLASSES))
    after = iou_per_class(confusion_matrix(table[pair[0]], table[pair[1]], CLASSES))
    np.testing.assert_array_equal(after[order], before)


@pytest.mark.parametrize(
    ("preds", "target", "classes", "message"),
    [
        (np.array([255]), np.array([255]), 3, r"preds holds class index 255 \(ignore.*expected 0 to 2"),
        (np.array([3]), np.array([0]), 3, "preds holds class index 3; expected 0 to 2"),
        (np.array([-1]), np.array([0]), 3, "preds holds class index -1"),
        (np.array([0]), np.array([3]), 3, "target holds class index 3; expected 0 to 2, or 255"),
        (np.array([0]), np.array([-1]), 3, "target holds class index -1"),
        (np.array([0, 0]), np.array([0]), 3, r"preds has shape \(2,\), target \(1,\)"),
        (np.array([0.0]), np.array([0]), 3, "preds is float64; class indices are integers"),
        (np.array([0]), np.array([True]), 3, "target is bool"),
        (np.array([0]), np.array([0]), 256, "num_classes is 256"),
        (np.array([0]), np.array([0]), 0, "num_classes is 0"),
    ],
)
def test_bad_input(preds: NDArray[Any], target: NDArray[Any], classes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(preds, target, classes)


def test_a_confusion_matrix_is_square() -> None:
    with pytest.raises(ValueError, match=r"square.*\(2, 3\)"):
        iou_per_class(np.zeros((2, 3), np.int64))
