"""From untagged images to an export in one page, in a real browser; server and browser are killed five times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.demo.scenes import CLASSES, make_scene, tags_of, write_images
from tag2mask.masks import mask_path, read_mask
from tests.studio.job import Job
from tests.studio.runs import write_settings

pytest.importorskip("uvicorn", reason="the studio's extra is not installed")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.name == "nt" or not Path("/proc").is_dir(), reason="processes are found in /proc"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

COUNT = 40
EPOCHS = 8


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    write_images(tmp_path / "images", COUNT, seed=0)
    with api.sync_playwright() as playwright:
        made = Job(playwright, tmp_path / "images", tmp_path)
        try:
            yield made
        finally:
            made.close()


def test_the_whole_job(job: Job) -> None:
    job.start()
    tag_all(job)
    train(job, "Train", "run-1")
    names = correct_five(job)
    kept = {name: read_mask(mask_path(job.home / "corrected", name)) for name in names}
    train(job, "Learn from corrections", "run-2")
    learned(job, kept)
    exported(job, kept)


def truth() -> list[tuple[str, ...]]:
    """What a person sees in each image."""
    return [tags_of(make_scene(np.random.default_rng((0, 0, number))).gt_mask) for number in range(COUNT)]


def tags_on_disk(job: Job) -> dict[str, set[str]]:
    """Classes that are present, by image."""
    head, *rows = [line.split(",") for line in (job.home / "tags.csv").read_text().splitlines()]
    return {row[0]: {name for name, value in zip(head[1:], row[1:], strict=True) if value == "1"} for row in rows}


def tag_all(job: Job) -> None:
    """Add classes and tag by keys; the server is killed in between, then the browser with tags that it alone has."""
    page, seen = job.page, truth()

    def press(numbers: range) -> None:
        for number in numbers:
            for name in seen[number]:
                page.keyboard.press(str(CLASSES.index(name) + 1))
            page.keyboard.press("ArrowRight")

    page.keyboard.press("+")
    for number, name in enumerate(CLASSES):
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.locator(".class-row").nth(number).wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    press(range(20))
    job.kill_server()
    press(range(20, 24))
    page.locator(".banner").wait_for()
    page.wait_for_timeout(2000)
    job.kill()

    page = job.start("tag")
    job.wait(lambda: len(tags_on_disk(job)) == 24)
    assert tags_on_disk(job) == {f"{number:04d}.jpg": set(seen[number]) for number in range(24)}
    page.locator(".grid-box").focus()
    page.keyboard.press("Home")
    for _ in range(24):
        page.keyboard.press("ArrowRight")
    press(range(24, COUNT))
    job.wait(lambda: "40 of 40 tagged" in page.locator(".tagged-meter").inner_text())
    page.locator(".saved", has_text="Saved").wait_for()


def train(job: Job, button: str, run: str) -> None:
    """Train from the page; server and browser are killed in the midst of it, and find it again."""
    write_settings(job.home, training__epochs=EPOCHS)
    page = job.page
    page.keyboard.press("Alt+2")
    page.get_by_role("button", name=button, exact=True).click()
    job.wait(lambda: job.ask("train")["run"] == run and (job.ask("train")["epoch"] or 0) >= 1)
    page.locator(".first-masks canvas").first.wait_for()
    before = job.ask("train")
    assert (before["epochs"], before["state"] in ("training", "writing", "done")) == (EPOCHS, True)
    job.kill()

    page = job.start("train")
    now = job.ask("train")
    assert (now["run"], now["epoch"] >= before["epoch"]) == (run, True)
    job.wait(lambda: job.ask("train")["state"] not in ("training", "writing"))
    end = job.ask("train")
    assert (end["state"], end["epoch"], end["error"]) == ("done", EPOCHS, None)
    job.wait(lambda: job.ask("project")["run"] == run)
    page.locator("section[aria-label=Verdict]").wait_for()
    # Every image was tagged with what is there alone: the page has marked what is not there before it trained.
    assert "" not in (job.home / "runs" / run / "studio" / "tags.csv").read_text().replace("\n", ",")[:-1].split(",")


def open_first(job: Job) -> str:
    """The image that the review shows, once it is loaded."""
    job.page.locator(".status", has_text="×").wait_for()
    job.page.wait_for_timeout(200)
    return str(job.page.locator(".status .name").inner_text())


def correct_five(job: Job) -> list[str]:
    """Brush, polygon, undo and redo on five images, and keep them; kills in the midst of a stroke and behind a keep."""
    page = job.page
    page.keyboard.press("Alt+3")
    name = open_first(job)
    page.keyboard.press("1")
    job.stroke((0.4, 0.5), (0.6, 0.5))
    page.locator(".status", has_text="Painting saved").wait_for()
    painted = draft(job, name)
    assert set(np.unique(painted)) == {1, 255}
    page.keyboard.press("2")
    job.stroke((0.4, 0.7), (0.6, 0.7), is_ended=False)
    job.kill()

    page = job.start("review")
    assert open_first(job) == name
    np.testing.assert_array_equal(draft(job, name), painted)
    page.locator(".status", has_text="Painting saved").wait_for()
    names = []
    for number in range(5):
        names.append(name)
        corrected = correct(job, name)
        if number == 4:
            job.kill_server()  # the last one is kept while no server is there
        page.keyboard.press("k")
        if number < 4:
            page.locator(f".status .name:not(:has-text('{name}'))").wait_for()
            job.wait(partial(is_kept, job, name, corrected))
            name = open_first(job)
    page.locator(".banner").wait_for()
    page.wait_for_timeout(2000)
    job.kill()

    page = job.start("review")
    job.wait(lambda: is_kept(job, name, corrected))
    job.wait(lambda: page.locator(".queue-count").inner_text().startswith("5 of 40"))
    assert len(set(names)) == 5
    job.wait(lambda: not list((job.home / "drafts").glob("*.png")))
    return names


def draft(job: Job, name: str) -> NDArray[np.uint8]:
    """The painting of an image on disk; of no pixels where there is none."""
    path = mask_path(job.home / "drafts", name)
    return read_mask(path) if path.is_file() else np.zeros((0, 0), np.uint8)


def correct(job: Job, name: str) -> NDArray[np.uint8]:
    """Paint on the open image; returns the painting."""
    page = job.page

    def settled() -> NDArray[np.uint8]:
        page.locator(".status", has_text="Painting saved").wait_for()
        page.locator(".saved", has_text="Saved").wait_for()
        return draft(job, name)

    page.keyboard.press("b")
    page.keyboard.press("2")
    job.stroke((0.45, 0.45), (0.55, 0.55))
    page.locator(".status", has_text="Saving…").wait_for()
    brushed = settled()
    page.keyboard.press("p")
    page.keyboard.press("3")
    for x, y in ((0.4, 0.6), (0.6, 0.6), (0.5, 0.75)):
        page.mouse.click(*job.point(x, y))
    page.keyboard.press("Enter")
    job.wait(lambda: (draft(job, name) == 3).any())
    drawn = settled()
    page.keyboard.press("Control+z")
    job.wait(lambda: np.array_equal(draft(job, name), brushed))
    page.keyboard.press("Control+Shift+Z")
    job.wait(lambda: np.array_equal(draft(job, name), drawn))
    settled()
    return drawn


def is_kept(job: Job, name: str, painted: NDArray[np.uint8]) -> bool:
    """Whether a mask was kept that has all that was painted."""
    path = mask_path(job.home / "corrected", name)
    if not path.is_file():
        return False
    mask = read_mask(path)
    is_painted = painted != 255
    return bool((mask[is_painted] == painted[is_painted]).all())


def learned(job: Job, kept: dict[str, NDArray[np.uint8]]) -> None:
    """The second run has the kept masks, and says what they brought."""
    for name, mask in kept.items():
        np.testing.assert_array_equal(read_mask(mask_path(job.home / "corrected", name)), mask)
        np.testing.assert_array_equal(read_mask(mask_path(job.home / "runs" / "run-2" / "masks", name)), mask)
    job.wait(lambda: job.ask("corrections")["state"] == "ready")
    found = job.ask("corrections")
    assert (found["corrected"], found["compared"]) == (5, 5)
    assert None not in (found["before"], found["after"], found["interval"])
    assert found["after"] >= found["interval_after"][0]


def exported(job: Job, kept: dict[str, NDArray[np.uint8]]) -> None:
    """The COCO file, read by pycocotools, has every image, and the kept masks to the pixel."""
    from pycocotools.coco import COCO

    page = job.page
    page.keyboard.press("Alt+4")
    page.locator("text=COCO").first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    path = job.folder.parent / "coco.json"
    waiting.value.save_as(path)
    coco = COCO(str(path))
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    images = {one["file_name"]: one["id"] for one in coco.loadImgs(coco.getImgIds())}
    assert len(images) == COUNT
    for name, mask in kept.items():
        drawn = np.zeros_like(mask)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=images[name])):
            drawn[coco.annToMask(one) == 1] = one["category_id"]
        np.testing.assert_array_equal(drawn, mask)
