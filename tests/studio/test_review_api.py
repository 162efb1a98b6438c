"""Routes of review: masks, drafts and kept masks on disk, predictions with other settings, what helps to paint."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask import Dataset, Segmenter
from tag2mask.core.constants import Tag
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project, TagChange
from tests.helpers import TinyDataset, write_image
from tests.studio.runs import add_run, copy_images, mask_of, png_of, start_server

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio

HOME = "http://localhost"
NAME = "shape_002.png"  # a disc and a square


@pytest.fixture
def project(shapes: TinyDataset, tmp_path: Path) -> Iterator[Project]:
    with open_project(copy_images(shapes, tmp_path / "images"), tags=shapes.tags) as found:
        yield found


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    with TestClient(create_app(Studio(project, device="cpu"), hosts=frozenset()), base_url=HOME) as found:
        yield found


@pytest.fixture
def with_run(project: Project, trained: Path) -> Path:
    return add_run(project.home, trained)


def test_before_any_training(client: TestClient) -> None:
    assert client.get("/api/mask", params={"name": NAME}).status_code == 404
    for path in ("steps", "settings"):
        answer = client.get(f"/api/{path}", params={"name": NAME})
        assert (answer.status_code, "train first" in answer.json()["error"]) == (409, True)
    assert client.post("/api/predict", json={"name": NAME}).status_code == 409
    assert client.get("/api/draft", params={"name": NAME}).status_code == 204
    queue = client.get("/api/queue").json()
    assert (len(queue["order"]), queue["kept"]) == (12, [])
    for method, path in (("GET", "mask"), ("GET", "draft"), ("PUT", "draft"), ("POST", "keep"), ("GET", "superpixels")):
        assert client.request(method, f"/api/{path}", params={"name": "../a.png"}).status_code == 404


def test_masks_of_the_run_and_of_what_it_has_not_seen(
    client: TestClient, project: Project, with_run: Path, trained: Path
) -> None:
    written = read_mask(with_run / "masks" / NAME)
    answer = client.get("/api/mask", params={"name": NAME})
    assert answer.headers["X-Source"] == "predicted"
    np.testing.assert_array_equal(mask_of(answer.content), written)
    (with_run / "masks" / NAME).unlink()  # as of an image that was tagged later
    again = mask_of(client.get("/api/mask", params={"name": NAME}).content)
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    np.testing.assert_array_equal(again, segmenter.predict(project.path(NAME), ("disc", "square")).mask)
    write_mask(with_run / "training-masks" / NAME, np.full((24, 32), 2, np.uint8))
    first = client.get("/api/mask", params={"name": NAME, "source": "first"})
    assert (first.headers["X-Source"], mask_of(first.content).shape) == ("first", (48, 64))
    assert (mask_of(first.content) == 2).all()


def test_first_masks_are_shown_while_there_is_no_network(client: TestClient, project: Project) -> None:
    run = project.runs_folder / "run-1"
    (run / "studio").mkdir(parents=True)
    (run / "studio" / "classes.txt").write_text("disc\nsquare\n")
    write_mask(run / "training-masks" / NAME, np.full((24, 32), 1, np.uint8))
    answer = client.get("/api/mask", params={"name": NAME})
    assert (answer.headers["X-Source"], mask_of(answer.content).max()) == ("first", 1)
    assert client.get("/api/mask", params={"name": "shape_003.png"}).status_code == 404


def test_the_queue_is_by_uncertainty(client: TestClient, project: Project, with_run: Path) -> None:
    order = client.get("/api/queue").json()["order"]
    known = project.uncertainties()
    assert [known[name] for name in order] == sorted((known[name] for name in project.names), reverse=True)


def test_a_draft_is_kept_and_taken_back(client: TestClient, project: Project, shapes: TinyDataset) -> None:
    draft = np.full((48, 64), 255, np.uint8)
    draft[4:9, 5:11] = 1
    assert client.put("/api/draft", params={"name": NAME}, content=png_of(draft)).status_code == 204
    np.testing.assert_array_equal(mask_of(client.get("/api/draft", params={"name": NAME}).content), draft)
    mask = read_mask(shapes.masks / NAME)
    assert client.post("/api/keep", params={"name": NAME}, content=png_of(mask)).json() == {"kept": 1, "tags": 0}
    np.testing.assert_array_equal(read_mask(project.corrected / NAME), mask)
    assert client.get("/api/draft", params={"name": NAME}).status_code == 204
    answer = client.get("/api/mask", params={"name": NAME})
    assert answer.headers["X-Source"] == "kept"
    np.testing.assert_array_equal(mask_of(answer.content), mask)
    assert client.get("/api/queue").json()["kept"] == [NAME]
    assert client.delete("/api/keep", params={"name": NAME}).json() == {"kept": 0}
    np.testing.assert_array_equal(mask_of(client.get("/api/draft", params={"name": NAME}).content), mask)
    assert client.delete("/api/keep", params={"name": NAME}).status_code == 404
    assert client.delete("/api/draft", params={"name": NAME}).status_code == 204
    assert not (project.drafts / NAME).exists()


def test_a_kept_mask_tags_what_was_unknown(client: TestClient, project: Project) -> None:
    """So that an image that was painted without tags is trained on."""
    project.set_tags([TagChange(NAME, position, Tag.UNKNOWN) for position in (0, 1)])
    mask = np.zeros((48, 64), np.uint8)
    mask[:9] = 2
    assert client.post("/api/keep", params={"name": NAME}, content=png_of(mask)).json() == {"kept": 1, "tags": 2}
    loaded = Dataset.load(
        project.root, project.tags_file, classes=project.classes_file, corrected=project.corrected, strict=True
    )
    record = next(one for one in loaded.records if one.name == NAME)
    assert (record.tags, record.unknown, record.corrected) == (
        frozenset({"square"}),
        frozenset(),
        project.corrected / NAME,
    )


def test_large_images_are_painted_small_and_kept_at_their_size(
    client: TestClient, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pixels", "masks_of"):
        monkeypatch.setattr(f"tag2mask.studio.{module}.WORK_SIDE", 32)
    mask = np.zeros((24, 32), np.uint8)
    mask[:12] = 2
    assert client.post("/api/keep", params={"name": NAME}, content=png_of(mask)).status_code == 200
    kept = read_mask(project.corrected / NAME)
    assert (kept.shape, int((kept == 2).sum())) == ((48, 64), 24 * 64)
    np.testing.assert_array_equal(mask_of(client.get("/api/mask", params={"name": NAME}).content), mask)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_masks_as_a_canvas_gives_them(client: TestClient, project: Project, mode: str) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (48, 64))
    assert client.put("/api/draft", params={"name": NAME}, content=png_of(mask, mode)).status_code == 204
    np.testing.assert_array_equal(read_mask(project.drafts / NAME), mask)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no PNG"),
        (b"\x89PNG\r\n\x1a\n", "no PNG"),
        (png_of(np.zeros((48, 63))), "63 x 48"),
        (png_of(np.full((48, 64), 3)), "class index 3"),
        (png_of(np.zeros((48, 64)))[:60], "no PNG"),
        (png_of(np.zeros((48, 64)), "LA"), "not of class indices"),
    ],
)
def test_what_is_no_mask_is_refused_and_replaces_nothing(
    client: TestClient, project: Project, content: bytes, says: str
) -> None:
    good = np.ones((48, 64), np.uint8)
    client.put("/api/draft", params={"name": NAME}, content=png_of(good))
    for method, path in (("PUT", "draft"), ("POST", "keep")):
        answer = client.request(method, f"/api/{path}", params={"name": NAME}, content=content)
        assert (answer.status_code, says in answer.json()["error"]) == (422, True), answer.text
    np.testing.assert_array_equal(read_mask(project.drafts / NAME), good)
    assert not (project.corrected / NAME).exists()


def test_other_settings_change_the_mask_and_nothing_on_disk(
    client: TestClient, project: Project, with_run: Path, trained: Path
) -> None:
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    usual = client.get("/api/settings").json()
    assert usual["crf"]["bilateral_xy"] == segmenter.config.prediction.crf.bilateral_xy
    before = sorted(path for path in project.home.rglob("*") if path.is_file())
    body = {"name": NAME, "tags": ["disc"], "gate": 0.0, "crf": {"enabled": False}}
    settings = segmenter.config.prediction
    off = settings.model_copy(update={"gate": 0.0, "crf": settings.crf.model_copy(update={"enabled": False})})
    expected = segmenter.predict(project.path(NAME), "disc", settings=off).mask
    np.testing.assert_array_equal(mask_of(client.post("/api/predict", json=body).content), expected)
    assert sorted(path for path in project.home.rglob("*") if path.is_file()) == before
    wrong: list[dict[str, Any]] = [{"crf": {"iterations": 0}}, {"crf": {"wide": 3}}, {"gate": 2}, {"colour": 1}]
    for part in wrong:
        assert client.post("/api/predict", json={"name": NAME, **part}).status_code == 422
    assert "no class" in client.post("/api/predict", json={"name": NAME, "tags": ["cow"]}).json()["error"]


def test_steps_class_maps_and_superpixels(client: TestClient, with_run: Path) -> None:
    steps = client.get("/api/steps", params={"name": NAME}).json()["steps"]
    captions = [one["caption"] for one in steps]
    for caption, name in zip(captions, ("disc", "square"), strict=False):
        assert re.fullmatch(rf"class map: {name} \(tag probability \d+%\)", caption)
    assert captions[2:] == ["foreground prior", "background", "before the CRF", "after the CRF"]
    for one in steps:
        answer = client.get(one["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert client.get("/api/step", params={"name": NAME, "k": 6}).status_code == 404
    drawn = client.get(steps[-1]["url"]).content
    if mask_of(client.get("/api/mask", params={"name": NAME, "source": "predicted"}).content).any():
        for index in (0, 1):
            client.patch(f"/api/classes/{index}", json={"colour": "#ff00ff"})
        assert client.get(steps[-1]["url"]).content != drawn, "masks are drawn in the colours of the project"
    values = mask_of(client.get("/api/class-map", params={"name": NAME, "class": 1}).content)
    assert (values.shape, str(values.dtype)) == ((48, 64), "uint8")
    assert values.max() > 100
    assert client.get("/api/class-map", params={"name": NAME, "class": 2}).status_code == 404
    segments = mask_of(client.get("/api/superpixels", params={"name": NAME, "count": 40}).content)
    assert segments.shape == (48, 64)
    assert 20 <= segments.max() <= 80


def test_masks_that_are_missing_are_predicted_on_request(
    client: TestClient, project: Project, with_run: Path, trained: Path
) -> None:
    assert client.get("/api/predictions").json()["missing"] == 0
    assert client.post("/api/predictions").status_code == 409
    for name in (NAME, "shape_005.png"):
        (with_run / "masks" / name).unlink()
    project.set_tags([TagChange(NAME, position, Tag.UNKNOWN) for position in (0, 1)])
    assert client.post("/api/predictions").json()["state"] == "running"
    for _ in range(600):
        status = client.get("/api/predictions").json()
        if status["state"] != "running":
            break
        time.sleep(0.1)
    assert status == {"state": "done", "missing": 0, "done": 2, "total": 2, "error": None}
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    for name, tags in ((NAME, None), ("shape_005.png", ("square",))):
        expected = segmenter.predict(project.path(name), tags).mask
        np.testing.assert_array_equal(read_mask(with_run / "predictions" / name), expected)
    assert len(project.uncertainties()) == 48
    answer = client.post("/api/export", json={"to": "coco"})
    assert answer.headers["X-Left-Out"] == "0"


def test_a_run_before_classes_changed(client: TestClient, project: Project, with_run: Path) -> None:
    """Names, old and new ones, say which class of the run is which of the project; their order may change."""
    before = read_mask(with_run / "masks" / NAME)
    assert set(np.unique(before)) == {0, 1, 2}
    client.post("/api/classes", json={"name": "star"})
    client.patch("/api/classes/1", json={"name": "box"})
    client.delete("/api/classes/0", params={"force": True})
    assert project.class_names == ("box", "star")
    found = mask_of(client.get("/api/mask", params={"name": NAME}).content)
    np.testing.assert_array_equal(found, np.array([0, 255, 1])[before])
    assert client.post("/api/predict", json={"name": NAME, "tags": ["box"]}).status_code == 200
    answer = client.post("/api/predict", json={"name": NAME, "tags": ["star"]})
    assert (answer.status_code, "train again" in answer.json()["error"]) == (400, True)


def test_an_image_that_cannot_be_read(client: TestClient, project: Project, with_run: Path) -> None:
    project.path(NAME).write_bytes(b"not an image")
    for path in ("mask", "superpixels", "steps"):
        assert client.get(f"/api/{path}", params={"name": NAME}).status_code in (400, 422)


def put(address: str, name: str, content: bytes) -> None:
    request = urllib.request.Request(f"{address}/api/draft?name={name}", content, method="PUT")
    assert urllib.request.urlopen(request, timeout=60).status == 204


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
def test_drafts_survive_a_kill(shapes: TinyDataset, tmp_path: Path) -> None:
    """Every draft that was answered is there again, whole."""
    folder = copy_images(shapes, tmp_path / "images", 4)
    with open_project(folder, tags=shapes.tags):
        pass
    drafts = {f"shape_{k:03d}.png": np.full((48, 64), k % 3, np.uint8) for k in range(4)}
    process, address = start_server(folder, tmp_path / "log")
    try:
        for name, draft in drafts.items():
            put(address, name, png_of(draft))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process, address = start_server(folder, tmp_path / "log-2")
        for name, draft in drafts.items():
            with urllib.request.urlopen(f"{address}/api/draft?name={name}", timeout=60) as answer:
                np.testing.assert_array_equal(mask_of(answer.read()), draft)
        with urllib.request.urlopen(f"{address}/api/images", timeout=60) as answer:
            assert json.load(answer)["mask"] == [2, 2, 2, 2]
    finally:
        process.kill()
        process.wait(30)
    assert not list((folder / "tag2mask").rglob("*.tmp*"))


def test_subfolders_and_suffixes(client: TestClient, project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    write_image(folder / "a b" / "é.jpg", np.zeros((20, 30, 3), np.uint8))
    with open_project(folder) as other, TestClient(create_app(Studio(other)), base_url=HOME) as page:
        name = other.names[0]
        page.post("/api/classes", json={"name": "disc"})
        mask = np.ones((20, 30), np.uint8)
        assert page.post("/api/keep", params={"name": name}, content=png_of(mask)).status_code == 200
        assert mask_path(other.corrected, name).is_file()
        assert page.get("/api/queue").json()["kept"] == [name]
