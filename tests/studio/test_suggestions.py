"""Suggested tags: the probe, the order of images, features in a process of their own, and their routes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.core.constants import Tag
from tag2mask.core.errors import WeightsError
from tag2mask.demo.weights import demo_weights
from tag2mask.studio.backbones import choose_backbone
from tag2mask.studio.features import FeatureCache
from tag2mask.studio.opening import open_project
from tag2mask.studio.probe import probe
from tag2mask.studio.project import Project, TagChange
from tag2mask.studio.suggestions import Fitted, Suggestions, suggested
from tests.helpers import SHAPES, draw_shapes, write_image

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio

COUNT = 40
PATIENCE = 120.0


def tags_of(number: int) -> tuple[str, ...]:
    return [("disc",), ("square",), SHAPES, ()][number % 4]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "weights" / "test_resnet.safetensors"
    path.parent.mkdir()
    shutil.copy(demo_weights(), path)
    return str(path)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for number in range(COUNT):
        write_image(tmp_path / "images" / f"{number:02d}.png", draw_shapes(tags_of(number), seed=number)[0])
    with open_project(tmp_path / "images") as found:
        for name in SHAPES:
            found.add_class(name)
        yield found


def tag(project: Project, numbers: range) -> None:
    project.set_tags(
        TagChange(f"{number:02d}.png", k, Tag.PRESENT if name in tags_of(number) else Tag.ABSENT)
        for number in numbers
        for k, name in enumerate(SHAPES)
    )


def test_the_probe_finds_what_the_tags_say_and_nothing_of_what_they_do_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (200, 4)).astype(np.int8)
    features = (truth @ rng.normal(size=(4, 30)) + rng.normal(scale=0.2, size=(200, 30))).astype(np.float32)
    states = np.full_like(truth, Tag.UNKNOWN)
    states[:60, :2] = truth[:60, :2]
    states[:60, 2] = np.where(truth[:60, 2] == 1, Tag.PRESENT, Tag.UNKNOWN)  # nowhere said to be absent
    states[:60, 3] = Tag.ABSENT  # nowhere present
    found = probe(features, states)
    assert ((found[60:, :3] >= 0.5) == (truth[60:, :3] == 1)).mean() > 0.95
    assert np.isnan(found[:, 3]).all()
    assert np.isnan(probe(features, np.full_like(truth, Tag.UNKNOWN))).all()


def test_images_in_which_classes_are_named_say_what_is_not_there() -> None:
    """As most people tag; also where other images, confirmed ones, are marked in full."""
    truth = np.repeat(np.array([[1, 0], [0, 1]], np.int8), 20, axis=0)
    features = (truth * 2 - 1).astype(np.float32) + np.random.default_rng(0).normal(0, 0.1, (40, 2)).astype(np.float32)
    states = np.where(truth == 1, Tag.PRESENT, Tag.UNKNOWN).astype(np.int8)
    states[0] = truth[0]
    found = probe(features, states)
    assert ((found >= 0.5) == (truth == 1)).all()
    assert found[truth == 0].max() < 0.2


def test_the_least_certain_image_comes_first() -> None:
    classes = ("cat", "dog")
    probabilities = np.array([[0.9, 0.02], [0.55, 0.01], [0.99, 0.45], [0.5, 0.5], [np.nan, np.nan]], np.float32)
    states = np.full((5, 2), Tag.UNKNOWN, np.int8)
    states[3] = Tag.ABSENT
    states[2, 1] = Tag.PRESENT  # its undecided class is tagged
    names = ("a", "b", "c", "d", "e")
    order, probs = suggested(names, classes, states, Fitted(classes, states, probabilities))
    assert order == ["b", "a", "c"]
    assert probs["a"] == [0.9, 0.02]
    # Classes that have come, gone or moved since.
    later = np.full((5, 3), Tag.UNKNOWN, np.int8)
    order, probs = suggested(names, ("bird", "dog", "cat"), later, Fitted(classes, states, probabilities))
    assert probs["b"] == [None, 0.01, 0.55]
    assert "e" not in probs


def wait(suggestions: Suggestions | TestClient) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        facts: dict[str, Any] = (
            suggestions.facts() if isinstance(suggestions, Suggestions) else suggestions.get("/api/suggestions").json()
        )
        if facts["state"] != "features":
            return facts
        time.sleep(0.1)
    raise AssertionError("suggestions took too long")


@pytest.mark.slow
def test_from_tags_to_suggestions_over_http(project: Project, weights: str) -> None:
    (project.root / "07.png").write_bytes(b"damaged")
    with TestClient(create_app(Studio(project, weights=weights)), base_url="http://localhost") as client:
        assert client.get("/api/suggestions").json()["state"] == "none"
        tag(project, range(19))
        refused = client.post("/api/suggestions")
        assert refused.status_code == 409
        assert "19 tagged images: suggestions need 20; tag 1 image more" in refused.json()["error"]
        tag(project, range(20))
        assert client.post("/api/suggestions").status_code == 202
        facts = wait(client)
        assert (facts["state"], facts.get("error")) == ("ready", None)
        assert sorted(facts["order"]) == [f"{number:02d}.png" for number in range(20, COUNT)]
        assert list(facts["probs"]) == facts["order"]
        right = [
            (facts["probs"][f"{number:02d}.png"][k] >= 0.5) == (name in tags_of(number))
            for number in range(20, COUNT)
            for k, name in enumerate(SHAPES)
        ]
        assert np.mean(right) > 0.8
        tag(project, range(30))
        facts = wait(client)
        assert (facts["state"], len(facts["order"])) == ("stale", 10)


@pytest.mark.slow
@pytest.mark.thorough
def test_features_are_computed_once(project: Project, weights: str) -> None:
    tag(project, range(20))
    news: list[None] = []
    suggestions = Suggestions(project, lambda: news.append(None), weights=weights)
    suggestions.start()
    assert wait(suggestions)["state"] == "ready"
    assert news
    name, source = choose_backbone(weights)
    cache = FeatureCache(project.cache / "features", name, source)
    files = {path: path.stat().st_mtime_ns for path in cache.folder.glob("*.npz")}
    assert len(cache.read()) == COUNT
    next(iter(files)).with_name("broken.npz").write_bytes(b"killed")
    process = suggestions._process._process
    assert process is not None
    process.kill()  # as when memory runs out: the next wish starts another
    process.wait()
    tag(project, range(30))
    suggestions.start()
    facts = wait(suggestions)
    assert (facts["state"], len(facts["order"]), facts["done"]) == ("ready", 10, COUNT)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    suggestions.close()
    suggestions.start()  # after the end: nothing happens
    assert suggestions.facts()["state"] == "ready"


@pytest.mark.slow
def test_what_is_wrong_with_the_weights_is_said(project: Project, tmp_path: Path) -> None:
    tag(project, range(20))
    path = tmp_path / "resnet18.safetensors"
    path.write_bytes(b"damaged")
    suggestions = Suggestions(project, lambda: None, weights=str(path))
    suggestions.start()
    facts = wait(suggestions)
    assert facts["state"] == "failed"
    assert "resnet18.safetensors: cannot read this as safetensors" in facts["error"]
    suggestions.close()


def test_the_backbone_is_chosen_by_what_is_there(tmp_path: Path) -> None:
    assert choose_backbone("hub")[0] == "resnet18"
    assert choose_backbone("package") == ("tf_efficientnet_lite2", "package")
    with pytest.raises(WeightsError, match="no safetensors file in this folder"):
        choose_backbone(str(tmp_path))
    for name in ("zz", "resnet18", "mobilenetv2_100.tf_same"):
        (tmp_path / f"{name}.safetensors").touch()
    assert choose_backbone(str(tmp_path)) == ("mobilenetv2_100.tf_same", str(tmp_path))
    file = str(tmp_path / "resnet18.safetensors")
    assert choose_backbone(file) == ("resnet18", file)
