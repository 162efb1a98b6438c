from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tag2mask.cli import app
from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.evaluation.average_precision import evaluate_tags
from tag2mask.evaluation.label_free import label_free_score
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder, load_model, save_model
from tests.helpers import TinyDataset


def test_a_trained_network_scores_above_a_spoilt_one(shapes: TinyDataset, trained: Path) -> None:
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    good = label_free_score(segmenter, dataset, limit=24)
    assert good.images == 24
    for sign in (good.consistency, good.agreement, good.stability):
        assert 0 <= sign <= 1
    assert good.score == pytest.approx((good.consistency + good.agreement + good.stability) / 3)
    assert "label-free score" in good.summary()
    assert good.tags is not None
    assert good.tags.to_dict() == evaluate_tags(segmenter, dataset.spread(24)).to_dict()
    torch.manual_seed(0)
    assert isinstance(segmenter.backend, TorchBackend)
    for head in (segmenter.backend.network.segmentation, segmenter.backend.network.recognition):
        for parameter in head.parameters():
            parameter.data = torch.randn_like(parameter) * 0.1
    assert label_free_score(segmenter, dataset, limit=24).score < good.score - 0.1


def test_other_classes_are_refused(shapes: TinyDataset, trained: Path) -> None:
    other = Dataset.load(shapes.images, shapes.tags, classes=("square", "disc"))
    with pytest.raises(DataError, match="needs images with tags of the classes disc, square"):
        label_free_score(Segmenter.from_pretrained(trained, device="cpu"), other)


def test_the_command(shapes: TinyDataset, trained: Path) -> None:
    words = ["score", str(trained), str(shapes.images), "--tags", str(shapes.tags), "--limit", "8", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert {"consistency", "tags"} <= document.keys()
    assert document["tags"]["images"] == 8
    printed = CliRunner().invoke(app, words[:-1])
    assert "tags: mean AP " in printed.output


def test_a_damaged_image_is_skipped(shapes: TinyDataset, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes.images, tmp_path / "images")
    damaged = sorted((tmp_path / "images").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:200])
    words = ["score", str(trained), str(tmp_path / "images"), "--tags", str(shapes.tags), "--limit", "8", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3
    assert damaged.name in result.stderr
    assert json.loads(result.stdout)["images"] == 7


def test_runs_are_ranked_by_each_other_s_vote(shapes: TinyDataset, trained: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(trained, spoilt)
    network, classes, config = load_model(RunFolder(trained))
    torch.manual_seed(0)
    for parameter in network.segmentation.parameters():
        parameter.data = torch.randn_like(parameter)
    worse = config.override({"prediction.prior_weight": 0.0})
    save_model(RunFolder(spoilt), network, classes, worse)
    words = ["score", str(spoilt), str(shapes.images), "--tags", str(shapes.tags), "--limit", "8"]
    words += ["--against", str(trained)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "a vote needs at least three networks, got 2" in " ".join(result.output.split())
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    save_model(RunFolder(other), load_model(RunFolder(trained))[0], classes, config.override({"prediction.gate": 0.2}))
    result = CliRunner().invoke(app, [*words, "--against", str(other), "--json"])
    assert result.exit_code == 0, result.output
    near = {Path(one["run"]).name: one["consensus"] for one in json.loads(result.stdout)}
    assert near["spoilt"] < min(near[trained.name], near["other"]) - 0.1
    result = CliRunner().invoke(app, [*words, "--against", str(other)])
    lines = [line for line in result.stdout.splitlines() if "agreement with the other runs' vote" in line]
    assert len(lines) == 3
    assert str(spoilt) in lines[-1]
