from __future__ import annotations

import dataclasses
import html
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask import cli
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset
from tag2mask.evaluation import evaluate_pairs
from tag2mask.inference import Segmenter
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.models.checkpoint import RunFolder
from tag2mask.report import write_report
from tag2mask.report.facts import gather
from tag2mask.report.thumbnails import HATCHED, small_overlay, steps_of
from tag2mask.training.train import train
from tests.browser import chromium
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset


@pytest.fixture(scope="module")
def scored(shapes: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with ground truth to compare with, and its report."""
    out = tmp_path_factory.mktemp("report") / "my <run> & co"
    dataset = Dataset.load(shapes.images, shapes.tags, masks=shapes.masks)
    train(dataset, out, options={**TINY_OPTIONS, "training.epochs": 3}, device="cpu", progress=False)
    return out


def text_of(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_training_writes_it(scored: Path, trained: Path) -> None:
    text = text_of(scored)
    assert "<title>my &lt;run&gt; &amp; co: masks from tags</title>" in text
    score = gather(RunFolder(scored)).score
    assert score is not None
    assert f"<dd>{100 * score.miou:.1f}</dd>" in text
    for title in (
        "Best",
        "Median",
        "Worst",
        "Least certain masks",
        "ground truth",
        "class map: disc",
        "foreground prior",
    ):
        assert title in text
    plain = text_of(trained)
    assert "<figcaption>ground truth" not in plain
    assert "Most certain" in plain


def test_it_holds_all_that_it_shows(scored: Path) -> None:
    text = text_of(scored)
    assert len(text) < 2_000_000
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", text)
    assert "@import" not in text
    assert "url(http" not in text
    assert text.count("data:image/jpeg;base64,") == len(re.findall("<img", text))
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", text)) == len(re.findall("<img", text))


def test_the_groups_are_the_best_and_the_worst(scored: Path) -> None:
    facts = gather(RunFolder(scored), examples=3)
    said = [[float(text.split()[-1]) for _, text in group.records] for group in facts.groups]
    assert min(said[0]) >= max(said[1]) >= min(said[1]) >= max(said[2])
    names = [record.name for group in facts.groups for record, _ in group.records]
    assert len(names) == len(set(names)) == 9


def test_commands_can_be_pasted_into_a_shell(scored: Path) -> None:
    found = re.search(r'aria-label="Commands">(.*?)</pre>', text_of(scored), re.DOTALL)
    assert found
    again, queue, predict = (shlex.split(line) for line in html.unescape(found.group(1)).splitlines())
    assert again[:2] == ["tag2mask", "train"]
    assert again[again.index("--config") + 1] == str(scored / "config.yaml")
    assert queue[2] == str(scored / "masks")
    assert predict == ["tag2mask", "predict", str(scored), "NEW_IMAGES", "--out", "MASKS"]


def test_corrected_masks_are_not_scored(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    dataset = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    corrected, others = dataset.records[:3], dataset.records[3:]
    for record in corrected:
        assert record.gt_mask is not None
        shutil.copy(record.gt_mask, mask_path(run.masks, record.name))
    records = (*(dataclasses.replace(record, corrected=record.gt_mask) for record in corrected), *others)
    run.collection.write_text(json.dumps(dataclasses.replace(dataset, records=records).to_dict()), encoding="utf-8")
    facts = gather(run, examples=100)
    pairs = [(mask_path(run.masks, record.name), record.gt_mask) for record in others if record.gt_mask]
    expected = evaluate_pairs(pairs, dataset.classes)
    assert facts.score is not None
    assert facts.score.to_dict() == expected.to_dict()
    assert facts.unscored == 3
    shown = {record.name for group in facts.groups for record, _ in group.records} | {name for name, _ in facts.review}
    assert not shown & {record.name for record in corrected}
    text = write_report(run.root, device="cpu").read_text(encoding="utf-8")
    assert "3 masks corrected by people are no prediction and not scored." in text
    assert f"<dd>{100 * expected.miou:.1f}</dd>" in text


def test_the_command(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tag2mask", "report", str(scored), "--out", str(tmp_path / "a.html")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="`palette` red: expected 'safe' or 'voc'"):
        write_report(scored, palette="red")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such run"):
        write_report(tmp_path / "none")


def test_images_that_are_gone_are_named(shapes: TinyDataset, tmp_path: Path) -> None:
    shutil.copytree(shapes.images, tmp_path / "images")
    options = {**TINY_OPTIONS, "training.epochs": 2}
    run = tmp_path / "run"
    dataset = Dataset.load(tmp_path / "images", shapes.tags)
    train(dataset, run, options=options, make_report=False, device="cpu", progress=False)
    assert not (run / "report.html").exists()
    shutil.rmtree(tmp_path / "images")
    text = write_report(run).read_text(encoding="utf-8")
    assert "Not readable any more" in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@contextmanager
def opened(browser: Any, run: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """The report of a run in a page; another request than that of its file, or a message in the console, fails."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    requests: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((run / "report.html").resolve().as_uri())
    yield page
    page.close()
    assert [url for url in requests if not url.startswith("data:")] == [(run / "report.html").resolve().as_uri()]
    assert said == []


def violations(page: Any) -> list[tuple[str, str]]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    return [(one["id"], one["impact"]) for one in axe.Axe().run(page).response["violations"]]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (2560, "light")])
def test_in_a_browser(browser: Any, scored: Path, width: int, scheme: str) -> None:
    with opened(browser, scored, width=width, scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(one => one.complete && (one.naturalWidth > 0 || !one.src))")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert violations(page) == []
        page.locator("figure button").first.click()
        assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
        assert violations(page) == []


def shown(page: Any) -> tuple[str, str]:
    """Which image is enlarged, and which step of it; both empty where none is."""
    if not page.locator("dialog[open]").count():
        return "", ""
    return page.locator("dialog header p").inner_text().split(" ")[0], page.locator("dialog footer b").inner_text()


def test_images_are_enlarged_by_keys(browser: Any, scored: Path) -> None:
    rows = [record.name for group in gather(RunFolder(scored)).groups for record, _ in group.records]
    with opened(browser, scored) as page:
        page.locator("figure button").first.focus()
        page.keyboard.press("Enter")
        assert shown(page) == (rows[0], "image")
        assert page.locator("dialog img").bounding_box()["height"] > 500
        for key, expected in (
            ("ArrowDown", (rows[1], "image")),
            ("ArrowUp", (rows[0], "image")),
            ("ArrowUp", (rows[0], "image")),
            ("ArrowDown", (rows[1], "image")),
            ("ArrowLeft", (rows[0], "ground truth")),
            ("ArrowRight", (rows[1], "image")),
        ):
            page.keyboard.press(key)
            assert shown(page) == expected, key
        page.keyboard.press("Escape")
        assert shown(page) == ("", "")
        there = "document.activeElement.closest('.strip').getAttribute('aria-label')"
        assert page.evaluate(there).startswith(rows[1]), "the focus is on the image that was enlarged"


def test_images_are_enlarged_by_clicks(browser: Any, scored: Path) -> None:
    with opened(browser, scored) as page:
        heat = page.locator("figure", has_text="foreground prior").first
        heat.locator("button").click()
        assert shown(page)[1] == "foreground prior"
        assert page.locator("dialog .bar").inner_text().split() == ["0", "1"]
        page.get_by_role("button", name="Next").click()
        assert shown(page)[1] == "mask, from the tags"
        page.locator("dialog img").click()
        assert shown(page) == ("", "")


def test_folded_parts_are_printed(browser: Any, scored: Path) -> None:
    with opened(browser, scored) as page:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details[open]").count() == page.locator("details").count() > 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


def test_legends_name_what_is_there(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    dataset = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    record = dataset.records[0]
    size = read_mask(mask_path(run.masks, record.name)).shape
    mask = np.zeros(size, np.uint8)
    mask[:9], mask[20:], mask[:, :9] = 255, 2, 0
    write_mask(mask_path(run.masks, record.name), mask)
    drawn = small_overlay(run, record, dataset.classes, "safe")
    assert drawn is not None
    assert [name for name, _ in drawn.legend] == [dataset.classes[1], "undecided"]
    assert drawn.legend[0][1] == "#56b4e9"
    mask[:] = 0
    write_mask(mask_path(run.masks, record.name), mask)
    drawn = small_overlay(run, record, dataset.classes, "safe")
    assert drawn is not None
    assert [name for name, _ in drawn.legend] == ["background alone"]


def test_undecided_pixels_are_said(shapes: TinyDataset, scored: Path, tmp_path: Path) -> None:
    segmenter, run = Segmenter.from_pretrained(scored), RunFolder(scored)
    record = next(one for one in gather(run).dataset.records if one.present)
    write_mask(tmp_path / "gt.png", np.full((48, 64), 255, np.uint8))
    write_mask(tmp_path / "small.png", np.ones((10, 20), np.uint8))
    steps = steps_of(segmenter, run, dataclasses.replace(record, gt_mask=tmp_path / "gt.png"), "safe")
    assert steps.thumbnails[-1].caption == "ground truth"
    assert steps.thumbnails[-1].legend == (("undecided", HATCHED),)
    assert not steps.notes
    for name, note in (
        ("small.png", "ground truth: not shown, it has 20 x 10 pixels and the image 64 x 48"),
        ("no", ""),
    ):
        steps = steps_of(segmenter, run, dataclasses.replace(record, gt_mask=tmp_path / name), "safe")
        assert steps.thumbnails[-1].caption == "prediction, without tags"
        assert steps.notes == [note or f"ground truth: there is no {tmp_path / name}"]
