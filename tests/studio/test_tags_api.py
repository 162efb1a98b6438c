"""Routes of images, tags and classes, and who is let in."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tag2mask.images.decode import read_image
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tests.helpers import write_image
from tests.studio.projects import write_images

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api import app as app_module
from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.events import Events
from tag2mask.studio.api.guards import MOST_BODY
from tag2mask.studio.api.state import Studio

NAMES = ("a.png", "b.png", "sub/c d.png")
HOME = "http://localhost"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(write_images(tmp_path / "images", *NAMES)) as found:
        yield found


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    with TestClient(create_app(Studio(project), hosts=frozenset()), base_url=HOME) as found:
        yield found


def add_classes(client: TestClient, *names: str) -> None:
    for name in names:
        assert client.post("/api/classes", json={"name": name}).status_code == 200


def tag(client: TestClient, *changes: tuple[str, int, str]) -> Any:
    body = {"changes": [{"name": name, "class": position, "value": value} for name, position, value in changes]}
    return client.post("/api/tags", json=body)


def test_project_images_and_tags(client: TestClient, project: Project) -> None:
    add_classes(client, "cat", " dog ")
    answer = tag(client, ("a.png", 0, "present"), ("a.png", 1, "absent"), ("sub/c d.png", 1, "present"))
    assert answer.json() == {"ok": True, "tagged": 2}
    about = client.get("/api/project").json()
    assert (about["images"], about["tagged"], about["kept"], about["run"], about["runs"]) == (3, 2, 0, None, [])
    assert [(one["name"], one["key"], one["present"], one["absent"]) for one in about["classes"]] == [
        ("cat", "1", 1, 0),
        ("dog", "2", 1, 1),
    ]
    images = client.get("/api/images").json()
    assert images["names"] == list(NAMES)
    assert (images["present"], images["absent"]) == ([[0], [], [1]], [[1], [], []])
    assert images["state"] == ["tagged", "untagged", "tagged"]
    assert (images["mask"], images["uncertainty"], images["corrupt"]) == ([0, 0, 0], [None, None, None], [])
    assert project.tags_file.read_text() == "image,cat,dog\na.png,1,0\nsub/c d.png,,1\n"
    assert tag(client, ("a.png", 0, "unknown"), ("a.png", 1, "unknown")).json()["tagged"] == 1


def test_a_bad_change_changes_nothing(client: TestClient, project: Project) -> None:
    add_classes(client, "cat")
    for changes, status in (
        ([("a.png", 0, "present"), ("z.png", 0, "present")], 400),
        ([("a.png", 0, "present"), ("b.png", 1, "present")], 400),
        ([("a.png", 0, "present"), ("b.png", -1, "present")], 400),
        ([("a.png", 0, "present"), ("b.png", 0, "maybe")], 422),
    ):
        answer = tag(client, *changes)
        assert answer.status_code == status
        assert isinstance(answer.json()["error"], str)
    assert not project.tagged().any()
    assert client.post("/api/tags", content=b"{").status_code == 422


def test_ten_thousand_changes_at_once(tmp_path: Path) -> None:
    with open_project(write_images(tmp_path / "many", *(f"{k}.png" for k in range(5)))) as project:
        with TestClient(create_app(Studio(project)), base_url=HOME) as client:
            add_classes(client, "cat")
            values = ("present", "absent", "unknown")
            changes = [(f"{k % 5}.png", 0, values[k % 3]) for k in range(10_000)]
            assert tag(client, *changes).status_code == 200
        assert project.states()[:, 0].tolist() == [{0: 1, 1: 0, 2: -1}[(9_995 + k) % 3] for k in range(5)]


def test_classes_get_other_names_colours_and_keys(client: TestClient, project: Project) -> None:
    add_classes(client, "cat", "dog")
    tag(client, ("a.png", 0, "present"))
    changed = client.patch("/api/classes/0", json={"name": "tiger", "colour": "#FF8000", "key": "2"}).json()
    assert changed == {"index": 0, "name": "tiger", "colour": "#ff8000", "key": "2"}
    assert [(one.name, one.key) for one in project.classes] == [("tiger", "2"), ("dog", "")]
    assert project.classes_file.read_text() == "tiger\ndog\n"
    assert project.tags_file.read_text().startswith("image,tiger,dog\na.png,1,")
    for body in ({"name": "dog"}, {"name": "DOG"}, {"name": " "}, {"name": "a\nb"}, {"name": "background"}):
        assert client.patch("/api/classes/0", json=body).status_code == 400, body
    for body in ({"colour": "red"}, {"key": "ab"}, {"key": " "}):
        assert client.patch("/api/classes/0", json=body).status_code == 422, body
    assert client.patch("/api/classes/2", json={"name": "x"}).status_code == 404
    assert client.post("/api/classes", json={"name": "Tiger"}).status_code == 400


def test_removing_a_class_that_is_used_needs_force(client: TestClient, project: Project) -> None:
    add_classes(client, "cat", "dog", "bird")
    tag(client, ("a.png", 1, "present"), ("b.png", 2, "present"))
    mask = np.zeros((30, 40), np.uint8)
    mask[:10], mask[10:20], mask[20:] = 1, 2, 3
    write_mask(mask_path(project.corrected, "a.png"), mask)
    draft = mask.copy()
    draft[:5] = 255
    project.drafts.mkdir()
    Image.fromarray(draft).save(project.drafts / "b.png")
    refused = client.delete("/api/classes/1")
    assert refused.status_code == 409
    assert "1 images and painted in 2 masks" in refused.json()["error"]
    assert client.delete("/api/classes/1?force=true").json() == {"ok": True, "tags": 1, "masks": 2}
    assert project.class_names == ("cat", "bird")
    assert project.states()[:2].tolist() == [[-1, -1], [-1, 1]]
    after = read_mask(mask_path(project.corrected, "a.png"))
    assert [after[row, 0] for row in (0, 15, 25)] == [1, 0, 2]
    with Image.open(project.drafts / "b.png") as image:
        assert [np.asarray(image)[row, 0] for row in (0, 7, 15, 25)] == [255, 1, 0, 2]
    assert client.delete("/api/classes/0").status_code == 409  # painted, although nowhere tagged
    tag(client, ("b.png", 1, "unknown"))
    add_classes(client, "fish")
    assert client.delete("/api/classes/2").status_code == 200


@pytest.mark.parametrize(("suffix", "orientation"), [(".jpg", 6), (".jpg", 3), (".png", 1), (".jpg", 1)])
def test_thumbnails_and_pixels_stand_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[:100, :150] = (250, 40, 40)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "images" / f"a{suffix}"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path, exif=exif)
    right = read_image(path).astype(int)
    with open_project(path.parent) as project, TestClient(create_app(Studio(project)), base_url=HOME) as client:
        found = client.get("/api/pixels", params={"name": path.name})
        assert (int(found.headers["x-height"]), int(found.headers["x-width"])) == right.shape[:2]
        assert float(found.headers["x-scale"]) == 1
        shown = np.asarray(Image.open(io.BytesIO(found.content)).convert("RGB")).astype(int)
        assert shown.shape == right.shape
        assert np.abs(shown - right).mean() < 3
        small = client.get("/api/thumb", params={"name": path.name, "side": 150})
        tiny = Image.open(io.BytesIO(small.content))
        assert max(tiny.size) == 192
        wanted = np.asarray(Image.fromarray(right.astype(np.uint8)).resize(tiny.size)).astype(int)
        assert np.abs(np.asarray(tiny.convert("RGB")).astype(int) - wanted).mean() < 6


def test_a_large_image_is_shown_at_the_work_size(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "wide.png", np.full((60, 5000, 3), 99, np.uint8))
    with open_project(tmp_path / "images") as project, TestClient(create_app(Studio(project)), base_url=HOME) as client:
        found = client.get("/api/pixels?name=wide.png")
    assert (found.headers["x-width"], found.headers["x-height"]) == ("4096", "49")
    assert float(found.headers["x-scale"]) == pytest.approx(4096 / 5000)
    assert Image.open(io.BytesIO(found.content)).size == (4096, 49)


def test_what_browsers_may_keep(client: TestClient, project: Project) -> None:
    first = client.get("/api/thumb?name=a.png")
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.get("/api/thumb?name=a.png", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in client.get("/api/thumb?name=a.png&v=1").headers["cache-control"]
    write_image(project.path("a.png"), np.zeros((50, 20, 3), np.uint8))
    changed = client.get("/api/thumb?name=a.png", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert Image.open(io.BytesIO(changed.content)).size == (20, 50)


def test_damaged_images_are_marked(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", *NAMES)
    content = (images / "b.png").read_bytes()
    (images / "b.png").write_bytes(content[: len(content) // 2])
    (images / "no.jpg").write_bytes(b"no image at all")
    with open_project(images) as project, TestClient(create_app(Studio(project)), base_url=HOME) as client:
        refused = client.get("/api/thumb?name=b.png")
        assert refused.status_code == 422
        assert "truncated" in refused.json()["error"]
        assert refused.json()["remedy"]
        assert client.get("/api/pixels?name=no.jpg").status_code == 422
        assert client.get("/api/images").json()["corrupt"] == ["b.png", "no.jpg"]
    for path in ("/api/thumb?name=zz.png", "/api/pixels?name=../a.png", "/api/nothing"):
        with open_project(images) as project, TestClient(create_app(Studio(project)), base_url=HOME) as client:
            assert client.get(path).status_code == 404


def test_who_may_ask(project: Project) -> None:
    with TestClient(create_app(Studio(project), hosts=frozenset()), base_url=HOME) as client:
        assert client.get("/api/project").status_code == 200
        assert client.get("/api/project", headers={"Host": "evil.example"}).status_code == 403
        foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/api/classes", json={"name": "x"}, headers=foreign).status_code == 403
        own = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/api/classes", json={"name": "x"}, headers=own).status_code == 200
        headers = client.get("/api/project").headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert client.post("/api/tags", content=b" " * (MOST_BODY + 1)).status_code == 413


def test_the_page_is_served_with_its_policy(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<p>the page</p>")
    (tmp_path / "static" / "app.js").write_text("1")
    monkeypatch.setattr(app_module, "STATIC", tmp_path / "static")
    with TestClient(create_app(Studio(project)), base_url=HOME) as client:
        assert client.get("/").text == "<p>the page</p>"
        assert client.get("/app.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/nothing.js").status_code == 404


def test_a_password_is_asked_of_everybody(project: Project) -> None:
    app = create_app(Studio(project), password="secret & word")
    with TestClient(app, base_url=HOME) as client:
        assert client.get("/api/project").status_code == 401
        assert client.get("/api/project").json()["error"] == "log in"
        page = client.get("/")
        assert page.status_code == 401
        assert 'type="password"' in page.text
        wrong = client.post("/login", data={"password": "secret"})
        assert wrong.status_code == 400
        assert "Wrong password" in wrong.text
        right = client.post("/login", data={"password": "secret & word"})
        assert right.status_code == 200
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert client.get("/api/project").status_code == 200
        forged = cookie.split("=")[0] + "=" + "0" * 64
        client.cookies.clear()
        assert client.get("/api/project", headers={"Cookie": forged}).status_code == 401
    token = cookie.partition(";")[0]
    for password, status in (("secret & word", 200), ("another", 401)):  # a server that starts again
        with TestClient(create_app(Studio(project), password=password), base_url=HOME) as client:
            assert client.get("/api/project", headers={"Cookie": token}).status_code == status


def test_events_reach_every_page_and_end_with_the_server() -> None:
    async def pages() -> list[list[str]]:
        events = Events()

        async def page() -> list[str]:
            return [line async for line in events.stream()]

        tasks = [asyncio.create_task(page()) for _ in range(2)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(events.publish, "tags", tagged=3)
        for number in range(400):
            events.publish("training", epoch=number)
        await asyncio.sleep(0.05)
        events.close()
        events.publish("project")
        found = await asyncio.gather(*tasks)
        assert [line async for line in events.stream()] == []
        return found

    for lines in asyncio.run(pages()):
        said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert all(line.endswith("\n\n") for line in lines)
        assert said[-1] == {"type": "training", "epoch": 399}  # the newest are there, whatever was dropped
        assert len(said) > 100
