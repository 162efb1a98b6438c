"""The HTTP interface, with the requests that Label Studio sends."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
from fastapi.testclient import TestClient  # noqa: E402

from tag2mask.core.errors import DataError  # noqa: E402
from tag2mask.core.hosts import known_hosts  # noqa: E402
from tag2mask.data import Dataset  # noqa: E402
from tag2mask.deploy.label_studio.addresses import AddressRules  # noqa: E402
from tag2mask.deploy.label_studio.annotations import painted, read_submitted  # noqa: E402
from tag2mask.deploy.label_studio.app import Services, create_app  # noqa: E402
from tag2mask.deploy.label_studio.backend import Collector, Model, PredictionOptions, Predictor  # noqa: E402
from tag2mask.deploy.label_studio.fetching import Fetcher  # noqa: E402
from tag2mask.deploy.label_studio.images import Folder, ImageSource  # noqa: E402
from tag2mask.deploy.label_studio.inbox import Inbox  # noqa: E402
from tag2mask.deploy.label_studio.interface import read_interface  # noqa: E402
from tag2mask.deploy.label_studio.project import AnnotationProject, opened  # noqa: E402
from tag2mask.deploy.label_studio.training import Trainer, TrainingPlan  # noqa: E402
from tag2mask.deploy.serving.pool import BoundedPool  # noqa: E402
from tag2mask.masks import read_mask  # noqa: E402
from tag2mask.masks.formats.label_studio import brush_result  # noqa: E402
from tests.deploy.label_studio.fake_label_studio import LEGACY, FakeLabelStudio, label_studio  # noqa: E402
from tests.deploy.label_studio.helpers import (  # noqa: E402
    BRUSH,
    CLASSES,
    POLYGON,
    ColourSegmenter,
    image_bytes,
    predict_body,
    sdk_says,
    setup_body,
    true_mask,
    webhook_body,
)

UPLOAD = "/data/upload/3/1a2b3c4d-a.png"
VERSION = "shapes-01234567"


class Backend:
    """An application with a project, and the parts of it."""

    def __init__(self, folder: Path, server: FakeLabelStudio, options: PredictionOptions | None = None, **app: Any):
        self._stack = ExitStack()
        folder.mkdir(exist_ok=True)
        rules = AddressRules(server.url)
        images = ImageSource(rules, Fetcher(rules, LEGACY, max_bytes=10**6), [Folder(folder)], scratch=None)
        self.project: AnnotationProject = self._stack.enter_context(opened(folder, CLASSES))
        self.trainer = Trainer(self.project, TrainingPlan(), lambda run: None)
        self.inbox = Inbox(self.project.home / "label-studio", Collector(self.project, images, lambda: None).handle)
        predictor = Predictor(Model("shapes", ColourSegmenter()), images, options or PredictionOptions())
        services = Services(predictor, self.inbox, self.trainer, BoundedPool(2, 4), max_bytes=10**6)
        self.client = TestClient(create_app(services, **app), base_url="http://localhost:9090")

    def __enter__(self) -> Backend:
        self._stack.enter_context(self.client)
        return self

    def __exit__(self, *args: object) -> None:
        self._stack.close()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def submit(self, body: dict[str, Any]) -> None:
        assert self.post("/webhook", body, 201)["result"] == "kept"
        assert self.inbox.wait(30)

    def rows(self) -> dict[str, list[str]]:
        with self.project.tags.open(encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        assert header == ["image", *self.project.classes]
        return {name: states for name, *states in rows}


@pytest.fixture
def server() -> Iterator[FakeLabelStudio]:
    with label_studio() as found:
        found.files[UPLOAD] = image_bytes()
        found.files["/data/upload/3/b.png"] = image_bytes(("disc",), seed=5)
        yield found


@pytest.fixture
def backend(server: FakeLabelStudio, tmp_path: Path) -> Iterator[Backend]:
    with Backend(tmp_path / "photos", server) as found:
        yield found


def strokes(tags: tuple[str, ...] = CLASSES, *, seed: int = 0) -> list[dict[str, Any]]:
    mask = true_mask(tags, seed=seed)
    found = [brush_result(mask == CLASSES.index(tag) + 1, tag, from_name="brush", to_name="img") for tag in tags]
    return [one | {"id": str(number), "origin": "manual"} for number, one in enumerate(found)]


def test_what_label_studio_asks_while_it_connects(backend: Backend) -> None:
    for path in ("/", "/health"):
        assert backend.client.get(path).json()["status"] == "UP"
    assert backend.post("/setup", setup_body()) == {"model_version": VERSION}
    assert backend.post("/setup", setup_body("")) == {"model_version": VERSION}
    assert backend.client.get("/versions").json() == {"versions": [VERSION]}
    assert backend.post("/versions", {"project": "3.1736068323"}) == {"versions": [VERSION]}
    assert backend.post("/validate", {"config": BRUSH})["model_version"] == VERSION
    assert "BrushLabels" in backend.post("/setup", setup_body(BRUSH.replace("Brush", "KeyPoint")), 422)["error"]


@pytest.mark.parametrize("config", [BRUSH, POLYGON], ids=["brush", "polygon"])
def test_predictions_are_the_mask_and_valid_for_the_sdk(backend: Backend, config: str) -> None:
    answer = backend.post("/predict", predict_body([UPLOAD, "/data/upload/3/b.png"], config))
    assert answer["model_version"] == VERSION
    interface = read_interface(config)
    for found, (tags, seed) in zip(answer["results"], [(CLASSES, 0), (("disc",), 5)], strict=True):
        mask = painted(read_submitted(found["result"], interface), (48, 64), lambda name: CLASSES.index(name) + 1)
        true = true_mask(tags, seed=seed)
        assert np.mean(mask != true) < (1e-9 if config is BRUSH else 0.01)
        assert found["model_version"] == VERSION and found["score"] == pytest.approx(0.9)
        assert len({one["id"] for one in found["result"]}) == len(found["result"])
        if config is BRUSH:
            [choice] = [one for one in found["result"] if one["type"] == "choices"]
            assert choice["value"] == {"choices": list(tags)}
    assert sdk_says(config=config, predictions=answer["results"])["errors"] == [[], []]


def test_brush_predictions_are_decoded_by_the_sdk(backend: Backend) -> None:
    [found] = backend.post("/predict", predict_body([UPLOAD]))["results"]
    brushes = [one for one in found["result"] if one["type"] == "brushlabels"]
    sizes = [{"rle": one["value"]["rle"], "size": [one["original_height"], one["original_width"]]} for one in brushes]
    for one, region in zip(brushes, sdk_says(strokes=sizes)["strokes"], strict=True):
        [name] = one["value"]["brushlabels"]
        assert np.array_equal(np.array(region, bool), true_mask() == CLASSES.index(name) + 1)


def test_a_choice_of_the_person_says_which_classes_are_present(backend: Backend) -> None:
    context = {"result": [{"type": "choices", "from_name": "what", "value": {"choices": ["square"]}}]}
    [found] = backend.post("/predict", predict_body([UPLOAD], context=context))["results"]
    assert [one["value"]["brushlabels"] for one in found["result"] if one["type"] == "brushlabels"] == [["square"]]


def test_tags_in_the_data_of_a_task(server: FakeLabelStudio, tmp_path: Path) -> None:
    with Backend(tmp_path, server, PredictionOptions(tags_field="tags")) as backend:
        for value, names in (("disc, other", ["disc"]), (["square"], ["square"]), (None, ["disc", "square"])):
            body = predict_body([UPLOAD], POLYGON)
            body["tasks"][0]["data"]["tags"] = value
            [found] = backend.post("/predict", body)["results"]
            assert [one["value"]["polygonlabels"][0] for one in found["result"]] == names


def test_images_that_fail_leave_the_others(backend: Backend, server: FakeLabelStudio) -> None:
    server.files["/data/upload/3/damaged.png"] = image_bytes()[:60]
    addresses = [UPLOAD, "/data/upload/3/damaged.png", "http://169.254.169.254/a.png", "/data/upload/3/missing.png"]
    answer = backend.post("/predict", predict_body(addresses))
    assert [bool(one["result"]) for one in answer["results"]] == [True, False, False, False]
    for address in addresses[1:]:
        error = backend.post("/predict", predict_body([address]), 422)["error"]
        assert "task 1" in error and "/tmp" not in error


def test_a_batch_that_takes_too_long_is_asked_for_one_by_one(server: FakeLabelStudio, tmp_path: Path) -> None:
    with Backend(tmp_path, server, PredictionOptions(seconds=0)) as backend:
        assert len(backend.post("/predict", predict_body([UPLOAD] * 5))["results"]) == 1
        assert len(backend.post("/predict", predict_body([UPLOAD]))["results"]) == 1


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"{}", 400, "`tasks`"),
        (b'{"tasks": [1]}', 400, "`tasks`"),
        (b'{"tasks": []}', 400, "`label_config`"),
        (b" " * (10**6 + 1), 413, "bytes"),
    ],
)
def test_bodies_that_are_none_of_label_studios(backend: Backend, content: bytes, status: int, message: str) -> None:
    answer = backend.client.post("/predict", content=content)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_an_annotation_becomes_mask_and_tags_that_train_reads(backend: Backend) -> None:
    backend.submit(webhook_body(UPLOAD, strokes()))
    backend.submit(webhook_body("/data/upload/3/b.png", strokes(("disc",), seed=5), number=2))
    rows = backend.rows()
    assert sorted(rows.values()) == [["1", "0"], ["1", "1"]]
    project = backend.project
    dataset = Dataset.load(project.root, project.tags, classes=project.classes_file, corrected=project.corrected)
    assert len(dataset) == 2 and dataset.classes == CLASSES and not [p for p in dataset.problems if p.level != "note"]
    for record in dataset.records:
        seed = 5 if record.present == {"disc"} else 0
        assert record.corrected is not None
        assert np.array_equal(read_mask(record.corrected), true_mask(tuple(sorted(record.present)), seed=seed))
        assert record.name.startswith("label-studio/") and record.path.read_bytes().startswith(b"\x89PNG")
    assert project.new == 2


def test_images_of_the_project_keep_their_names_and_tags(server: FakeLabelStudio, tmp_path: Path) -> None:
    (tmp_path / "photos/sub").mkdir(parents=True)
    for name in ("sub/a.png", "c.png"):
        (tmp_path / "photos" / name).write_bytes(image_bytes())
    tags = tmp_path / "photos/tag2mask/tags.csv"
    tags.parent.mkdir()
    tags.write_text("image,disc,square\nsub/a.png,0,\nc.png,1,0\n")
    with Backend(tmp_path / "photos", server) as backend:
        backend.submit(webhook_body(UPLOAD, strokes()))  # an upload of sub/a.png, which Label Studio renamed
        assert backend.rows() == {"sub/a.png": ["1", "1"], "c.png": ["1", "0"]}
        backend.submit(webhook_body("/data/local-files/?d=c.png", strokes(), number=2))
        assert backend.rows()["c.png"] == ["1", "1"]
        assert {path.name for path in backend.project.corrected.rglob("*.png")} == {"a.png", "c.png"}
        deleted = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}, {"id": 99}], "project": {"id": 3}}
        backend.submit(deleted)
        assert backend.rows() == {"sub/a.png": ["0", ""], "c.png": ["1", "1"]}
        assert {path.name for path in backend.project.corrected.rglob("*.png")} == {"c.png"}
        assert not (tmp_path / "photos/label-studio").exists()


def test_choices_alone_are_tags_without_a_mask(backend: Backend) -> None:
    choice = {"id": "c", "type": "choices", "from_name": "what", "to_name": "img", "value": {"choices": ["disc"]}}
    backend.submit(webhook_body(UPLOAD, [choice]))
    assert list(backend.rows().values()) == [["1", "0"]]
    assert not backend.project.has_masks()


def test_a_mask_of_the_studio_is_not_removed_by_a_choice(server: FakeLabelStudio, tmp_path: Path) -> None:
    (tmp_path / "tag2mask/corrected").mkdir(parents=True)
    (tmp_path / "a.png").write_bytes(image_bytes())
    kept = tmp_path / "tag2mask/corrected/a.png"
    kept.write_bytes(b"a mask")
    with Backend(tmp_path, server) as backend:
        choice = {"id": "c", "type": "choices", "from_name": "what", "value": {"choices": ["disc"]}}
        backend.submit(webhook_body(UPLOAD, [choice]))
    assert kept.read_bytes() == b"a mask"


def test_a_label_that_is_no_class_yet_becomes_one(backend: Backend) -> None:
    config = BRUSH.replace('<Label value="disc"/>', '<Label value="disc"/><Label value="star"/>')
    [stroke] = strokes(("disc",))
    stroke["value"]["brushlabels"] = ["star"]
    backend.submit(webhook_body(UPLOAD, [stroke], config))
    assert backend.project.classes == (*CLASSES, "star")
    assert list(backend.rows().values()) == [["0", "0", "1"]]
    [mask] = backend.project.corrected.rglob("*.png")
    assert set(np.unique(read_mask(mask))) == {0, 3}


def test_skipped_tasks_and_other_events_change_nothing(backend: Backend) -> None:
    backend.submit(webhook_body(UPLOAD, [], was_cancelled=True))
    for action in ("TASKS_CREATED", "PROJECT_UPDATED", "LABEL_LINK_CREATED", None):
        assert "ignored" in backend.post("/webhook", {"action": action, "project": {"id": 3}}, 201)["result"]
    assert backend.rows() == {} and backend.project.new == 0
    assert backend.post("/webhook", {"action": "START_TRAINING", "project": {"id": 3}}, 201)["result"] == {"job": None}


def test_several_annotations_in_one_event(backend: Backend) -> None:
    one = webhook_body(UPLOAD, strokes())
    two = webhook_body("/data/upload/3/b.png", strokes(("disc",), seed=5), number=2)
    body = {
        "action": "ANNOTATIONS_CREATED",
        "annotation": [one["annotation"], two["annotation"]],
        "task": [one["task"], two["task"]],
        "project": one["project"],
    }
    backend.submit(body)
    assert len(backend.rows()) == 2


def test_what_cannot_be_taken_over_is_kept_with_its_reason(backend: Backend, server: FakeLabelStudio) -> None:
    other = strokes()
    other[0]["original_width"] = 65
    bodies = [
        webhook_body(UPLOAD, other),
        webhook_body("http://169.254.169.254/a.png", strokes()),
        {"action": "ANNOTATION_CREATED"},
        webhook_body(UPLOAD, strokes(), number=7),
    ]
    for body in bodies:
        backend.submit(body)
    assert backend.client.get("/health").json()["annotations"] == {"waiting": 0, "failed": 3}
    reasons = sorted(path.read_text() for path in (backend.project.home / "label-studio/failed").glob("*.txt"))
    assert "Send payload" in "".join(reasons) and "drawn on 65 x 48" in "".join(reasons)
    assert len(backend.rows()) == 1


def test_events_that_a_killed_server_left_are_taken_over_by_the_next(server: FakeLabelStudio, tmp_path: Path) -> None:
    with opened(tmp_path / "p", CLASSES) as project:
        Inbox(project.home / "label-studio", lambda event: None).put(webhook_body(UPLOAD, strokes()))
    with Backend(tmp_path / "p", server) as backend:
        until = time.monotonic() + 30
        while backend.inbox.waiting() and time.monotonic() < until:
            time.sleep(0.02)
        assert list(backend.rows().values()) == [["1", "1"]]


def test_a_project_has_one_server(backend: Backend) -> None:
    with pytest.raises(DataError, match="studio and this server"), opened(backend.project.root, CLASSES):
        pass


def test_tags_that_a_new_project_begins_with(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(image_bytes())
    (tmp_path / "tags.csv").write_text("image,tags\na.png,disc star\n")
    with opened(tmp_path / "photos", CLASSES, tags=tmp_path / "tags.csv") as project:
        assert project.classes == (*CLASSES, "star")
        assert project.tags.read_text() == "image,disc,square,star\na.png,1,,1\n"


def test_password_and_foreign_pages(server: FakeLabelStudio, tmp_path: Path) -> None:
    with Backend(tmp_path, server, password="word", hosts=known_hosts("127.0.0.1", ["backend.example"])) as backend:
        client = backend.client
        assert client.get("/health").status_code == 401
        assert client.get("/health", auth=("tag2mask", "other")).status_code == 401
        assert client.get("/health", headers={"Authorization": "Basic !!"}).status_code == 401
        client.auth = ("tag2mask", "word")
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
        assert client.get("/health", headers={"Host": "backend.example:9090"}).status_code == 200
        page = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/predict", json={}, headers=page).status_code == 403


def test_without_a_project_annotations_are_left_alone(server: FakeLabelStudio) -> None:
    rules = AddressRules(server.url)
    images = ImageSource(rules, Fetcher(rules, LEGACY, max_bytes=10**6), [])
    services = Services(
        Predictor(Model("shapes", ColourSegmenter()), images, PredictionOptions()), None, None, BoundedPool(1, 1)
    )
    with TestClient(create_app(services), base_url="http://localhost") as client:
        assert "ignored" in client.post("/webhook", json=webhook_body(UPLOAD, strokes())).json()["result"]
        assert client.post("/train", json={"annotations": []}).status_code == 422
        assert client.get("/is_training").json() == {"is_training": False}
