"""A few damaged files of every reader and image kind; `make fuzz` reads thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data.problem import Problem
from tests.hostile import fuzz
from tests.hostile.seeds import SEEDS, Account, Seed

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("FUZZ_COUNT", "20"))


@pytest.mark.timeout(3600)
def test_no_damaged_file_gives_a_traceback_or_is_left_out_unsaid(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.fuzz", "--count", str(COUNT), "--failures", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _read_first(root: Path) -> object:
    text = (root / "a.txt").read_bytes()
    if text.startswith(b"right"):
        return Account(frozenset({"a.jpg", "b.jpg"}), frozenset({"a.jpg", "b.jpg"}))
    if len(text) % 4 == 0:
        raise DataError("a.txt: damaged")
    if len(text) % 4 == 1:
        raise ValueError("a fault")
    if len(text) % 4 == 2:
        while True:
            pass
    return Account(frozenset({"a.jpg", "b.jpg"}), frozenset({"a.jpg"}))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="time limits need signals")
def test_the_fuzzer_finds_each_kind_of_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = Seed(lambda: {"a.txt": b"right"}, "a.txt", _read_first)
    monkeypatch.setitem(SEEDS, "one", seed)
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    monkeypatch.setattr(fuzz, "MEMORY_MB", 1 << 20)  # a fork starts with the memory of all tests before it
    result = fuzz.fuzz("one", 60, 3, tmp_path)
    reasons = " ".join(result.faults.values())
    assert result.read
    assert result.refused
    assert "ValueError: a fault" in reasons
    assert "of processor time" in reasons
    assert "left out unsaid: b.jpg" in reasons
    assert len(list(tmp_path.iterdir())) == len(result.faults)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that ends is a fork")
def test_a_process_that_ends_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(root: Path) -> None:
        if (root / "a.txt").read_bytes() != b"right":
            os._exit(3)

    monkeypatch.setitem(SEEDS, "one", Seed(lambda: {"a.txt": b"right"}, "a.txt", read))
    result = fuzz.fuzz("one", 5, 3, tmp_path)
    assert result.faults == {0: "the process ended with exit status 3"}


def test_what_counts_as_said() -> None:
    expected = frozenset({"x/a.jpg", "b.jpg", "c.jpg", "d.jpg"})
    problems = (Problem("bad", "Annotations/b.xml: damaged"), Problem("bad", "folder x with 1 images is no class"))
    assert Account(expected, frozenset({"c.jpg"}), problems[:1]).unsaid() == ["d.jpg", "x/a.jpg"]
    assert Account(expected, frozenset({"c.jpg", "d.jpg"}), problems).unsaid() == []
