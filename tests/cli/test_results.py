"""What the commands say and return where images fail or have odd names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tag2mask import cli
from tests.helpers import draw_shapes, write_image, write_images

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; returns its exit status and everything it printed."""

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capfd.readouterr()
        return int(stop.value.code or 0), captured.out + captured.err

    return call


@pytest.mark.parametrize("engine", [(), ("--engine", "local")])
def test_nothing_done_is_an_error(trained: Path, tmp_path: Path, run: Run, engine: tuple[str, ...]) -> None:
    if engine:
        pytest.importorskip("fsspec")
        pytest.importorskip("pyarrow")
    for k in range(3):
        (tmp_path / f"{k}.jpg").write_bytes(b"" if k else b"no image")
    status, said = run("predict", trained, tmp_path, "--out", tmp_path / "m", *engine)
    assert status == 1
    assert "0 masks written" in said
    assert "error: nothing was done: 3 images failed" in said
    assert "the file is empty (0 bytes)" in said
    assert len((tmp_path / "m" / "failures.csv").read_text().splitlines()) == 4
    write_image(tmp_path / "3.png", draw_shapes(("disc",))[0])
    status, said = run("predict", trained, tmp_path, "--out", tmp_path / "m", *engine)
    assert (status, "1 mask written" in said, "3 images skipped" in said) == (3, True, True)
    status, said = run("predict", trained, tmp_path, "--out", tmp_path / "m", *engine)
    assert (status, "1 was already there" in said) == (3, True)


def test_one_image_that_fails(trained: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    status, said = run("predict", trained, tmp_path / "a.jpg", "--out", tmp_path / "m")
    assert status == 1
    assert "nothing was done: 1 image failed" in said
    status, said = run("predict", trained, tmp_path / "none.jpg", "--out", tmp_path / "m")
    assert status == 1
    assert "none.jpg: no such image or folder; check the path" in said


def test_no_control_character_reaches_the_terminal(trained: Path, tmp_path: Path, run: Run) -> None:
    odd = "a\x1b[2J\nb\x9b"
    photos = write_images(tmp_path / f"in{odd}", ["c/1.png", "d/2.png", f"c/{odd}.png"])
    (photos / "c" / f"bad{odd}.jpg").write_bytes(b"no image")
    (photos / "d" / f"{odd}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    for words in (
        ("check", photos),
        ("check", photos / "c", "--format", "images"),
        ("predict", trained, photos, "--out", tmp_path / f"out{odd}"),
        ("predict", trained, photos / "none", "--out", tmp_path / f"out{odd}"),
        ("export", tmp_path / f"out{odd}", "--to", "coco", "--out", tmp_path / "x.json", "--images", photos / "d"),
    ):
        _, said = run(*words)
        assert not set(said) & {"\x1b", "\x9b"}, said
        assert "Traceback" not in said
        assert r"\x1b[2J\nb\x9b" in said or words[0] in ("check",), said


def test_a_class_folder_with_a_line_break_is_refused(tmp_path: Path, run: Run) -> None:
    photos = write_images(tmp_path / "photos", [f"{name}/{k}.png" for name in ("a\nb", "c") for k in range(3)])
    status, said = run("check", photos)
    assert status == 1
    assert "cannot be a class name: it holds" in " ".join(said.replace("│", " ").split())
