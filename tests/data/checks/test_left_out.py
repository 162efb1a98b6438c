"""What check says of files that look like images and are not used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tag2mask.data import Dataset
from tag2mask.data.checks import check_dataset
from tag2mask.data.checks.finding import Finding, Report
from tag2mask.masks import write_label_map, write_mask
from tests.helpers import write_images, write_tags

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.fixture(autouse=True)
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installation that does not read HEIC."""
    for module in ("left_out", "decode"):
        monkeypatch.setattr(f"tag2mask.images.{module}.heic_plugin", lambda: None)


def found(report: Report, code: str) -> list[Finding]:
    return [finding for finding in report if finding.code == code]


def class_folders(root: Path) -> Path:
    folder = write_images(root / "ds", [f"{name}/{k}.png" for name in ("cat", "dog") for k in range(3)])
    for k in range(4):
        (folder / "cat" / f"IMG_{k}.HEIC").write_bytes(HEIC)
    (folder / "dog" / "0.CR2").write_bytes(b"II*\0")
    (folder / "dog" / "scan").write_bytes((folder / "dog" / "1.png").read_bytes())
    write_mask(folder / "masks" / "cat" / "0.png", np.zeros((6, 8), np.uint8))
    write_label_map(folder / "masks", ("cat", "dog"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "dog" / "pipe.jpg")
    return folder


@pytest.mark.timeout(120)
def test_each_kind_is_counted_and_named(tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    report = check_dataset(folder, progress=False)
    assert set(report.counts) == {"cat", "dog"}
    heic, scan = found(report, "images-left-out")
    assert heic.what == "HEIC images left out: 4"
    assert heic.severity == "warning"
    assert heic.images == tuple(f"cat/IMG_{k}.HEIC" for k in range(4))
    assert "pip install 'tag2mask[heic]'" in heic.remedy
    assert scan.details == ("dog/scan: an image without the suffix of one; rename it to scan.png",)
    notes = {finding.what: finding for finding in found(report, "files-left-out")}
    assert set(notes) == {"copies in formats that are not read left out: 1", "folders of masks left out: 1"}
    [refused] = found(report, "refused-files")
    assert refused.details == ("dog/pipe.jpg: a named pipe (FIFO), not a file; remove it, or put an image there",)


def test_loading_and_tables_say_it_too(tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    kinds = {problem.kind: problem for problem in Dataset.load(folder).problems}
    assert kinds["HEIC images left out"].level == "warning"
    rows = {f"{name}/{k}.png": name for name in ("cat", "dog") for k in range(3)}
    table = write_tags(tmp_path / "tags.csv", rows)
    levels = {problem.kind: problem.level for problem in Dataset.load(folder, table).problems}
    assert levels["HEIC images left out"] == levels["refused file"] == "note", "the table says which images count"
    table = write_tags(tmp_path / "tags.csv", {**rows, "cat/IMG_0.HEIC": "cat", "dog/pipe.jpg": "dog"})
    dataset = Dataset.load(folder, table)
    named = {problem.file: problem for problem in dataset.problems if problem.level == "warning"}
    assert "HEIC" in named["cat/IMG_0.HEIC"].message
    assert "named pipe" in named["dog/pipe.jpg"].message
    assert dataset.skipped == 2


def test_a_dataset_of_nothing_else(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.heic").write_bytes(HEIC)
    report = check_dataset(tmp_path, progress=False)
    [unusable] = found(report, "unusable-dataset")
    assert "HEIC is not read here" in unusable.what
    [left_out] = found(report, "images-left-out")
    assert left_out.what == "HEIC images left out: 2"
