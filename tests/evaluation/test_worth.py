"""What is said of scores that are worth less than they look, and of masks of other tools."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask import cli
from tag2mask.core.errors import DataError
from tag2mask.evaluation import Evaluation, estimate, evaluate
from tag2mask.masks import write_label_map, write_mask
from tag2mask.masks.palette_png import voc_colours

Rows = list[list[int]]
CATS: Rows = [[0, 1, 1], [0, 0, 2]]


def score(folder: Path, truth: Sequence[Rows], preds: Sequence[Rows], classes: Sequence[str]) -> Evaluation:
    for side, masks in (("truth", truth), ("preds", preds)):
        for number, rows in enumerate(masks):
            write_mask(folder / side / f"{number}.png", np.array(rows, np.uint8))
    return evaluate(folder / "preds", folder / "truth", classes)


@pytest.mark.parametrize(
    ("classes", "remedy"),
    [
        (
            ["cat"],
            r"all 2 masks hold only 0 and 255; .*Write 1 for the class \(cat\) and 0 for background, e\.g\. `mask",
        ),
        (
            ["cat", "dog"],
            r"all 2 .*only 0 and 255; .*Write the index of the class \(1 = cat, 2 = dog\) and 0 for background",
        ),
    ],
)
def test_ground_truth_of_0_and_255_alone_is_refused(tmp_path: Path, classes: list[str], remedy: str) -> None:
    binary: Rows = [[0, 255], [0, 0]]
    with pytest.raises(DataError, match=rf"truth: {remedy}"):
        score(tmp_path, [binary, binary], [[[0, 0], [0, 0]]] * 2, classes)
    with pytest.raises(DataError, match="truth: all 3 masks hold only 0 and 255"):  # also beside some that say nothing
        score(tmp_path, [binary, binary, [[0, 0], [0, 0]]], [[[0, 0], [0, 0]]] * 3, classes)
    with pytest.raises(DataError, match=r"truth: .*hold only 0 and 255"):
        estimate(tmp_path / "preds", tmp_path / "truth", classes)


def test_some_masks_without_a_class_are_counted(tmp_path: Path) -> None:
    ignored: Rows = [[255, 255], [255, 255]]
    truth = [[[0, 1], [0, 0]], [[0, 255], [0, 0]], ignored, ignored]
    result = score(tmp_path, truth, [[[0, 1], [0, 0]]] * 4, ["cat"])
    assert [note.removeprefix(f"{tmp_path / 'truth'}: ") for note in result.notes] == [
        "2 of 4 ground truth masks are 255 (ignore) everywhere: nothing to compare",
        "1 of 4 ground truth masks is of 0 and 255 (ignore) alone, without a class; if 255 marks a class there, write "
        "its index",
    ]
    assert result.warnings == ()


def test_an_empty_prediction_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = score(tmp_path, [CATS], [[[0] * 3] * 2], ["cat", "dog"])
    assert result.summary().endswith("over 1 images; every prediction is background alone")
    assert result.warnings == (
        "no class occurs in the predictions: every scored pixel is background",
        "in the ground truth, but never predicted: cat, dog; their IoU is 0",
    )
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == list(result.warnings)


def test_the_score_of_background_alone_is_said(tmp_path: Path) -> None:
    result = score(tmp_path, [[[0, 0]], [[0, 0]]], [[[0, 0]], [[0, 0]]], ["cat"])
    assert result.miou == 1
    assert result.summary() == ("mIoU 100.00 over 2 images, of background alone: no class occurs in the ground truth")
    assert result.warnings[0].startswith("no class occurs in the ground truth")
    assert "of background alone" in estimate(tmp_path / "preds", tmp_path / "truth", ["cat"]).summary()


def test_classes_that_never_occur_are_named(tmp_path: Path) -> None:
    result = score(tmp_path, [[[0, 1, 1]]], [[[0, 1, 2]]], ["cat", "dog", "emu"])
    assert result.warnings == (
        "never in the ground truth, and not predicted: emu; no IoU, left out of the mean",
        "never in the ground truth, but predicted: dog; their IoU of 0 counts in the mean",
    )
    assert json.loads(json.dumps(result.to_dict()))["warnings"] == list(result.warnings)


def colours(path: Path, mask: NDArray[np.uint8], palette: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(palette[mask]).save(path)


def test_an_export_of_cvat_is_scored_like_its_indices(tmp_path: Path) -> None:
    truth: NDArray[np.uint8] = np.array(CATS, np.uint8)
    expected = score(tmp_path, [CATS], [[[0, 1, 0], [0, 2, 2]]], ["cat", "dog"])
    palette = np.array([[0, 0, 0], [250, 50, 83], [50, 183, 250]], np.uint8)
    export = tmp_path / "export"
    colours(export / "SegmentationClass" / "0.png", truth, palette)
    (export / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:50,183,250::\ncat:250,50,83::\n"
    )
    colours(tmp_path / "voc" / "0_mask.png", truth, voc_colours())
    for folder, note in (
        (export, "1 of 1 ground truth masks is in colour, read by"),
        (export / "SegmentationClass", "1 of 1 ground truth masks is in colour, read by"),
        (tmp_path / "voc", "colours of PASCAL VOC's palette"),
    ):
        result = evaluate(tmp_path / "preds", folder, ["cat", "dog"])
        np.testing.assert_array_equal(result.confusion, expected.confusion)
        assert any(note in line for line in result.notes)


def test_indices_of_other_classes_are_refused_or_translated(tmp_path: Path) -> None:
    expected = score(tmp_path, [CATS], [[[0, 1, 0], [0, 2, 2]]], ["cat", "dog"])
    write_label_map(tmp_path / "preds", ["cat", "dog"])
    (tmp_path / "preds" / "labelmap.txt").unlink()
    with pytest.raises(DataError, match=r"preds/classes\.txt: the class of index 1 is 'cat', `classes` says 'dog'"):
        evaluate(tmp_path / "preds", tmp_path / "truth", ["dog", "cat"])
    for side in ("preds", "truth"):
        write_label_map(tmp_path / side, ["cat", "dog"])
    result = evaluate(tmp_path / "preds", tmp_path / "truth", ["dog", "cat"])
    assert result.iou == expected.iou
    assert all("translated by" in note for note in result.notes)


def test_values_that_are_no_indices_are_explained(tmp_path: Path) -> None:
    grey = np.array(Image.fromarray(voc_colours()[np.array(CATS)]).convert("L"))
    with pytest.raises(DataError, match="colours of PASCAL VOC's palette turned into grey: save the indices"):
        score(tmp_path, [grey.tolist()], [CATS], ["cat", "dog"])
    with pytest.raises(DataError, match=r"grey levels such as 127 are no class indices: write 1 = cat, 2 = dog"):
        score(tmp_path, [[[0, 127, 254]]], [[[0, 0, 0]]], ["cat", "dog"])
    with pytest.raises(DataError, match=r"preds holds class index 255 .*if 255 marks a class, write its index"):
        score(tmp_path, [CATS], [[[0, 255, 0], [0, 0, 0]]], ["cat", "dog"])


def test_the_command_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score(tmp_path, [[[0, 1, 1]]], [[[0, 0, 0]]], ["cat", "dog"])
    (tmp_path / "truth" / "0.png").rename(tmp_path / "truth" / "0_mask.png")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    words = ["evaluate", "preds", "truth", "--classes", "classes.txt"]
    monkeypatch.chdir(tmp_path)

    def run(*more: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["tag2mask", *words, *more])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0
        return capsys.readouterr()

    out, err = run()
    assert "1 masks were matched by their names without words" in out
    assert "every prediction is background alone" in out
    assert "warning: in the ground truth, but never predicted: cat; their IoU is 0" in err
    assert json.loads(run("--json")[0])["warnings"]
