"""Files that are written whole or not at all, and what a killed run leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, is_temporary, sweep_beside, sweep_temporary, temporary_folder, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from tag2mask.core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "sub"
    subprocess.run([sys.executable, "-c", KILLED, folder / "a.png"], check=False)
    [left] = folder.iterdir()
    assert is_temporary(left.name)
    others = [".mine.png", ".mine.tmp.png", "x.tmp.png", ".a.abcdefgh.tmp.png", ".a.0badc0de-1-abcdefgh.tmp.png"]
    for name in others:  # the last two: of an older version, and of another machine; both may still be written
        (folder / name).write_bytes(b"x")
    with atomic_path(folder / "b.png") as temporary:
        assert sweep_temporary(tmp_path / "out") == 1
        assert temporary.exists(), "this process still writes it"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "b.png"])
    for name in others:
        os.utime(folder / name, (0, 0))
    assert sweep_temporary(tmp_path / "out") == 2
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others[:3], "b.png"])
    assert sweep_temporary(tmp_path / "none") == 0


def test_what_a_killed_export_left_is_removed_and_what_it_was_replacing_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "out.d"
    code = (
        "import os, signal, sys; from pathlib import Path; from tag2mask.core.files import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'new').mkdir(); (folder / 'old').mkdir(); (folder / 'old' / 'a').write_text('a')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    (tmp_path / ".out.mine.tmp").mkdir()
    for _ in range(2):  # the second time the output is there
        subprocess.run([sys.executable, "-c", code, out], check=False)
        assert sweep_beside(tmp_path / "other", previous="old") == 0
        assert sweep_beside(out, previous="old") == 1
        assert (out / "a").read_text() == "a"
        assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mine.tmp", "out.d"]
    with temporary_folder(out) as folder:
        assert sweep_beside(out, previous="old") == 0
        assert folder.is_dir()
    assert not folder.exists()
    assert sweep_beside(tmp_path / "none" / "x", previous="old") == 0


def test_an_error_leaves_neither_file_nor_temporary(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "before")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"
    with pytest.raises(DataError, match="writing failed"), atomic_path(tmp_path / "b.txt"):
        raise OSError(28, "No space left on device")
