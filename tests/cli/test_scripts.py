"""What a script relies on: `--json` is one document on standard output, `--quiet` leaves the result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tag2mask import cli
from tests.helpers import TinyDataset, write_shapes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as the shell does; exit status, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capfd.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return call


def document(found: tuple[int, str, str], *, status: int = 0) -> Any:
    """The document on standard output, which holds nothing else."""
    assert found[0] == status, found
    return json.loads(found[1])


def test_masks_and_their_score(run: Run, trained: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(shapes.images.iterdir())[:3]:
        shutil.copy(path, images)
    (images / "broken.png").write_bytes(b"no image")
    out = tmp_path / "masks"
    found = run("predict", trained, images, "--out", out, "--json")
    assert "3 masks written" in found[2]
    told = document(found, status=3)
    assert (told["out"], told["what"], told["written"], told["kept"], told["skipped"]) == (str(out), "masks", 3, 0, 1)
    assert [one["image"] for one in told["failures"]] == ["broken.png"] and "broken.png" in told["failures"][0][
        "reason"
    ]
    again = run("predict", trained, images, "--out", out, "--json", "--quiet")
    assert document(again, status=3)["kept"] == 3 and "--overwrite" in document(again, status=3)["notes"][0]
    assert "written" not in again[2] and "skipped: " in again[2]
    truth = tmp_path / "truth"
    truth.mkdir()
    for path in out.glob("*.png"):
        shutil.copy(shapes.root / "masks" / path.name, truth)
    score = document(run("evaluate", out, truth, "--classes", shapes.class_file, "--json"))
    assert 0 <= score["mIoU"] <= 1 and score["images"] == 3
    exported = document(
        run("export", out, "--to", "coco", "--out", tmp_path / "coco.json", "--images", images, "--json")
    )
    assert exported["written"] == 3
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "broken.png").write_bytes(b"no image")
    failed = run("predict", trained, nothing, "--out", tmp_path / "none", "--json")
    assert document(failed, status=1)["written"] == 0 and "error: nothing was done" in failed[2]


def test_a_training_and_its_verdict(run: Run, trained: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    words: tuple[object, ...] = (
        "train",
        shapes.images,
        "--tags",
        shapes.tags,
        "--classes",
        shapes.class_file,
        "--out",
        out,
        "--resume",
    )
    words += ("--config", trained / "config.yaml", "--no-report", "--epochs", 30)
    told = document(run(*words, "--json"))
    assert (told["run"], told["masks"], told["images"], told["failures"]) == (str(out), str(out / "masks"), 48, [])
    assert told["verdict"]["overall"] in ("green", "amber", "red") and set(told["verdict"]["classes"]) == set(
        shapes.classes
    )
    status, said, errors = run("-q", *words)
    assert status == 0 and [line.partition(" ")[0] for line in said.splitlines()] == ["verdict:", "the"]
    assert "epoch" not in errors


def test_a_check_that_fails_still_prints_its_document(run: Run, tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 3)
    next(tiny.images.iterdir()).write_bytes(b"no image")
    words = ("check", tiny.images, "--tags", tiny.tags)
    told = document(run(*words, "--json"), status=1)
    assert told["document"] == "tag2mask check" and told["findings"]
    assert document(run(*words, "--json", "-", "--quiet"), status=1) == told


def test_lists(run: Run) -> None:
    formats = document(run("formats", "--json"))
    assert {"csv", "coco"} <= {one["name"] for one in formats["read"]}
    assert {"coco": ".json"}.items() <= {one["name"]: one["suffix"] for one in formats["written"]}.items()
    assert document(run("backbones", "resnet18", "--json"))["resnet18"]["parameters"] > 1e7


def test_errors_leave_standard_output_empty(run: Run, tmp_path: Path) -> None:
    status, said, errors = run("report", tmp_path / "none", "--json")
    assert (status, said) == (1, "") and "no such run" in errors


def test_quiet_may_follow_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, said, _ = run("formats", "--quiet")
    assert (0, said, "") == run("--quiet", "formats") == run("formats")
    status, _, errors = run("formats", "--", "--quiet")
    assert status == 2 and "unexpected extra argument" in errors


def test_bash_completes_options(tmp_path: Path) -> None:
    bash, program = shutil.which("bash"), Path(sys.executable).with_name("tag2mask")
    if bash is None or not program.is_file():
        pytest.skip("needs bash and the command `tag2mask` beside Python")
    script = tmp_path / "complete.sh"
    script.write_text(
        'eval "$(tag2mask --show-completion bash)"\n'
        "COMP_WORDS=(tag2mask --quiet train --epo) COMP_CWORD=3\n"
        '_tag2mask_completion tag2mask && echo "${COMPREPLY[@]}"\n'
    )
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run([bash, script], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    assert told.stdout.split() == ["--epochs"], told.stderr
