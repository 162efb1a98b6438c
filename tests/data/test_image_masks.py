"""Masks of other tools as ground truth and as corrected masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.data.checks import Report, check_dataset
from tag2mask.inference.folder import write_corrected
from tag2mask.masks import read_mask, write_mask
from tests.helpers import TinyDataset, write_shapes

PALETTE = np.array([[0, 0, 0], [250, 50, 83], [50, 183, 250]], np.uint8)
LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nsquare:50,183,250::\ndisc:250,50,83::\n"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyDataset:
    return write_shapes(tmp_path / "tiny", 12)


def export(tiny: TinyDataset, folder: Path, ending: str = "") -> Path:
    """The ground truth as CVAT exports it."""
    for path in tiny.masks.glob("*.png"):
        target = folder / "SegmentationClass" / f"{path.stem}{ending}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PALETTE[read_mask(path)]).save(target)
    (folder / "labelmap.txt").write_text(LABELS)
    return folder


def load(tiny: TinyDataset, *, masks: Path | None = None, corrected: Path | None = None) -> Dataset:
    return Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file, masks=masks, corrected=corrected)


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report if "mask" in finding.code}


def check(tiny: TinyDataset, masks: Path) -> Report:
    return check_dataset(tiny.images, tiny.tags, classes=tiny.class_file, masks=masks, progress=False)


def test_an_export_of_cvat(tiny: TinyDataset, tmp_path: Path) -> None:
    folder = export(tiny, tmp_path / "cvat", "_mask")
    truth = load(tiny, masks=folder)
    assert all(record.gt_mask is not None for record in truth.records)
    said = " ".join(problem.message for problem in truth.problems)
    for words in ("masks in SegmentationClass/ are read", "12 masks were matched by", "12 of 12 masks are in colour"):
        assert words in said
    assert {problem.level for problem in truth.problems} == {"note"}
    corrected = load(tiny, corrected=folder)
    assert write_corrected(tmp_path / "out", corrected.records, corrected.classes) == 12
    for path in tiny.masks.glob("*.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / path.name), read_mask(path))
    report = check(tiny, folder)
    assert codes(report) == {"masks-of-another-tool"}
    assert not report.fails("error")


def test_0_and_255_alone_are_refused_everywhere(tiny: TinyDataset, tmp_path: Path) -> None:
    for path in tiny.masks.glob("*.png"):
        write_mask(tmp_path / "binary" / path.name, np.where(read_mask(path), 255, 0))
    for one in ({"masks": tmp_path / "binary"}, {"corrected": tmp_path / "binary"}):
        with pytest.raises(
            DataError, match=r"binary: all 12 masks hold only 0 and 255; .*Write the index of the class"
        ):
            load(tiny, **one)
    report = check(tiny, tmp_path / "binary")
    assert codes(report) >= {"masks-without-meaning", "classes-never-in-masks"}
    assert report.fails("error")
    assert "mask-lacks-tagged-class" not in codes(report)


def test_colours_without_label_map_are_refused_before_training(tiny: TinyDataset, tmp_path: Path) -> None:
    folder = export(tiny, tmp_path / "cvat")
    (folder / "labelmap.txt").unlink()
    for one in ({"masks": folder}, {"corrected": folder}):
        with pytest.raises(DataError, match=r"colour image.*put labelmap\.txt beside it.*none of the \d+ masks"):
            load(tiny, **one)
    assert "unreadable-masks" in codes(check(tiny, folder))


def test_single_masks_that_cannot_be_used_are_named(tiny: TinyDataset, tmp_path: Path) -> None:
    paths = sorted(tiny.masks.glob("*.png"))
    paths[0].write_bytes(b"")
    write_mask(paths[1], np.zeros((5, 5), np.uint8))
    write_mask(paths[2], np.where(read_mask(paths[2]), 9, 0))
    dataset = load(tiny, masks=tiny.masks)
    bad = {problem.file: problem.message for problem in dataset.problems if problem.kind == "ground truth not usable"}
    assert len(bad) == 3
    assert any("the file is empty" in text for text in bad.values())
    assert any("mask is 5 x 5, its image 64 x 48" in text for text in bad.values())
    assert any("class index 9, but there are 2 classes" in text for text in bad.values())
    assert {record.name for record in dataset.records if record.gt_mask is None} == set(bad)


def test_a_class_without_ground_truth_is_named(tiny: TinyDataset) -> None:
    for path in tiny.masks.glob("*.png"):
        write_mask(path, np.where(read_mask(path) == 2, 0, read_mask(path)))
    dataset = load(tiny, masks=tiny.masks)
    assert [problem.message for problem in dataset.problems] == [
        f"{tiny.masks}: no mask shows square: their IoU cannot be measured"
    ]
    found = {finding.code: finding.classes for finding in check(tiny, tiny.masks)}
    assert found["classes-never-in-masks"] == ("square",)


def test_files_that_are_no_png_are_named(tiny: TinyDataset) -> None:
    first = min(tiny.masks.glob("*.png"))
    Image.open(first).convert("L").save(first.with_suffix(".jpg"))
    first.unlink()
    found = {finding.code: finding.images for finding in check(tiny, tiny.masks)}
    assert found["masks-not-png"] == (f"{first.stem}.jpg",)
    for path in tiny.masks.glob("*.png"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"no mask for any image; .*, but 1 files \.jpg such as .*JPEG changes the values"
    ):
        load(tiny, masks=tiny.masks)
