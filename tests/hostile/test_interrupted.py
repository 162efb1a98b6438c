"""Commands that are killed, interrupted or run out of disk: what is there is whole, and the next call goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tag2mask import cli
from tag2mask.masks import read_mask
from tests.helpers import write_shapes

COUNT = 60
COMMAND = [sys.executable, "-m", "tag2mask"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("many"), COUNT, seed=900).images


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def whole(folder: Path) -> dict[str, int]:
    """Name and time of writing of each mask, after reading it."""
    found = {}
    for path in sorted(folder.rglob("*.png")):
        if not path.name.startswith("."):
            assert read_mask(path).shape == (48, 64)
            found[path.name] = path.stat().st_mtime_ns
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process; returns its exit status and what it wrote on standard error."""

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capfd.readouterr().err

    return call


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("how", "status"),
    [
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.thorough),
        pytest.param(signal.SIGTERM, None, marks=pytest.mark.thorough),
    ],
)
def test_predict_goes_on_after_it_was_stopped(
    trained: Path,
    images: Path,
    tmp_path: Path,
    run: Callable[..., tuple[int, str]],
    how: signal.Signals,
    status: int | None,
) -> None:
    out = tmp_path / "masks"
    arguments = ["predict", str(trained), str(images), "--out", str(out)]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300  # taken for hung then
    while len(list(out.glob("[!.]*.png"))) < 5 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(how)
    code = process.wait(300)
    if code == 0:
        pytest.skip("too fast to be interrupted here")
    assert status is None or code == status
    before = whole(out)
    assert 5 <= len(before) < COUNT
    assert run(*arguments)[0] == 0
    after = whole(out)
    assert len(after) == COUNT
    assert {name: after[name] for name in before} == before, "masks that were there are kept"
    assert run("export", out, "--to", "coco", "--out", tmp_path / "all.json")[0] == 0
    assert len(json.loads((tmp_path / "all.json").read_text())["images"]) == COUNT


@pytest.mark.timeout(600)
def test_a_full_disk_is_named_and_costs_nothing(
    trained: Path, images: Path, small_disk: Path, run: Callable[..., tuple[int, str]]
) -> None:
    out = small_disk / "masks"
    status, said = run("predict", trained, images, "--out", out)
    assert status == 1
    assert "No space left" in said
    assert "check space" in said
    assert "Traceback" not in said
    before = whole(out)
    assert 0 < len(before) < COUNT
    status, said = run("export", out, "--to", "coco", "--out", small_disk / "all.json")
    assert status == 1
    assert "Traceback" not in said
    assert not (small_disk / "all.json").exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run("predict", trained, images, "--out", out)[0] == 0
    after = whole(out)
    assert len(after) == COUNT
    assert {name: after[name] for name in before} == before
