"""The studio's page in a real browser, and its build."""

from __future__ import annotations

import filecmp
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.masks import mask_path, read_mask
from tag2mask.studio.layers import Layers
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tests.browser import chromium
from tests.studio.projects import write_images

pytest.importorskip("fastapi", reason="the studio's extra is not installed")
import uvicorn

from tag2mask.studio.api.app import STATIC, create_app
from tag2mask.studio.api.state import Studio

SOURCES = Path(__file__).parents[2] / "studio-web"
FILES = ["LICENSES.txt", "app.css", "app.js", "icon.svg", "index.html"]
NAMES = tuple(f"{number:02d}.png" for number in range(6))
PATIENCE_MS = 60_000
# Words by which XML knows its dialects; nothing is asked of that host.
_DIALECTS = ("http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xhtml")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_the_page_is_in_the_package_and_knows_no_other_host() -> None:
    assert sorted(one.name for one in STATIC.iterdir()) == FILES
    for name in ("app.js", "app.css", "index.html"):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert [url for url in re.findall(r"https?://[^\s\"'`)]+", text) if url not in _DIALECTS] == []
    assert (STATIC / "app.js").stat().st_size < 300_000


def test_a_fresh_build_gives_the_files_of_the_package(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (SOURCES / "node_modules").is_dir():
        pytest.skip("no node, or no studio-web/node_modules: `make studio-web` installs them")
    subprocess.run([node, str(SOURCES / "build.mjs"), str(tmp_path)], check=True)
    match, mismatch, errors = filecmp.cmpfiles(STATIC, tmp_path, FILES, shallow=False)
    assert (sorted(match), mismatch, errors) == (FILES, [], []), "run `make studio-web` and commit what it wrote"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(write_images(tmp_path / "images", *NAMES)) as found:
        yield found


@pytest.fixture
def address(project: Project) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        studio = Studio(project)
        server = uvicorn.Server(uvicorn.Config(create_app(studio), log_level="warning", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            studio.events.close()
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page; an error of its script, or a request to another host, fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    asked: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.wait_for_selector(".tile")
    yield opened
    opened.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def wait(page: Any, is_true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    for _ in range(PATIENCE_MS // 50):
        if is_true():
            return
        page.wait_for_timeout(50)
    pytest.fail("it did not come true")


def add_classes(page: Any, *names: str) -> None:
    page.keyboard.press("+")
    for number, name in enumerate(names):
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.locator(".class-row").nth(number).wait_for()
    page.keyboard.press("Escape")


def open_review(page: Any, name: str) -> None:
    page.keyboard.press("Alt+3")
    page.locator(".status .name", has_text=name).wait_for()
    page.locator(".status", has_text="×").wait_for()  # its size is known when it is loaded


def stroke(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw on the canvas; positions are shares of its sides."""
    box = page.locator("#canvas").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()


def test_tags_by_keys(page: Any, project: Project) -> None:
    add_classes(page, "cat", "dog")
    page.locator(".grid-box").focus()
    page.keyboard.press("Home")
    page.keyboard.press("1")
    page.keyboard.press("Shift+2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("2")  # two images at once
    page.keyboard.press("ArrowRight")
    page.keyboard.press("1")
    page.keyboard.press("1")  # again: unknown
    expected = "image,cat,dog\n00.png,1,0\n01.png,,1\n02.png,,1\n"
    wait(page, lambda: project.tags_file.exists() and project.tags_file.read_text() == expected)
    page.keyboard.press("Control+z")
    wait(page, lambda: "03.png,1,\n" in project.tags_file.read_text())
    page.locator("#search").fill("04")
    wait(page, lambda: page.locator(".tile").count() == 1)


def test_painting_is_saved_taken_back_and_kept(page: Any, project: Project) -> None:
    layers = Layers(project)
    add_classes(page, "cat", "dog")
    open_review(page, NAMES[0])

    def draft() -> Any:
        return layers.draft(NAMES[0])

    page.keyboard.press("2")
    stroke(page, (0.4, 0.5), (0.6, 0.5))
    wait(page, lambda: draft() is not None)
    first = draft()
    assert set(np.unique(first)) == {2, 255}
    page.keyboard.press("1")
    stroke(page, (0.4, 0.6), (0.6, 0.6))
    wait(page, lambda: bool((draft() == 1).any()))
    page.keyboard.press("Control+z")
    wait(page, lambda: bool((draft() == first).all()))
    page.keyboard.press("Control+z")
    wait(page, lambda: draft() is None)
    page.keyboard.press("Control+Shift+Z")
    wait(page, lambda: draft() is not None and bool((draft() == first).all()))

    page.reload()
    page.locator(".status", has_text="Painting saved").wait_for()
    page.keyboard.press("k")
    page.locator(".status .name", has_text=NAMES[1]).wait_for()
    kept = mask_path(project.corrected, NAMES[0])
    wait(page, lambda: kept.exists() and draft() is None)
    assert (read_mask(kept) == np.where(first == 255, 0, first)).all()
    assert page.locator(".queue-count").inner_text().startswith("1 of 6")


def test_a_stroke_just_before_the_page_closes(page: Any, project: Project) -> None:
    add_classes(page, "cat")
    open_review(page, NAMES[0])
    stroke(page, (0.4, 0.5), (0.6, 0.5))
    page.goto("about:blank")
    wait(page, lambda: Layers(project).draft(NAMES[0]) is not None)


@pytest.mark.thorough
def test_two_pages_of_one_project(page: Any, browser: Any, address: str, project: Project) -> None:
    """Each sees the tags, paintings and kept masks of the other, and neither loses a stroke."""
    add_classes(page, "cat", "dog")
    other = browser.new_page(viewport={"width": 1280, "height": 800})
    other.set_default_timeout(PATIENCE_MS)
    other.goto(address)
    other.wait_for_selector(".tile")
    page.keyboard.press("Home")
    page.keyboard.press("2")
    other.locator(".tile .chip.present", has_text="dog").wait_for()
    layers = Layers(project)
    for one in (page, other):
        open_review(one, NAMES[0])
    page.keyboard.press("1")
    stroke(page, (0.4, 0.3), (0.6, 0.3))
    other.locator(".status", has_text="Painting saved").wait_for()  # painted by the other
    first = layers.draft(NAMES[0])
    other.keyboard.press("2")
    stroke(other, (0.4, 0.7), (0.6, 0.7))
    stroke(page, (0.45, 0.5), (0.55, 0.5))  # before it has heard of that

    def draft() -> Any:
        return layers.draft(NAMES[0])

    def shows_both(one: Any) -> bool:
        return set(one.locator(".legend .cut").all_inner_texts()) >= {"cat", "dog"}

    before = int(np.count_nonzero(first == 1))
    wait(page, lambda: bool((draft() == 2).any()) and int((draft() == 1).sum()) > before)
    wait(page, lambda: shows_both(page) and shows_both(other))
    page.wait_for_timeout(1500)
    painted = draft()
    page.keyboard.press("k")
    wait(page, lambda: other.locator(".queue-count").inner_text().startswith("1 of 6"))
    assert (read_mask(mask_path(project.corrected, NAMES[0])) == np.where(painted == 255, 0, painted)).all()
    other.close()


@pytest.mark.thorough
def test_fingers(page: Any) -> None:
    """One finger paints, two move and zoom without a mark, a tap uses a tool."""
    add_classes(page, "cat")
    open_review(page, NAMES[0])
    fingers = page.context.new_cdp_session(page)
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *points: tuple[float, float]) -> None:
        found = [{"x": x + dx, "y": y + dy, "id": number} for number, (dx, dy) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    def undo_is_off() -> bool:
        return bool(page.get_by_role("button", name="Undo").is_disabled())

    def zoom() -> int:
        return int(page.locator(".status .number").nth(1).inner_text().rstrip("%"))

    def is_nearer(than: int) -> bool:
        return zoom() > than

    before = zoom()
    for tool in ("b", "f", "p"):
        page.keyboard.press(tool)
        touch("touchStart", (-40, 0))
        touch("touchStart", (-40, 0), (40, 0))
        touch("touchMove", (-44, 0), (44, 0))
        touch("touchMove", (-48, 0), (48, 0))
        touch("touchEnd")
        wait(page, partial(is_nearer, before))
        assert undo_is_off(), tool
        before = zoom()
    page.keyboard.press("f")
    touch("touchStart", (0, 0))
    touch("touchEnd")
    wait(page, lambda: not undo_is_off())
    page.keyboard.press("Control+z")
    page.keyboard.press("b")
    touch("touchStart", (-30, 10))
    touch("touchMove", (30, 10))
    touch("touchEnd")
    page.locator(".status", has_text="Painting saved").wait_for()


def test_axe(page: Any) -> None:
    """No violation on any view, light and dark, narrow and wide."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    add_classes(page, "cat", "dog")
    page.keyboard.press("ArrowRight")
    for width, scheme in ((390, "light"), (1280, "dark"), (2560, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        for key, ready in (("1", ".tile"), ("2", ".presets"), ("3", "#canvas"), ("4", ".formats")):
            page.keyboard.press(f"Alt+{key}")
            page.wait_for_selector(ready)
            page.wait_for_timeout(300)  # colours fade from light to dark
            found = [
                (one["id"], [node["html"] for node in one["nodes"]]) for one in axe.run(page).response["violations"]
            ]
            assert found == [], (width, scheme, key)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert axe.run(page).response["violations"] == []
