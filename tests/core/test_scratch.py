"""Temporary folders: removed at the end, and by the next process where this one was killed; never another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tag2mask.core.scratch import scratch_folder, sweep

PREFIX = "tag2mask-test-"
HOLDER = f"""
import sys, time
from tag2mask.core.scratch import scratch_folder
with scratch_folder({PREFIX!r}) as folder:
    (folder / "upload.jpg").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_ends_with_its_context(temporary: Path) -> None:
    with scratch_folder(PREFIX) as folder:
        (folder / "deep").mkdir()
        assert sweep(PREFIX) == 0
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes in another way")
def test_the_folder_of_a_killed_process_is_swept_and_no_other(temporary: Path) -> None:
    (temporary / f"{PREFIX}of-another-program").mkdir()
    outside = temporary / "outside"
    outside.mkdir()
    (outside / ".in-use").touch()
    (temporary / f"{PREFIX}link").symlink_to(outside, target_is_directory=True)
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(2)
    ]
    folders = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout]
    try:
        holders[0].kill()
        holders[0].wait()
        assert [folder.is_dir() for folder in folders] == [True, True]
        assert sweep(PREFIX) == 1
        assert [folder.is_dir() for folder in folders] == [False, True]
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            if holder.stdout:
                holder.stdout.close()
    assert sweep(PREFIX) == 1
    names = sorted(path.name for path in temporary.iterdir())
    assert names == ["outside", f"{PREFIX}link", f"{PREFIX}of-another-program"]
