"""What is computed before somebody asks for it, and masks of a run in training while another one is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask import Segmenter
from tag2mask.masks import write_mask
from tag2mask.studio.layers import OURS
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tag2mask.studio.training_status import status_of
from tag2mask.training.process import RunProcess
from tests.helpers import TinyDataset
from tests.studio.runs import add_run, copy_images, mask_of

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.shared import preparing_of
from tag2mask.studio.api.state import Studio

NAME = "shape_002.png"  # a disc and a square


@pytest.fixture
def project(shapes: TinyDataset, tmp_path: Path) -> Iterator[Project]:
    with open_project(copy_images(shapes, tmp_path / "images"), tags=shapes.tags) as found:
        yield found


@pytest.fixture
def studio(project: Project) -> Studio:
    return Studio(project, device="cpu")


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_app(studio, hosts=frozenset()), base_url="http://localhost") as found:
        yield found


def test_a_changed_setting_of_an_open_image_needs_the_network_no_more(
    client: TestClient, studio: Studio, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it keeps to the tags of the image, as the mask that is shown does."""
    preparing = preparing_of(studio)
    preparing.network()  # there is none yet
    assert preparing.wait(60)
    add_run(studio.project.home, trained)
    assert client.get("/api/settings", params={"name": NAME}).status_code == 200
    assert preparing.wait(120)
    asked: list[object] = []
    evidence = Segmenter.evidence

    def counted(*args: Any, **more: Any) -> Any:
        asked.append(args)
        return evidence(*args, **more)

    monkeypatch.setattr(Segmenter, "evidence", counted)
    body = {"name": NAME, "crf": {"iterations": 2}}
    answer = client.post("/api/predict", json=body)
    assert (answer.status_code, asked) == (200, [])
    segmenter = Segmenter.from_pretrained(trained, device="cpu")
    usual = segmenter.config.prediction
    changed = usual.model_copy(update={"crf": usual.crf.model_copy(update={"iterations": 2})})
    path = studio.project.path(NAME)
    expected = segmenter.predict(path, ("disc", "square"), settings=changed).mask
    np.testing.assert_array_equal(mask_of(answer.content), expected)
    expected = segmenter.predict(path, settings=changed).mask
    free = client.post("/api/predict", json={**body, "tags": None})
    np.testing.assert_array_equal(mask_of(free.content), expected)
    assert client.get("/api/settings", params={"name": "none.png"}).status_code == 404


def test_masks_so_far_are_of_the_run_in_training(client: TestClient, project: Project, trained: Path) -> None:
    add_run(project.home, trained)
    project.choose_run("run-1")  # whose masks are shown until the next has ended
    run = project.runs_folder / "run-2"
    (run / OURS).mkdir(parents=True)
    (run / OURS / "classes.txt").write_text("disc\nsquare\n")
    asked = {"name": NAME, "source": "first"}
    assert client.get("/api/mask", params=asked).status_code == 404
    write_mask(run / "training-masks" / NAME, np.full((24, 32), 2, np.uint8))
    assert (mask_of(client.get("/api/mask", params=asked).content) == 2).all()
    assert client.get("/api/mask", params={"name": NAME}).headers["X-Source"] == "predicted"
    shutil.rmtree(run / "training-masks")
    write_mask(run / "masks" / NAME, np.full((48, 64), 1, np.uint8))
    assert (mask_of(client.get("/api/mask", params=asked).content) == 1).all()


def test_why_a_training_failed_is_said_without_what_it_said_before(tmp_path: Path) -> None:
    process = RunProcess(tmp_path, tmp_path / OURS)
    process.home.mkdir()
    process.log.write_text("warning: few images\nerror: data.image_size: large\nsay a number\n")
    assert status_of("run-1", process).error == "data.image_size: large\nsay a number"
    process.log.write_text("one\ntwo\n")
    assert status_of("run-1", process).error == "one\ntwo"
