"""Hostile input: no crash, no hang (the time limit of the test), little memory, nothing written outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tag2mask.data import Dataset
from tests.hostile.mutate import encoded

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_files_hostile_on_purpose_are_read_or_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.reading", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    counts = result["counts"]
    for kind in ("wrong suffix", "table", "bomb"):
        assert counts[kind]["read"] and counts[kind]["refused"], (kind, counts[kind])
    assert counts["header"]["read"] == counts["special"]["read"] == 0
    assert result["peak_mb"] < 1024, result
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(encoded("JPEG"))
    images = tmp_path / "images"
    images.mkdir()
    (images / "own.jpg").write_bytes(encoded("JPEG", 1))
    (images / "link.jpg").symlink_to(outside / "secret.jpg")
    (images / "folder").symlink_to(outside, target_is_directory=True)
    (images / "loop").symlink_to(images, target_is_directory=True)
    table = tmp_path / "tags.csv"
    table.write_text("image,tags\nown.jpg,cat\nlink.jpg,cat\nfolder/secret.jpg,dog\nloop/own.jpg,cat\n")
    dataset = Dataset.load(images, table)
    for record in dataset.records:
        assert record.path.resolve().is_relative_to(images.resolve()), record.path
