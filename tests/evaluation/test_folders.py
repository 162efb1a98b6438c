from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.dataset import Dataset
from tag2mask.evaluation import estimate, evaluate, evaluate_dataset, evaluate_pairs
from tag2mask.masks import read_mask, write_mask
from tests.helpers import bench_folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images: ground truth in gt, predictions in preds."""
    gt, preds = tmp_path / "gt", tmp_path / "preds"
    write_mask(gt / "a.png", np.array([[0, 0, 1, 1], [0, 0, 255, 255]]))
    write_mask(gt / "sub" / "b.png", np.array([[2, 2]]))
    write_mask(preds / "a.png", np.array([[0, 1, 1, 1], [0, 0, 2, 0]]))
    write_mask(preds / "sub" / "b.png", np.array([[2, 0]]))
    return preds, gt


def test_scores_by_hand(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, ["cat", "fire truck", "zebra"])
    assert result.images == 2
    assert result.extra == 0
    iou = {"background": 3 / 5, "cat": 2 / 3, "fire truck": 1 / 2}
    assert {name: result.iou[name] for name in iou} == pytest.approx(iou)
    assert math.isnan(result.iou["zebra"])
    assert result.miou == pytest.approx(sum(iou.values()) / 3)
    assert result.pixel_accuracy == pytest.approx(6 / 8)
    assert result.confusion.dtype == np.int64
    np.testing.assert_array_equal(result.confusion.sum(axis=1), [4, 2, 2, 0])
    assert result.summary() == "mIoU 58.89 over 2 images"
    assert result.table() == [("background", "60.0"), ("cat", "66.7"), ("fire truck", "50.0"), ("zebra", "-")]
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert document["IoU"]["zebra"] is None
    assert document["mIoU"] == result.miou
    assert document["confusion"] == result.confusion.tolist()


def test_paths_may_be_text(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predicted, ground_truth = (str(folder) for folder in folders)
    expected = evaluate(*folders, ["cat", "dog"])
    assert evaluate(predicted, ground_truth, ["cat", "dog"]).to_dict() == expected.to_dict()
    file = tmp_path / "classes.txt"
    file.write_text("cat\ndog\n")
    for classes in (file, str(file), ("cat", "dog")):
        assert evaluate(predicted, ground_truth, classes).to_dict() == expected.to_dict()
    assert estimate(predicted, ground_truth, str(file)).evaluation.to_dict() == expected.to_dict()
    with pytest.raises(DataError, match="cat: no such file; expected class names"):
        evaluate(predicted, ground_truth, "cat")


def test_corrected_masks_are_no_predictions(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    records = (
        ImageRecord("a.jpg", gt_mask=gt / "a.png"),
        ImageRecord("sub/b.jpg", gt_mask=gt / "sub" / "b.png", corrected=preds / "sub" / "b.png"),
        ImageRecord("c.jpg"),
    )
    result = evaluate_dataset(preds, Dataset(gt, ("cat", "dog"), records))
    assert result is not None
    assert result.to_dict() == evaluate_pairs([(preds / "a.png", gt / "a.png")], ["cat", "dog"]).to_dict()
    assert evaluate_dataset(preds, Dataset(gt, ("cat", "dog"), records[1:])) is None


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_matter(folders: tuple[Path, Path], threads: int) -> None:
    one = evaluate(*folders, ["cat", "dog"], threads=1)
    assert evaluate(*folders, ["cat", "dog"], threads=threads).to_dict() == one.to_dict()


def test_extra_predictions_are_counted_alone(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    before = evaluate(preds, gt, ["cat", "dog"])
    write_mask(preds / "extra.png", np.array([[1]]))
    (preds / "notes.txt").write_text("not a mask")
    after = evaluate(preds, gt, ["cat", "dog"])
    assert after.extra == 1
    np.testing.assert_array_equal(after.confusion, before.confusion)


def test_missing_prediction(folders: tuple[Path, Path]) -> None:
    (folders[0] / "sub" / "b.png").unlink()
    with pytest.raises(DataError, match=r"preds/sub/b\.png: no prediction for this mask \(1 of 2 are missing"):
        evaluate(*folders, ["cat", "dog"])


def test_wrong_size(folders: tuple[Path, Path]) -> None:
    write_mask(folders[0] / "a.png", np.zeros((4, 2), np.uint8))
    message = r"preds/a\.png: prediction is 4 x 2 .*ground truth 2 x 4; write masks at the size"
    with pytest.raises(DataError, match=message):
        evaluate(*folders, ["cat", "dog"])


def test_class_index_out_of_range_names_the_side(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    with pytest.raises(DataError, match=r"preds/a\.png: preds holds class index 2; expected 0 to 1"):
        evaluate(preds, gt, ["cat"])
    write_mask(preds / "a.png", np.full((2, 4), 255))
    with pytest.raises(DataError, match=r"preds/a\.png: preds holds class index 255 \(ignore: never a prediction\)"):
        evaluate(preds, gt, ["cat", "dog"])
    write_mask(preds / "a.png", np.zeros((2, 4), np.uint8))
    write_mask(gt / "a.png", np.full((2, 4), 9))
    with pytest.raises(DataError, match=r"gt/a\.png: target holds class index 9"):
        evaluate(preds, gt, ["cat", "dog"])


def test_pairs_from_anywhere(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    pairs = [(preds / "a.png", gt / "a.png"), (preds / "sub" / "b.png", gt / "sub" / "b.png")]
    expected = evaluate(preds, gt, ["cat", "dog"])
    assert evaluate_pairs(pairs, ["cat", "dog"]).to_dict() == expected.to_dict()
    assert evaluate_pairs(pairs[:1], ["cat", "dog"], extra=1).extra == 1
    with pytest.raises(DataError, match="no pair of a predicted mask and its ground truth"):
        evaluate_pairs([], ["cat"])


def test_nothing_to_score(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "preds").mkdir()
    with pytest.raises(DataError, match="gt: no PNG mask in this folder"):
        evaluate(tmp_path / "preds", tmp_path / "gt", ["cat"])
    write_mask(tmp_path / "gt" / "a.png", np.full((2, 2), 255))
    write_mask(tmp_path / "preds" / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="every pixel of every mask is 255"):
        evaluate(tmp_path / "preds", tmp_path / "gt", ["cat"])
    with pytest.raises(DataError, match="none: no such folder"):
        evaluate(tmp_path / "none", tmp_path / "gt", ["cat"])


def test_colour_prediction_and_damaged_file(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    Image.new("RGB", (4, 2)).save(preds / "a.png")
    with pytest.raises(DataError, match=r"preds/a\.png: this mask is a colour image"):
        evaluate(preds, gt, ["cat", "dog"])
    (gt / "a.png").write_bytes(b"")
    write_mask(preds / "a.png", np.zeros((2, 4), np.uint8))
    with pytest.raises(DataError, match=r"gt/a\.png: the file is empty"):
        evaluate(preds, gt, ["cat", "dog"])


def test_linked_masks_are_scored_too(folders: tuple[Path, Path], tmp_path: Path) -> None:
    preds, gt = folders
    expected = evaluate(preds, gt, ["cat", "dog"])
    links = tmp_path / "links"
    links.mkdir()
    (links / "a.png").symlink_to(gt / "a.png")
    (links / "sub").symlink_to(gt / "sub")
    assert evaluate(preds, links, ["cat", "dog"]).to_dict() == expected.to_dict()


def test_suffixes_in_upper_case_and_broken_links(folders: tuple[Path, Path]) -> None:
    preds, gt = folders
    expected = evaluate(preds, gt, ["cat", "dog"])
    (gt / "a.png").rename(gt / "a.PNG")
    assert evaluate(preds, gt, ["cat", "dog"]).to_dict() == expected.to_dict()
    (gt / "c.png").symlink_to(gt / "none.png")
    with pytest.raises(DataError, match=r"gt/c\.png: a broken link"):
        evaluate(preds, gt, ["cat", "dog"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n", ["cat", "dog"]),
        ("cat dog", ["cat", "dog"]),
        ("\ufeffcat\r\ndog\r\n\r\n", ["cat", "dog"]),
        ("fire truck\ndog\n", ["fire truck", "dog"]),
        ("background\ncat\ndog\n", ["cat", "dog"]),
    ],
)
def test_files_of_classes(folders: tuple[Path, Path], tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert list(evaluate(*folders, path).iou) == ["background", *names]


def test_agrees_with_an_independent_scorer(tmp_path: Path) -> None:
    bench = bench_folder("voc_animals")
    if bench is None:
        pytest.skip("the benchmark folder voc_animals is not beside this repository")
    rng = np.random.default_rng(0)
    gt = bench / "val" / "masks"
    for path in sorted(gt.glob("*.png")):
        mask = read_mask(path)
        shifted = np.roll(mask, rng.integers(-30, 31, 2), (0, 1))
        shifted[shifted == 255] = rng.integers(0, 7)
        write_mask(tmp_path / path.name, shifted, classes=6)
    classes = bench / "classes.txt"
    result = evaluate(tmp_path, gt, classes)
    command = [sys.executable, str(bench.parent / "score.py"), str(tmp_path), str(gt), str(classes)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[-1] == result.summary()
    assert [tuple(line.split()) for line in lines[:-1]] == result.table()
    exact = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    reference = json.loads(exact)
    assert reference["mIoU"] == pytest.approx(result.miou, abs=1e-12)
    assert reference["IoU"] == pytest.approx(result.iou, abs=1e-12)
    assert reference["pixel_accuracy"] == pytest.approx(result.pixel_accuracy, abs=1e-12)


def test_the_interval_of_a_sample_holds_the_score_of_the_whole_dataset(tmp_path: Path) -> None:
    """Of 40 random samples of 30 images, nearly all 95 % intervals hold the mIoU of all 600."""
    rng = np.random.default_rng(0)
    for index in range(600):
        target = rng.integers(0, 3, (8, 8)).astype(np.uint8)
        wrong = rng.random((8, 8)) < rng.beta(2, 4)  # images differ in how hard they are
        write_mask(tmp_path / "truth" / f"{index:03d}.png", target)
        write_mask(tmp_path / "preds" / f"{index:03d}.png", np.where(wrong, (target + 1) % 3, target).astype(np.uint8))
    whole = evaluate(tmp_path / "preds", tmp_path / "truth", ("a", "b"))
    held = 0
    for trial in range(40):
        folder = tmp_path / f"sample{trial}"
        folder.mkdir()
        for index in rng.choice(600, 30, replace=False):
            (folder / f"{index:03d}.png").symlink_to(tmp_path / "truth" / f"{index:03d}.png")
        guess = estimate(tmp_path / "preds", folder, ("a", "b"), resamples=400)
        assert guess.low < guess.evaluation.miou < guess.high
        held += guess.low <= whole.miou <= guess.high
    assert 34 <= held <= 40
    narrow = estimate(tmp_path / "preds", tmp_path / "truth", ("a", "b"), resamples=400)
    assert narrow.high - narrow.low < 0.5 * (guess.high - guess.low)
    assert narrow.evaluation.miou == pytest.approx(whole.miou)
    assert "95 % interval" in narrow.summary()
    assert narrow.to_dict()["mIoU_interval"]["low"] == narrow.low


def test_a_sample_of_one_image_is_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "p" / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="one mask says nothing of the spread; draw at least 2"):
        estimate(tmp_path / "p", tmp_path / "p", ("a",))
