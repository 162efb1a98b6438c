"""The verdict in the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tag2mask.cli import verdict as shown
from tag2mask.core.files import write_text


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(record=True, width=100, highlight=False, soft_wrap=True, force_terminal=False)
    monkeypatch.setattr(shown, "out_console", console)
    return console


DOCUMENT = """{"overall": "red", "reason": "all images are black", "missing": ["how it looks"],
"classes": {"cat [1]": {"overall": "red", "reason": "it never occurs", "others": ["it is rare"]},
            "dog": {"overall": "green", "reason": "fine", "others": []}},
"findings": [{"overall": "red", "code": "empty-images", "what": "9 images: nearly uniform", "remedy": "remove them"}],
"next": [{"command": "tag2mask check 'my photos' --tags %s", "why": "see which"}]}"""


def test_lights_are_words_and_commands_stay_whole(
    tmp_path: Path, printed: Console, caplog: pytest.LogCaptureFixture
) -> None:
    long = "x" * 150 + ".csv"
    write_text(tmp_path / "verdict.json", DOCUMENT % long)
    with caplog.at_level("INFO", "tag2mask"):
        shown.show_verdict(tmp_path)
    text = printed.export_text()
    assert "cat [1]" in text
    assert "it never occurs; it is rare" in text
    assert "verdict: red; do not use these masks: all images are black" in text
    assert f"tag2mask check 'my photos' --tags {long}\n" in text
    assert {"red: 9 images: nearly uniform", "  remedy: remove them", "not known: how it looks"} <= set(caplog.messages)


def test_a_run_without_a_verdict_shows_none(tmp_path: Path, printed: Console) -> None:
    shown.show_verdict(tmp_path)
    assert printed.export_text() == ""
