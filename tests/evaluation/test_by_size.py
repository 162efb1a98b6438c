from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from typer.testing import CliRunner

from tag2mask.cli import app
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation import estimate, evaluate, evaluate_dataset, evaluate_pairs
from tag2mask.evaluation.by_size import joined, score_components, scores_by_size
from tag2mask.masks import write_mask

Mask = NDArray[np.uint8]


def empty() -> Mask:
    return np.zeros((100, 100), np.uint8)


def test_a_small_object_that_swells_and_one_that_vanishes() -> None:
    target, preds = empty(), empty()
    target[10:15, 10:15] = 1  # 25 pixels, 0.25 %, in a blob of 100 pixels
    preds[8:18, 8:18] = 1
    target[50:55, 50:55] = 1  # missed
    target[70:100, 70:100] = 2  # 9 %, two thirds found
    preds[70:90, 70:100] = 2
    sizes = scores_by_size(score_components(preds, target), ["cat", "dog"])
    small, *others = sizes.by_class["cat"]
    assert (small.components, small.missed, small.recall, small.iou) == (2, 0.5, 0.5, 0.25 / 2)
    assert [group.components for group in others] == [0, 0, 0]
    assert math.isnan(others[0].iou)
    assert sizes.by_class["dog"][2].iou == pytest.approx(2 / 3)
    assert [group.components for group in sizes.overall] == [2, 0, 1, 0]
    assert [group.size for group in sizes.overall] == ["< 0.5 %", "0.5 to 2 %", "2 to 10 %", "> 10 %"]


def test_each_class_weighs_the_same() -> None:
    target, preds = empty(), empty()
    for k in range(9):
        target[5, 10 * k + 2] = 1  # nine cats, all missed
    target[50, 50] = preds[50, 50] = 2
    overall = scores_by_size(score_components(preds, target), ["cat", "dog", "bird"]).overall[0]
    assert (overall.components, overall.missed, overall.recall, overall.iou) == (10, 0.5, 0.5, 0.5)


def test_a_prediction_over_two_objects() -> None:
    """What is right of one is not wrong of the other; what is beside both is wrong of each."""
    target, preds = empty(), empty()
    target[10:12, 10:12] = target[10:12, 16:21] = 1
    preds[10:12, 10:21] = 1
    scores = score_components(preds, target)
    assert scores.recall.tolist() == [1, 1]
    assert scores.iou.tolist() == [4 / (4 + 8), 10 / (10 + 8)]


def test_other_classes_and_predictions_elsewhere_do_not_count() -> None:
    target, preds = empty(), empty()
    target[10:20, 10:20], target[40:50, 40:50] = 1, 2
    preds[10:20, 10:20], preds[40:50, 40:50] = 1, 1  # the second is the wrong class
    preds[80:90, 80:90] = 1
    assert score_components(preds, target).iou.tolist() == [1, 0]


def test_diagonal_neighbours_are_one_object_and_ignored_pixels_count_nowhere() -> None:
    target, preds = empty(), empty()
    target[10, 10] = target[11, 11] = 1
    target[20:30, 20:30] = 255
    target[25, 25] = 1
    preds[20:30, 20:30] = 1
    scores = score_components(preds, target)
    assert scores.share.tolist() == [2 / 10000, 1 / 10000]
    assert scores.iou.tolist() == [0, 1]


def test_an_ignored_outline_makes_no_objects_of_its_rim() -> None:
    """As in PASCAL VOC, where specks of a class lie within the outline of its objects."""
    target = empty()
    target[10:60, 10:60] = 255
    target[15:55, 15:55] = target[12, 12] = target[12, 30] = 1
    scores = score_components(np.where(target == 255, 1, target), target)
    assert scores.share.tolist() == [(40 * 40 + 2) / 10000]
    assert scores.iou.tolist() == [1]


def test_agrees_with_the_definition_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    near = np.ones((3, 3), int)
    for _ in range(5):
        target, preds = (ndimage.zoom(rng.integers(0, 3, (12, 15)), 3, order=0).astype(np.uint8) for _ in range(2))
        target[rng.random(target.shape) < 0.05] = 255
        found = score_components(preds, target)
        expected = []
        for index in (1, 2):
            ignored = target == 255
            truth, count = ndimage.label((target == index) | ignored, near)
            predicted, _ = ndimage.label((preds == index) | ignored, near)
            predicted[preds != index] = 0
            for k in range(1, count + 1):
                component = (truth == k) & (target == index)
                if not component.any():
                    continue
                touching = np.isin(predicted, np.setdiff1d(predicted[component], 0))
                union = component | (touching & (target != index) & (target != 255))
                right = (component & touching).sum()
                expected.append((index, component.mean(), right / component.sum(), right / union.sum()))
        np.testing.assert_allclose(sorted(zip(*found, strict=True)), sorted(expected))


def test_nothing_to_score() -> None:
    sizes = scores_by_size(joined([score_components(empty(), empty())]), ["cat"])
    assert [group.components for group in sizes.overall] == [0, 0, 0, 0]
    assert sizes.table() == []
    assert json.loads(json.dumps(sizes.to_dict(), allow_nan=False))["overall"][0]["IoU"] is None
    with pytest.raises(ValueError, match="expected ascending shares between 0 and 1"):
        scores_by_size(score_components(empty(), empty()), ["cat"], bounds=(0.1, 0.05))
    with pytest.raises(ValueError, match=r"both are \(height, width\)"):
        score_components(empty(), empty()[:50])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Folders of predictions and ground truth of two images, and the file of classes."""
    target, preds = empty(), empty()
    target[10:15, 10:15] = preds[10:15, 10:20] = 1
    for name in ("a", "b"):
        write_mask(tmp_path / "gt" / f"{name}.png", target)
        write_mask(tmp_path / "preds" / f"{name}.png", preds)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return tmp_path / "preds", tmp_path / "gt", tmp_path / "classes.txt"


def test_from_python(folders: tuple[Path, Path, Path]) -> None:
    preds, gt, classes = folders
    result = evaluate(preds, gt, classes, by_size=True)
    assert result.by_size is not None
    small = result.by_size.by_class["cat"][0]
    assert (small.components, small.recall, small.iou) == (2, 1, 0.5)
    assert evaluate(preds, gt, classes).by_size is None
    assert "by_size" not in evaluate(preds, gt, classes).to_dict()
    dataset = Dataset(gt, ("cat", "dog"), tuple(ImageRecord(f"{n}.jpg", gt_mask=gt / f"{n}.png") for n in "ab"))
    others = (
        estimate(preds, gt, classes, by_size=True).evaluation,
        evaluate_dataset(preds, dataset, by_size=True),
        evaluate_pairs([(preds / f"{n}.png", gt / f"{n}.png") for n in "ab"], classes, by_size=True),
    )
    for other in others:
        assert other is not None
        assert other.by_size is not None
        assert other.by_size.to_dict() == result.by_size.to_dict()


def test_the_command(folders: tuple[Path, Path, Path]) -> None:
    preds, gt, classes = (str(path) for path in folders)
    words = ["evaluate", preds, gt, "--classes", classes, "--by-size"]
    lines = CliRunner().invoke(app, words).output.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("class "))
    assert lines[start].split() == ["class", "share", "of", "the", "image", "objects", "missed", "recall", "IoU"]
    assert lines[start + 1].split() == ["cat", "<", "0.5", "%", "2", "0", "%", "100.0", "50.0"]
    assert lines[start + 2].split() == ["all", "classes", "<", "0.5", "%", "2", "0", "%", "100.0", "50.0"]
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    first = document["by_size"]["by_class"]["cat"][0]
    assert first == {"from": 0, "below": 0.005, "components": 2, "missed": 0, "recall": 1, "IoU": 0.5}
