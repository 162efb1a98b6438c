"""What training says of its own worth, on shapes whose tags are right, useless or wrong."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask import Dataset, train
from tag2mask.evaluation.verdict import read_verdict, write_verdict
from tag2mask.evaluation.verdict.collect import sample
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder
from tag2mask.report import write_report
from tests.conftest import TINY_OPTIONS
from tests.helpers import draw_shapes, write_image, write_shapes, write_tags

QUICK = {**TINY_OPTIONS, "training.epochs": 1, "training.loggers": []}


def verdict_of(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    return document


def discs(folder: Path, *, count: int, black: bool = False) -> Dataset:
    """Images of a disc each, all tagged so."""
    rows = {}
    for k in range(count):
        image = draw_shapes(["disc"], seed=k)[0]
        write_image(folder / "images" / f"{k}.png", np.zeros_like(image) if black else image)
        rows[f"{k}.png"] = "disc"
    return Dataset.load(folder / "images", write_tags(folder / "tags.csv", rows))


def test_a_class_in_every_image_is_said_before_and_after(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = discs(tmp_path, count=30)
    with caplog.at_level(logging.INFO, "tag2mask"):
        train(dataset, tmp_path / "run", options=QUICK, make_report=False, progress=False)
    before = next(k for k, text in enumerate(caplog.messages) if "that no image is known to be without (disc)" in text)
    assert "Remedy: add images of the same surroundings without it" in caplog.messages[before]
    first_epoch = next(k for k, text in enumerate(caplog.messages) if text.startswith("epoch 1/1"))
    after = next(k for k, text in enumerate(caplog.messages) if text.startswith("verdict: red; do not use these masks"))
    assert before < first_epoch < after
    document = verdict_of(tmp_path / "run")
    assert document["overall"] == "red"
    assert document["classes"]["disc"]["overall"] == "red"
    assert document["classes"]["disc"]["reason"].startswith("no image is known to be without it")
    assert document["classes"]["disc"]["numbers"]["absent"] == 0
    assert {"classes-in-every-image", "random-weights"} <= {one["code"] for one in document["findings"]}


def test_black_images_are_red(tmp_path: Path) -> None:
    train(discs(tmp_path, count=12, black=True), tmp_path / "run", options=QUICK, make_report=False, progress=False)
    document = verdict_of(tmp_path / "run")
    assert document["overall"] == "red"
    assert {"few-different-images", "empty-images"} <= {one["code"] for one in document["findings"]}


def test_the_next_commands_are_three_that_exist(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "my shapes; & more", 12)
    out = tmp_path / "it's a run"
    train(Dataset.load(tiny.images, tiny.tags), out, options=QUICK, make_report=False, progress=False)
    steps = verdict_of(out)["next"]
    assert len(steps) == 3
    for step in steps:
        words = shlex.split(step["command"])
        assert words[0] == "tag2mask"
        assert any(str(path) in words for path in (tiny.images, out))
        if words[1] == "check":
            again = Dataset.load(words[2], words[words.index("--tags") + 1])
            assert [(one.name, one.tags) for one in again.records] == [
                (one.name, one.tags) for one in Dataset.load(tiny.images, tiny.tags).records
            ]
        assert step["why"]


def test_without_masks_and_from_ground_truth_what_is_known_is_said(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "shapes", 12)
    dataset = Dataset.load(tiny.images, tiny.tags, masks=tiny.masks)
    for name, options in (("tags", QUICK), ("masks", {**QUICK, "training.supervision": "masks"})):
        train(dataset, tmp_path / name, options=options, make_masks=False, progress=False)
        document = verdict_of(tmp_path / name)
        assert len(document["next"]) == 3
        assert "the masks of the training images: none were written" in document["missing"]
        assert all(one["numbers"]["masks"] == 0 for one in document["classes"].values())


def test_a_finished_run_is_judged_without_its_images(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "shapes", 12)
    out = tmp_path / "run"
    dataset = Dataset.load(tiny.images, tiny.tags)
    segmenter = train(dataset, out, options=QUICK, make_report=False, progress=False)
    before = verdict_of(out)
    (out / "verdict.json").unlink()
    write_report(out)
    again = verdict_of(out)
    assert again["classes"] == before["classes"]
    assert again["overall"] in (out / "report.html").read_text(encoding="utf-8")
    tiny.images.rename(tmp_path / "elsewhere")
    verdict = write_verdict(RunFolder(out), Segmenter.from_pretrained(out), dataset)
    assert "no image could be read any more, so copies among them are not known" in verdict.missing
    assert read_verdict(RunFolder(out)) is not None
    assert segmenter.classes == tuple(verdict.classes)


def test_rare_classes_are_in_a_sample(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    rows = {f"{k:03d}.png": "disc" if k != 37 and k != 61 else "square" for k in range(80)}
    for k, name in enumerate(rows):
        write_image(folder / name, seed=k)
    dataset = Dataset.load(folder, write_tags(tmp_path / "tags.csv", rows))
    names = [record.name for record in sample(dataset, 10, each=5).records]
    assert {"037.png", "061.png"} <= set(names)
    assert 10 <= len(names) <= 12
    assert names == sorted(names)
