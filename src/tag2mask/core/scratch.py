"""Temporary folders that do not outlive their process: those that a killed one left are removed by the next."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)
_MARK = ".in-use"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder, readable by this user alone, removed at the end of the context.

    A file in it is locked while the process lives: `sweep` removes the folders in which it is not.

    Args:
        prefix: of its name, such as `tag2mask-serve-`.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    mark = (folder / _MARK).open("w")
    try:
        with suppress(OSError):  # a file system without locks: then `sweep` removes nothing
            _lock(mark)
        yield folder
    finally:
        mark.close()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(prefix: str) -> int:
    """Remove the folders of `scratch_folder` that processes which were killed have left; their number.

    Only folders of this user with the mark that `scratch_folder` sets are removed, and none that is in use.
    """
    removed = 0
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{prefix}*")):
        with suppress(OSError):
            if _is_ours(folder) and _is_left(folder / _MARK):
                shutil.rmtree(folder)
                removed += 1
    if removed:
        _log.info("removed %d temporary folders that an earlier process left", removed)
    return removed


def _is_ours(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())


def _lock(mark: IO[str]) -> None:
    """Lock a file until it is closed, however its process ends.

    `core.lock` lets its caller through where the file system knows no locks; here that would remove what is in use.
    """
    with suppress(ImportError):  # Windows removes no open file, which is enough
        import fcntl

        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_left(mark: Path) -> bool:
    """Whether no process holds the mark."""
    if not stat.S_ISREG(mark.lstat().st_mode):
        return False
    try:
        with mark.open("r+") as file:
            _lock(file)
        mark.unlink()
    except OSError:
        return False
    return True
