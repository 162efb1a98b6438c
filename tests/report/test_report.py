from __future__ import annotations

import re
from pathlib import Path

import pytest

from tag2mask import cli, train
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.models.checkpoint import RunFolder
from tag2mask.report import write_report
from tag2mask.report.facts import gather
from tests.browser import chromium
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyCollection


@pytest.fixture(scope="module")
def scored(shapes: TinyCollection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with human masks to compare with, and its report."""
    out = tmp_path_factory.mktemp("report") / "my <run> & co"
    options = {**TINY_OPTIONS, "training.epochs": 3}
    return train(shapes.images, shapes.tags, masks=shapes.masks, out=out, options=options).run


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
        "human mask",
        "class map: disc",
        "foreground prior",
    ):
        assert title in text
    plain = text_of(trained)
    assert "human mask" not in plain
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
    said = [[float(text.split()[-1]) for _, text in group.items] for group in facts.groups]
    assert min(said[0]) >= max(said[1]) >= min(said[1]) >= max(said[2])
    names = [item.name for group in facts.groups for item, _ in group.items]
    assert len(names) == len(set(names)) == 9


def test_the_command(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tag2mask", "report", str(scored), "--out", str(tmp_path / "a.html")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="expected 'safe' or 'voc'"):
        write_report(scored, palette="red")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such run"):
        write_report(tmp_path / "none")


def test_photographs_that_are_gone_are_said(shapes: TinyCollection, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(shapes.images, tmp_path / "photos")
    options = {**TINY_OPTIONS, "training.epochs": 2}
    run = train(tmp_path / "photos", shapes.tags, out=tmp_path / "run", options=options, make_report=False).run
    assert not (run / "report.html").exists()
    shutil.rmtree(tmp_path / "photos")
    text = write_report(run).read_text(encoding="utf-8")
    assert "Not readable any more" in text


@pytest.mark.parametrize("width", [1200, 360])
def test_in_a_browser(scored: Path, width: int) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 800})
        requests: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto((scored / "report.html").resolve().as_uri())
        assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
        assert len([url for url in requests if url.startswith("file:")]) == 1
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
        violations = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["impact"]) for one in violations if one["impact"] in {"serious", "critical"}] == []
