"""One line of progress on a terminal of 80 columns, and lines of text beside it."""

from __future__ import annotations

import logging
import re
import sys

import pytest
from rich.console import Console

from tag2mask.cli.messages import log_lines
from tag2mask.core.progress import drawing_console, hidden, is_visible, note_step, one_line, progress_bar
from tag2mask.core.time_left import Part, TimeLeft

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def be_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both outputs say that they are a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)


def work(*, text: str = "") -> None:
    """A job of two stages, in which something is logged."""
    with one_line(TimeLeft([Part("steps", 3, 3600.0), Part("images for the principal components", 2, 5.0)])) as line:
        line.prefix("epoch 12/15, ")
        for done in range(4):
            note_step("steps", done, 3)
        if text:
            logging.getLogger("tag2mask.test").info("%s", text)
        line.prefix("")
        with progress_bar("images for the principal components", 2) as advance:
            advance()
            advance()


def test_stages_share_one_line_that_fits_and_makes_room_for_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_terminal(monkeypatch)
    with log_lines(Console(soft_wrap=True), Console(stderr=True), str):
        work(text="threshold measured")
    said = capsys.readouterr()
    assert said.out == ""  # printed by the console that draws the line, which knows where the line is
    frames = [CONTROL.sub("", part) for part in re.split(r"[\r\n]+", said.err)]
    assert "threshold measured" in frames
    assert all(len(frame) <= 80 for frame in frames)
    assert any(frame.startswith("epoch 12/15, steps ") and frame.rstrip().endswith("left") for frame in frames)
    assert any("principal" in frame and " left" in frame for frame in frames)
    assert drawing_console() is None


def test_text_stays_on_standard_output_where_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines(Console(soft_wrap=True), Console(stderr=True), str):
        work(text="threshold measured")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("threshold measured\n", "")


def test_hidden_progress_shows_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    be_terminal(monkeypatch)
    assert is_visible() and not is_visible(shown=False)
    with hidden():
        assert not is_visible()
        work()
        with progress_bar("masks", 1) as advance:
            advance()
    assert capsys.readouterr().err == ""
