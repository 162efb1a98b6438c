"""Writing files so that a reader never meets a half-written one, and folders that one process writes at a time."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable

_KEPT_SECONDS = 24 * 3600
"""Age from which a temporary file is left over, where nobody can say whether its process still runs."""

_TEMPORARY = re.compile(r"\..*\.(?:(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-)?[a-z0-9_]{8}\.tmp(?:\.\w+)?", re.DOTALL)
"""Names that `atomic_path` gives, with this machine and the process: the next run finds out whether it lives."""


def refuse_uncreatable(folder: Path) -> None:
    """Refuse a folder that `make_folder` could not create, without creating it.

    Raises:
        DataError: there is a file in the way, or the folder above it is not writable.
    """
    above = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    if not above.is_dir():
        raise DataError(f"{printable(folder)}: cannot create this folder ({above} is a file); choose another `out`")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"{printable(folder)}: {above} is not writable; change its permissions or choose another `out`")


def make_folder(folder: Path) -> Path:
    """Create `folder` with its parents and return it.

    Raises:
        DataError: it cannot be created or written to.
    """
    shown = printable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{shown}: cannot create this folder ({error.strerror}); choose another `out`") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"{shown}: this folder is not writable; change its permissions or choose another `out`")
    return folder


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    The temporary name keeps the suffix of `path`, which image libraries need. What a killed process leaves is removed
    by `sweep_temporary`.

    Raises:
        DataError: the folder cannot be written to, or the disk is full.
    """
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        Path(name).chmod(0o666 & ~_umask())
    except OSError as error:
        raise _not_written(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`, removed at the end; what a killed process leaves, `sweep_beside` removes.

    Raises:
        DataError: it cannot be created.
    """
    make_folder(path.parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_temporary(name: str) -> bool:
    """Whether a file has a name that `atomic_path` gives."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep_temporary(folder: Path) -> int:
    """Remove the temporary files that killed processes have left in `folder` and its subfolders.

    Removed are files with a name that `atomic_path` gives, of processes of this machine that have ended; of another
    machine, or of a version that did not name its process, those older than a day. Links are not followed.

    Returns:
        How many were removed.
    """
    removed = 0
    for place, _, names in os.walk(folder):
        for name in names:
            found = _TEMPORARY.fullmatch(name)
            if found is None:
                continue
            path = Path(place, name)
            try:
                if _is_left_over(found, path):
                    path.unlink()
                    removed += 1
            except OSError:  # gone already, or not ours to remove
                continue
    return removed


def sweep_beside(path: Path, *, previous: str) -> int:
    """Remove what killed processes have left while they wrote the file or folder `path`.

    Args:
        path: the file or folder.
        previous: name, in such a temporary folder, of what `path` was before: it is put back where `path` is missing.

    Returns:
        How many were removed.
    """
    removed = 0
    start = f".{path.stem[:40]}."
    for entry in list(path.parent.iterdir()) if path.parent.is_dir() else []:
        found = _TEMPORARY.fullmatch(entry.name)
        if found is None or not entry.name.startswith(start):
            continue
        with suppress(OSError):  # gone already, or not ours to remove
            if not _is_left_over(found, entry):
                continue
            if entry.is_dir():
                if (entry / previous).exists() and not path.exists():
                    (entry / previous).replace(path)
                shutil.rmtree(entry)
            else:
                entry.unlink()
            removed += 1
    return removed


def is_running(pid: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be found out."""
    if os.name == "nt":  # signal 0 is not a test there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_left_over(found: re.Match[str], path: Path) -> bool:
    if found["host"] == _host() and not is_running(int(found["pid"])):
        return True
    known = found["host"] == _host() and os.name != "nt"
    return not known and time.time() - path.stat().st_mtime > _KEPT_SECONDS


def _prefix(path: Path) -> str:
    """Beginning of the temporary names beside a path."""
    return f".{path.stem[:40]}.{_host()}-{os.getpid()}-"


def _host() -> str:
    """This machine, as eight hexadecimal digits."""
    return f"{zlib.crc32(socket.gethostname().encode(errors='replace')):08x}"


def _not_written(path: Path, error: OSError) -> DataError:
    return DataError(f"{printable(path)}: writing failed ({error.strerror}); check space and permissions")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
