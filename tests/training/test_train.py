"""`train`: masks, result and score of the training images, and what is kept of the configuration."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from tag2mask import Dataset, Segmenter, evaluate, train
from tag2mask.config.load import load_config
from tag2mask.config.schema import Config
from tag2mask.masks import read_mask, write_mask
from tests.conftest import TINY_OPTIONS
from tests.helpers import write_shapes

QUICK = {**TINY_OPTIONS, "training.epochs": 2, "training.loggers": []}


def test_corrected_masks_are_copied_and_left_out_of_the_score(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The score is that of predictions alone, whatever the corrected masks say."""
    tiny = write_shapes(tmp_path / "shapes", 12)
    corrected = ["shape_001.png", "shape_006.png"]
    for name in corrected:
        write_mask(tmp_path / "corrected" / name, np.full((48, 64), 2, np.uint8))
    dataset = Dataset.load(
        tiny.images, tiny.tags, classes=tiny.class_file, masks=tiny.masks, corrected=tmp_path / "corrected"
    )
    out = tmp_path / "run"
    with caplog.at_level(logging.INFO, "tag2mask"):
        segmenter = train(dataset, out, options=QUICK, make_report=False)
    assert isinstance(segmenter, Segmenter)
    result = json.loads((out / "result.json").read_text())
    assert (result["images"], result["skipped"], result["corrected"], result["failures"]) == (12, 0, 2, [])
    for name in corrected:
        assert (read_mask(out / "masks" / name) == 2).all()
    assert len(list((out / "masks").glob("*.png"))) == 12
    for record in dataset.records:
        if record.corrected is None:
            assert record.gt_mask is not None
            (tmp_path / "gt").mkdir(exist_ok=True)
            shutil.copy(record.gt_mask, tmp_path / "gt")
            (tmp_path / "preds").mkdir(exist_ok=True)
            shutil.copy(out / "masks" / record.name, tmp_path / "preds")
    expected = evaluate(tmp_path / "preds", tmp_path / "gt", tiny.class_file)
    assert expected.images == 10
    assert result["score"] == json.loads(json.dumps(expected.to_dict()))
    assert any(line.startswith("12 images, 2 classes, 2 epochs on ") for line in caplog.messages)
    assert any("2 corrected masks copied" in line for line in caplog.messages)
    assert any("against the ground truth, corrected masks left out: " in line for line in caplog.messages)


def test_the_configuration_is_kept_as_given_and_as_resolved(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "shapes", 8)
    dataset = Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file)
    file = tmp_path / "mine.yaml"
    file.write_text(f"# why\n{Config().override({**QUICK, 'training.epochs': 1}).to_yaml()}")
    out = tmp_path / "run"
    train(dataset, out, config=file, options={"training.seed": 3}, make_masks=False)
    given = (out / "config.given.yaml").read_text()
    assert given.startswith("# why\n")
    assert given.endswith("# training.seed: 3\n")
    assert load_config(out / "config.yaml").training.seed == 3
    assert not (out / "masks").exists()
    assert not (out / "result.json").exists()
    assert not (out / "report.html").exists()
