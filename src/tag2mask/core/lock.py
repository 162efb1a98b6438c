"""A folder that one process writes at a time.

The operating system holds the lock (flock), so that it ends with its process, however that ends: a lock file that
a killed process has left holds nobody up.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.files import is_running, make_folder
from tag2mask.core.text import printable

LOCK = ".tag2mask.lock"
"""File in a folder that is being written, with its owner; it is removed at the end."""

_OWNER = re.compile(r"process (?P<pid>\d+) on (?P<host>.*), since ")
_OWNER_BYTES = 400
_FAR = 1 << 30  # the byte that is locked on Windows, where it cannot be read then

_log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path, *, remedy: str = "or choose another `out`") -> Iterator[None]:
    """Hold a folder, which is created, while the context lasts; a new one that stays empty goes again.

    Where the file system knows no locks (some network drives), a warning says so and nothing is held.

    Args:
        folder: the folder.
        remedy: what one can do other than wait, for the message.

    Raises:
        DataError: another process, or another call in this one, holds it; the message names the owner.
    """
    is_new = not folder.exists()
    path = make_folder(folder) / LOCK
    handle = _acquired(path, remedy)
    try:
        yield
    finally:
        if handle is not None:
            path.unlink(missing_ok=True)
            os.close(handle)
        if is_new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _acquired(path: Path, remedy: str) -> int | None:
    """A handle that holds the lock; None where the file system has none."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise DataError(
                f"{printable(path)}: cannot write here ({error.strerror}); check space and permissions"
            ) from error
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError):
            owner = _owner(handle)
            if _has_ended(owner) and _is_still(path, handle):
                path.unlink(missing_ok=True)  # a child that it left behind still holds the file: others get a new one
                os.close(handle)
                continue
            os.close(handle)
            raise DataError(
                f"{printable(path.parent)}: {owner or 'another process'} is writing to this folder; wait until it has "
                f"ended, {remedy}"
            ) from None
        except OSError as error:
            os.close(handle)
            _log.warning(
                "%s: this file system cannot lock it (%s); let only one process write there",
                printable(path.parent),
                error.strerror,
            )
            return None
        if _is_still(path, handle):
            _write_owner(handle)
            return handle
        os.close(handle)  # its owner removed it in between


def _is_still(path: Path, handle: int) -> bool:
    """Whether the file that was locked is the one that others find."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def _write_owner(handle: int) -> None:
    about = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    try:
        os.ftruncate(handle, 0)
        os.write(handle, about.encode(errors="replace")[:_OWNER_BYTES])
    except OSError:  # a full disk: the lock holds, the next thing that is written says so
        pass


def _owner(handle: int) -> str:
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        text = os.read(handle, _OWNER_BYTES).decode(errors="replace").strip()
    except OSError:
        text = ""
    return printable(text)


def _has_ended(owner: str) -> bool:
    """Whether the owner of a lock was a process of this machine that has ended."""
    found = _OWNER.match(owner)
    return found is not None and found["host"] == printable(socket.gethostname()) and not is_running(int(found["pid"]))


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
