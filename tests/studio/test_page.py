"""The page in a real browser: what a person sees and does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image
from tag2mask.inference import Segmenter
from tag2mask.masks import read_mask
from tag2mask.models.checkpoint import RunFolder
from tests.browser import chromium
from tests.helpers import TinyDataset

pytest.importorskip("gradio", reason="Gradio is not installed")
from tag2mask.studio import Workbench, open_page

PATIENCE_MS = 180_000  # on a machine that does other work
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own, since corrections are kept in it."""
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("page") / "run"))


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    with open_page(Workbench(Segmenter.from_pretrained(run), RunFolder(run)), port=0) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def new_page(browser: Any, **options: Any) -> Any:
    """A tab of the browser that waits long."""
    opened = browser.new_page(**options)
    opened.set_default_timeout(PATIENCE_MS)
    return opened


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page; errors in the browser's console fail the test."""
    opened = new_page(browser, viewport={"width": 1280, "height": 1000})
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    foreign: list[str] = []
    opened.on("request", lambda request: foreign.append(request.url))
    opened.goto(address)
    opened.wait_for_selector("#upload input[type=file]", state="attached")
    yield opened
    opened.close()
    assert errors == []
    assert [url for url in foreign if not url.startswith((address, "data:", "blob:"))] == []


def images_of(shapes: TinyDataset) -> list[Path]:
    return sorted(shapes.images.iterdir())


def upload(page: Any, path: Path) -> None:
    """Choose a file, again where the page was not listening yet, as on a busy machine."""
    for _ in range(10):
        page.set_input_files("#upload input[type=file]", str(path))
        for _ in range(60):
            if page.query_selector("#upload [class*=file-preview]") is not None:
                return
            page.wait_for_timeout(250)
    pytest.fail("the page does not take the file")


def mask_on(page: Any) -> NDArray[np.uint8] | None:
    """The mask that the page holds."""
    text = page.evaluate("window.tag2mask.value()")
    if not text:
        return None
    document = json.loads(text)
    runs = np.array(document["runs"])
    return np.repeat(runs[:, 1], runs[:, 0]).astype(np.uint8).reshape(document["height"], document["width"])


def wait_for_mask(page: Any, expected: NDArray[np.uint8]) -> None:
    """Wait until the page's mask is the expected one."""
    for _ in range(PATIENCE_MS // 50):
        mask = mask_on(page)
        if mask is not None and mask.shape == expected.shape and (mask == expected).all():
            return
        page.wait_for_timeout(50)
    pytest.fail("the mask on the page is not that of `predict`")


def test_upload_tag_setting(page: Any, run: Path, shapes: TinyDataset) -> None:
    segmenter = Segmenter.from_pretrained(run)
    image = read_image(images_of(shapes)[0])
    upload(page, images_of(shapes)[0])
    wait_for_mask(page, segmenter.predict(image).mask)
    assert page.locator("#found").inner_text().count("%") == 2

    page.locator("#network-decides input").uncheck()
    page.locator("#tags").get_by_label("square").check()
    wait_for_mask(page, segmenter.predict(image, ["square"]).mask)
    page.locator("#tags").get_by_label("square").uncheck()
    page.locator("#tags").get_by_label("disc").check()
    wait_for_mask(page, segmenter.predict(image, ["disc"]).mask)

    settings = segmenter.config.prediction
    without = settings.model_copy(update={"crf": settings.crf.model_copy(update={"enabled": False})})
    expected = segmenter.predict(image, ["disc"], settings=without).mask
    assert (expected != segmenter.predict(image, ["disc"]).mask).any()
    page.locator("#crf-on input").uncheck()
    wait_for_mask(page, expected)

    page.get_by_role("tab", name="Steps").click()
    page.wait_for_selector("#steps img")
    assert "class map: disc" in page.locator("#steps").inner_text()


def paint(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A stroke, in shares of the image's width and height."""
    box = page.locator("#paint-canvas").bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=5)
    page.mouse.up()


def test_paint_and_download(page: Any, run: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    decoder = pytest.importorskip("pycocotools.mask")
    upload(page, images_of(shapes)[1])
    before = Segmenter.from_pretrained(run).predict(read_image(images_of(shapes)[1])).mask
    wait_for_mask(page, before)
    page.get_by_role("tab", name="Correct").click()
    page.wait_for_selector("#paint-canvas:not([hidden])")
    page.get_by_role("button", name="2 square").click()
    paint(page, (0.1, 0.1), (0.6, 0.1))
    painted = mask_on(page)
    assert painted is not None
    changed = painted != before
    assert changed.any()
    assert (painted[changed] == 2).all()
    height, width = before.shape
    assert (painted[round(0.1 * height), round(0.15 * width) : round(0.55 * width)] == 2).all()
    assert not changed[height // 2 :].any()
    page.keyboard.press("0")
    paint(page, (0.1, 0.1), (0.3, 0.1))
    page.keyboard.press("u")
    np.testing.assert_array_equal(mask_on(page), painted)

    page.locator("#format input").click()
    page.get_by_role("option", name="COCO").click()
    page.locator("#export").click()
    link = page.locator("#download a[href*='coco.json'], #download a[download]").first
    with page.expect_download() as waiting:
        link.click()
    waiting.value.save_as(tmp_path / "mask.json")
    document = json.loads((tmp_path / "mask.json").read_text())
    found = np.zeros_like(before)
    names = {one["id"]: one["name"] for one in document["categories"]}
    for one in document["annotations"]:
        encoded = decoder.frPyObjects(one["segmentation"], height, width)
        found[decoder.decode(encoded) > 0] = shapes.classes.index(names[one["category_id"]]) + 1
    np.testing.assert_array_equal(found, painted)


def test_the_queue_with_keys(page: Any, run: Path) -> None:
    from tag2mask.inference.review import least_certain

    first, second = least_certain(run / "masks", 2)
    dataset = Dataset.from_dict(json.loads((run / "collection.json").read_text()))
    records = {record.name: record for record in dataset.records}
    segmenter = Segmenter.from_pretrained(run)

    def expected(name: str) -> NDArray[np.uint8]:
        return segmenter.predict(records[name].path, records[name].tags).mask

    page.locator("h1").first.click()
    for name in (first, second):
        page.keyboard.press("n")
        page.wait_for_function(f"document.querySelector('#pick input').value === {json.dumps(name)}")
        wait_for_mask(page, expected(name))
    page.keyboard.press("p")
    page.wait_for_function(f"document.querySelector('#pick input').value === {json.dumps(first)}")
    wait_for_mask(page, expected(first))
    page.get_by_role("tab", name="Correct").click()
    page.wait_for_selector("#paint-canvas:not([hidden])")
    page.get_by_role("button", name="1 disc").click()
    paint(page, (0.2, 0.2), (0.5, 0.5))
    painted = mask_on(page)
    page.locator("h1").first.click()
    page.keyboard.press("k")
    page.wait_for_selector("#message >> text=Kept")
    kept = run / "corrected" / Path(first).with_suffix(".png")
    np.testing.assert_array_equal(read_mask(kept), painted)
    page.keyboard.press("n")
    page.wait_for_function(f"document.querySelector('#pick input').value === {json.dumps(second)}")
    page.keyboard.press("p")
    assert painted is not None
    wait_for_mask(page, painted)  # what was kept is shown again


def test_unusable_files_are_reported(page: Any, tmp_path: Path, shapes: TinyDataset, run: Path) -> None:
    (tmp_path / "text.jpg").write_text("this is no image")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    for name, message in (("text.jpg", "not an image"), ("huge.png", "20000 x 10000 pixels")):
        upload(page, tmp_path / name)
        page.wait_for_selector(f"#message >> text={message}")
        page.locator("#upload").get_by_label("Clear").or_(page.locator("#upload button").first).first.click()
        page.wait_for_selector("#upload input[type=file]", state="attached")
    upload(page, images_of(shapes)[2])
    wait_for_mask(page, Segmenter.from_pretrained(run).predict(read_image(images_of(shapes)[2])).mask)
    assert page.locator("#message").inner_text().strip() == ""


@pytest.mark.thorough
def test_eight_at_once(browser: Any, address: str, run: Path, shapes: TinyDataset) -> None:
    segmenter = Segmenter.from_pretrained(run)
    pages = [new_page(browser) for _ in range(8)]
    try:
        for opened in pages:
            opened.goto(address)
            opened.wait_for_selector("#upload input[type=file]", state="attached")
        for opened, path in zip(pages, images_of(shapes), strict=False):
            upload(opened, path)
        for opened, path in zip(pages, images_of(shapes), strict=False):
            wait_for_mask(opened, segmenter.predict(read_image(path)).mask)
    finally:
        for opened in pages:
            opened.close()


def test_a_small_window(browser: Any, address: str, shapes: TinyDataset) -> None:
    opened = new_page(browser, viewport={"width": 390, "height": 844})
    opened.goto(address)
    opened.wait_for_selector("#upload input[type=file]", state="attached")
    upload(opened, images_of(shapes)[0])
    opened.wait_for_selector("#result img")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    opened.close()


def test_an_open_address_needs_a_password(run: Path, browser: Any) -> None:
    bench = Workbench(Segmenter.from_pretrained(run), RunFolder(run))
    with pytest.raises(ConfigError, match="set `password`"), open_page(bench, host="0.0.0.0", port=0):
        pass
    with open_page(bench, port=0, password="correct horse") as address:
        opened = new_page(browser)
        opened.goto(address)
        opened.wait_for_selector("input[type=password]")
        assert opened.locator("#upload").count() == 0
        opened.close()
