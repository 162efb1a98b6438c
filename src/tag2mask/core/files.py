"""Writing files so that a reader never meets a half-written one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tag2mask.core.errors import DataError


def make_folder(folder: Path) -> Path:
    """Create `folder` with its parents and return it.

    Raises:
        DataError: it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot create this folder ({error.strerror}); choose another `out`") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"{folder}: this folder is not writable; change its permissions or choose another `out`")
    return folder


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    The temporary name keeps the suffix of `path`, which image libraries need.

    Raises:
        DataError: the folder cannot be written to, or the disk is full.
    """
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        Path(name).chmod(0o666 & ~_umask())
    except OSError as error:
        raise DataError(f"{path}: cannot write here ({error.strerror}); check space and permissions") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: writing failed ({error.strerror}); check space and permissions") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
