"""Two people at once, and one person whose browser was away: nobody's work is lost, and projects are apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.masks import mask_path, read_mask
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tests.studio.projects import write_images
from tests.studio.runs import mask_of, png_of

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
from fastapi.testclient import TestClient

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio

NAME = "0.png"
SIZE = (30, 40)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(write_images(tmp_path / "images", "0.png", "1.png")) as found:
        for name in ("cat", "dog"):
            found.add_class(name)
        yield found


@pytest.fixture
def news() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def client(project: Project, news: list[tuple[str, dict[str, Any]]]) -> Iterator[TestClient]:
    studio = Studio(project, device="cpu")
    with TestClient(create_app(studio, hosts=frozenset()), base_url="http://localhost") as found:
        studio.events.publish = lambda kind, **data: news.append((kind, data))  # type: ignore[method-assign]
        yield found


def painting(value: int, rows: slice) -> NDArray[np.uint8]:
    found = np.full(SIZE, 255, np.uint8)
    found[rows] = value
    return found


def put(client: TestClient, layer: NDArray[np.uint8], base: str | None) -> Any:
    headers = {} if base is None else {"X-Base": base}
    answer = client.put("/api/draft", params={"name": NAME}, content=png_of(layer), headers=headers)
    assert answer.status_code == 204
    return answer.headers


def keep(client: TestClient, mask: NDArray[np.uint8], **headers: str) -> Any:
    given = {f"X-{name}": value for name, value in headers.items()}
    answer = client.post("/api/keep", params={"name": NAME}, content=png_of(mask), headers=given)
    assert answer.status_code == 200
    return answer


def draft(client: TestClient) -> NDArray[np.uint8]:
    return mask_of(client.get("/api/draft", params={"name": NAME}).content)


def test_an_old_painting_does_not_replace_a_newer_one(client: TestClient) -> None:
    """Of a browser that was away: both are joined, the newer one above."""
    base = client.get("/api/draft", params={"name": NAME}).headers["X-Version"]
    first = put(client, painting(1, slice(0, 5)), base)
    assert "X-Joined" not in first
    second = put(client, painting(1, slice(0, 8)), first["X-Version"])
    assert "X-Joined" not in second, "the page's own next version"
    late = put(client, painting(2, slice(4, 20)), base)
    assert late["X-Joined"] == "1"
    expected = painting(2, slice(4, 20))
    expected[:8] = 1
    np.testing.assert_array_equal(draft(client), expected)
    assert late["X-Version"] == client.get("/api/draft", params={"name": NAME}).headers["X-Version"]
    client.delete("/api/draft", params={"name": NAME}, headers={"X-Base": base})  # an undo of what was there before
    np.testing.assert_array_equal(draft(client), expected)
    client.delete("/api/draft", params={"name": NAME}, headers={"X-Base": late["X-Version"]})
    assert client.get("/api/draft", params={"name": NAME}).status_code == 204


def test_a_mask_that_was_sent_twice_is_kept_once(client: TestClient, project: Project) -> None:
    """The answer to the first was lost."""
    mask = np.ones(SIZE, np.uint8)
    for _ in range(2):
        answer = keep(client, mask, Base="none")
        assert "X-Not-Kept" not in answer.headers
    assert not mask_path(project.drafts, NAME).exists()


def test_an_old_mask_does_not_replace_one_that_was_kept_later(client: TestClient, project: Project) -> None:
    ours, theirs = np.ones(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    theirs[10:] = 2
    ours[:3] = 0
    assert client.get("/api/mask", params={"name": NAME}).status_code == 404
    version = keep(client, theirs, Base="none").headers["X-Version"]
    assert client.get("/api/mask", params={"name": NAME}).headers["X-Kept"] == version
    late = keep(client, ours, Base="none")
    assert (late.headers["X-Not-Kept"], late.headers["X-Version"]) == ("1", version)
    np.testing.assert_array_equal(read_mask(project.corrected / NAME), theirs)
    np.testing.assert_array_equal(draft(client), np.where(ours == theirs, 255, ours))
    keep(client, ours, Base=version)  # somebody has looked at it
    np.testing.assert_array_equal(read_mask(project.corrected / NAME), ours)


def test_keeping_leaves_what_somebody_else_paints(client: TestClient, project: Project) -> None:
    mine = put(client, painting(1, slice(0, 5)), "none")["X-Version"]
    theirs = put(client, painting(2, slice(6, 9)), mine)["X-Version"]
    keep(client, np.ones(SIZE, np.uint8), Base="none", Draft=mine)
    assert mask_path(project.drafts, NAME).exists()
    keep(client, np.zeros(SIZE, np.uint8), Draft=theirs)
    assert not mask_path(project.drafts, NAME).exists()


def test_every_page_hears_of_tags_paintings_and_masks(
    client: TestClient, news: list[tuple[str, dict[str, Any]]]
) -> None:
    change = {"name": NAME, "class": 0, "value": "present"}
    client.post("/api/tags", json={"changes": [change]})
    version = put(client, painting(1, slice(0, 5)), None)["X-Version"]
    kept = keep(client, np.ones(SIZE, np.uint8)).headers["X-Version"]
    client.delete("/api/keep", params={"name": NAME})
    assert news == [
        ("tags", {"tagged": 1}),
        ("drafts", {"name": NAME, "version": version}),
        ("masks", {"name": NAME, "version": kept}),
        ("tags", {}),
        ("masks", {}),
    ]


def test_two_projects_are_apart(client: TestClient, project: Project, tmp_path: Path) -> None:
    with open_project(write_images(tmp_path / "others", "0.png", "1.png")) as other:
        app = create_app(Studio(other, device="cpu"), hosts=frozenset())
        with TestClient(app, base_url="http://localhost") as theirs:
            put(client, painting(1, slice(0, 5)), None)
            keep(client, np.ones(SIZE, np.uint8))
            client.post("/api/tags", json={"changes": [{"name": "1.png", "class": 1, "value": "absent"}]})
            found = theirs.get("/api/images").json()
            assert (found["mask"], found["state"]) == ([0, 0], ["untagged", "untagged"])
            assert theirs.get("/api/project").json()["classes"] == []
            assert theirs.get("/api/draft", params={"name": NAME}).status_code == 204
    assert project.states()[1, 1] == Tag.ABSENT
