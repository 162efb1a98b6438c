from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tag2mask.ablation import load_ablation, run_ablation
from tag2mask.ablation.table import summarise, unchanged_parts
from tag2mask.cli import app
from tag2mask.cli.common import SKIPPED
from tag2mask.core.errors import ConfigError
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset, write_shapes


@pytest.fixture
def file(shapes: TinyDataset, tmp_path: Path) -> Path:
    val = write_shapes(tmp_path / "val", 8, seed=500)
    tree = {
        "train": {"images": "${ROOT}/images", "tags": "${ROOT}/tags.csv", "masks": "${ROOT}/masks"},
        "val": {"images": "val/images", "tags": str(val.tags), "masks": "val/masks"},
        "classes": str(shapes.class_file),
        "limit": 24,
        "settings": {**TINY_OPTIONS, "training.epochs": 2},
        "parts": {
            "no hide-and-seek": {"paper.hide_image_probability": 0.0},
            "paper's background": {
                "paper.background": "prior",
                "masks.soft_prior": 0.6,
                "masks.soft_threshold": "auto",
            },
            "no CRF on predictions": {"prediction.crf.enabled": False},
        },
        "seeds": [0, 1],
    }
    path = tmp_path / "ablation.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def test_ablation_writes_tables_and_is_continued(
    file: Path, shapes: TinyDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    ablation = load_ablation(file, {"ROOT": str(shapes.root)})
    out = tmp_path / "out"
    parts = ["full", "no hide-and-seek", "paper's background", "no CRF on predictions", "ceiling"]
    records = run_ablation(ablation, out, device="cpu", progress=False)
    assert len(records) == 10
    assert {record["part"] for record in records} == set(parts)
    with (out / "table.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert [row["part"] for row in rows] == parts
    full = [record["miou"] for record in records if record["part"] == "full"]
    assert float(rows[0]["miou"]) == pytest.approx(100 * np.mean(full), abs=0.01)
    assert float(rows[0]["spread"]) == pytest.approx(100 * np.std(full, ddof=1), abs=0.01)
    assert "| full | " in (out / "table.md").read_text()
    assert "Rank correlation" in (out / "table.md").read_text()
    # The tiny settings hide nothing: a part that removes hiding has no effect, and does not vote twice.
    assert "without effect: no hide-and-seek. " in (out / "table.md").read_text()
    voting = {"full", "paper's background", "no CRF on predictions"}
    assert {record["part"] for record in records if 0 < record.get("consensus", 0) <= 1} == voting
    with Image.open(out / "sheet.png") as drawing:
        assert drawing.width > 600
    # What differs in prediction alone is scored on the full method's network.
    assert not (out / "no-crf-on-predictions" / "seed0" / "run").exists()
    (unrefined,) = (r for r in records if r["part"] == "no CRF on predictions" and r["seed"] == 0)
    assert not unrefined["config"]["prediction"]["crf"]["enabled"]
    # One run is lost: only that one is done again, with the same result.
    lost = out / "no-hide-and-seek" / "seed1"
    shutil.rmtree(lost)
    caplog.clear()
    again = run_ablation(ablation, out, device="cpu", progress=False)
    assert [line for line in caplog.messages if line.startswith("run ")] == ["run 7 of 10: no hide-and-seek, seed 1"]
    assert [record["miou"] for record in again] == pytest.approx([record["miou"] for record in records])
    stored = out / "full" / "seed0" / "result.json"
    stored.write_text(stored.read_text().replace('"stride": 2', '"stride": 8'))
    with pytest.raises(ConfigError, match="made with other settings; remove this folder"):
        run_ablation(ablation, out, device="cpu", progress=False)


def test_without_ground_truth_the_vote_ranks_and_a_damaged_image_is_skipped(
    file: Path, shapes: TinyDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = yaml.safe_load(file.read_text())
    del tree["train"]["masks"], tree["val"]["masks"]
    parts = {"no prior": {"prediction.prior_weight": 0.0}, "prior alone": {"prediction.prior_weight": 1.0}}
    settings = {**tree["settings"], "prediction.gate": 0.0, "prediction.crf.enabled": False}
    damaged = sorted((tmp_path / "val" / "images").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    file.write_text(yaml.safe_dump({**tree, "parts": parts, "seeds": [0], "settings": settings}))
    out = tmp_path / "out"
    records = run_ablation(load_ablation(file, {"ROOT": str(shapes.root)}), out, device="cpu", progress=False)
    assert any(damaged.name in line for line in caplog.messages)
    assert [record["part"] for record in records] == ["full", "no prior", "prior alone"]
    assert all(record["miou"] is None and 0 < record["consensus"] <= 1 for record in records)
    assert [record["skipped"] for record in records] == [1, 1, 1]
    assert "Rank correlation" not in (out / "table.md").read_text()
    assert (out / "sheet.png").is_file()
    command = ["ablate", str(file), "--out", str(out), "--define", f"ROOT={shapes.root}"]
    assert CliRunner().invoke(app, command).exit_code == SKIPPED


def test_mistakes_in_the_file(file: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the variable ROOT has no value; add `define=ROOT=VALUE`"):
        load_ablation(file)
    tree = yaml.safe_load(file.read_text())
    for change, message in (
        ({"part": {}}, "part: Extra inputs are not permitted"),
        ({"parts": {"full": {}}}, "a part cannot be called 'full'"),
        ({"seeds": []}, "seeds: Tuple should have at least 1 item"),
    ):
        file.write_text(yaml.safe_dump({**tree, **change}))
        with pytest.raises(ConfigError, match=message):
            load_ablation(file, {"ROOT": str(shapes.root)})
    file.write_text(yaml.safe_dump({**tree, "parts": {"x": {"masks.crff.enabled": False}}}))
    result = CliRunner().invoke(
        app, ["ablate", str(file), "--out", str(tmp_path / "o"), "--define", f"ROOT={shapes.root}"]
    )
    assert result.exit_code == 1
    assert "unknown option 'masks.crff.enabled'" in result.stderr
    assert not (tmp_path / "o").exists()


def test_differences_are_taken_seed_by_seed() -> None:
    records = [
        {"part": part, "seed": seed, "miou": miou, "pseudo_miou": None, "label_free": None, "minutes": 1.0}
        for part, seed, miou in (("full", 0, 0.5), ("full", 1, 0.7), ("less", 0, 0.4), ("less", 1, 0.58))
    ]
    full, less = summarise(json.loads(json.dumps(records)), ["full", "less"])
    assert full["difference"] is None
    assert full["miou"] == pytest.approx(60)
    assert less["difference"] == pytest.approx(-11)
    assert less["difference_spread"] == pytest.approx(np.std([10, 12], ddof=1))


def test_a_part_with_an_effect_for_one_seed_is_not_unchanged() -> None:
    masks = {"full": "ab", "without effect": "ab", "effect once": "ac", "ceiling": "ab"}
    records = [
        {"part": part, "seed": seed, "masks": digests[seed]} for seed in (0, 1) for part, digests in masks.items()
    ]
    assert unchanged_parts(records) == ["without effect"]
