"""A folder has one writer at a time; the lock of a dead one does not count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.core.lock import LOCK, locked

HOLDER = """
import sys, time
from pathlib import Path
from tag2mask.core.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_ends_or_dies(tmp_path: Path) -> None:
    for stop in (signal.SIGKILL, None):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            refusal = rf"process {holder.pid} on .*wait.*choose another `out`"
            with pytest.raises(DataError, match=refusal), locked(tmp_path):
                pass
            if stop is not None:
                holder.send_signal(stop)
            holder.communicate()
        assert (tmp_path / LOCK).exists() == (stop is not None)
        with locked(tmp_path):
            pass
        assert not (tmp_path / LOCK).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_child_of_a_dead_owner_does_not_hold_the_folder(tmp_path: Path) -> None:
    forking = HOLDER.replace(
        "    print", "    import os\n    child = os.fork()\n    if not child: time.sleep(60)\n    print"
    )
    with subprocess.Popen(
        [sys.executable, "-c", forking.replace('"held"', "child"), tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(DataError, match="is writing to this folder"), locked(tmp_path):
                pass
            holder.kill()
            holder.wait()
            refused = pytest.raises(DataError, match=f"process {os.getpid()} on")
            with locked(tmp_path), refused, locked(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_two_calls_in_one_process(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(DataError, match=f"process {os.getpid()} on"), locked(tmp_path):
            pass
        with locked(tmp_path / "other"):
            (tmp_path / "other" / "a.txt").write_text("x")
        with locked(tmp_path / "empty"):
            pass
    assert (tmp_path / "other").exists()
    assert not (tmp_path / "empty").exists(), "a new folder without anything in it"
    with locked(tmp_path):
        pass
