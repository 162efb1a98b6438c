"""Export of a project: every format, of all images, those kept, or a selection."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask import Dataset
from tag2mask.masks import read_mask, write_mask
from tag2mask.studio.exporting import FORMATS
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tests.helpers import TinyDataset
from tests.studio.runs import copy_images, mask_of

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio

HOME = "http://localhost"
KEPT = ("shape_001.png", "shape_002.png")
PREDICTED = ("shape_004.png", "shape_005.png", "shape_006.png")


@pytest.fixture
def project(shapes: TinyDataset, tmp_path: Path) -> Iterator[Project]:
    """Of 12 images 2 have a kept mask and 3 others a predicted one, whose classes are in another order."""
    with open_project(copy_images(shapes, tmp_path / "images"), tags=shapes.tags) as found:
        for name in KEPT:
            write_mask(found.corrected / name, read_mask(shapes.masks / name), classes=2)
        run = found.runs_folder / "run-1"
        (run / "studio").mkdir(parents=True)
        (run / "studio" / "classes.txt").write_text("square\ndisc\n")
        for name in (*PREDICTED, KEPT[0]):
            mask = np.array([0, 2, 1], np.uint8)[read_mask(shapes.masks / name)]
            write_mask(run / "masks" / name, mask)
        write_mask(found.drafts / "shape_008.png", np.ones((48, 64), np.uint8))
        yield found


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    with TestClient(create_app(Studio(project, device="cpu"), hosts=frozenset()), base_url=HOME) as found:
        yield found


def export(client: TestClient, to: str, **body: Any) -> Any:
    return client.post("/api/export", json={"to": to, **body})


@pytest.mark.parametrize("to", FORMATS.values())
def test_every_format(client: TestClient, project: Project, to: str) -> None:
    answer = export(client, to)
    assert answer.status_code == 200
    assert (answer.headers["X-Images"], answer.headers["X-Left-Out"]) == ("5", "7")
    suffix = "json" if to == "coco" else "zip"
    assert f'filename="images-{to}.{suffix}"' in answer.headers["content-disposition"]
    if suffix == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            text = "".join(archive.namelist()) + "".join(
                archive.read(name).decode() for name in archive.namelist() if not name.endswith(".png")
            )
    else:
        text = answer.text
    assert all(name[:-4] in text for name in (*KEPT, *PREDICTED))
    assert "square" in text
    assert "shape_008" not in text  # a draft is no mask yet
    assert list((project.cache / "exports").iterdir()) == []


def test_pngs_are_in_the_classes_of_the_project(client: TestClient, shapes: TinyDataset) -> None:
    with zipfile.ZipFile(io.BytesIO(export(client, "png").content)) as archive:
        for name in (*KEPT, *PREDICTED):
            np.testing.assert_array_equal(mask_of(archive.read(name)), read_mask(shapes.masks / name))
        assert archive.read("classes.txt").decode().split() == ["disc", "square"]


def test_coco_is_read_back(client: TestClient, shapes: TinyDataset, tmp_path: Path, project: Project) -> None:
    (tmp_path / "out.json").write_bytes(export(client, "coco", which="kept").content)
    dataset = Dataset.load(project.root, tmp_path / "out.json")
    tags = {record.name: sorted(record.present) for record in dataset.records}
    assert tags == {"shape_001.png": ["square"], "shape_002.png": ["disc", "square"]}
    polygons = json.loads(export(client, "coco", which="kept", polygons=True).content)
    assert isinstance(polygons["annotations"][0]["segmentation"], list)


def test_a_selection_in_the_order_of_the_project(client: TestClient) -> None:
    answer = export(client, "coco", which="selection", names=[PREDICTED[1], KEPT[0], "shape_000.png"])
    assert [one["file_name"] for one in answer.json()["images"]] == [KEPT[0], PREDICTED[1]]
    assert (answer.headers["X-Images"], answer.headers["X-Left-Out"]) == ("2", "1")


def test_a_damaged_mask_is_left_out_and_counted(client: TestClient, project: Project) -> None:
    for path in (project.corrected / KEPT[0], project.runs_folder / "run-1" / "masks" / PREDICTED[0]):
        path.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    for to in ("png", "coco", "voc"):
        answer = export(client, to)
        assert (answer.headers["X-Images"], answer.headers["X-Left-Out"]) == ("3", "9")


def test_what_cannot_be_exported_is_refused(client: TestClient, project: Project) -> None:
    for body, status in (
        ({"to": "bmp"}, 400),
        ({"to": "voc", "polygons": True}, 400),
        ({"to": "coco", "which": "selection"}, 422),
        ({"to": "coco", "which": "some"}, 422),
        ({"to": "coco", "which": "selection", "names": ["../a.png"]}, 404),
        ({"to": "coco", "which": "selection", "names": ["shape_000.png"]}, 409),
    ):
        answer = client.post("/api/export", json=body)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True), body
    assert not list((project.cache / "exports").glob("*"))
