"""One `tag2mask train` in a process of its own, which outlives the server that starts it, and is found by the next.

A folder of its starter has `process.json` and `log.txt`, and `process.lock`, which the process holds as long as it
lives: a server that starts again sees by it whether the training still runs, whatever the numbers of processes are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.files import is_running, make_folder, write_text
from tag2mask.core.text import printable

_NICENESS = 5  # the page answers first
_LOG_BYTES = 64 << 10  # of the end of the log
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []  # they may outlive their starter, of which Python would warn


@dataclass(frozen=True, slots=True)
class About:
    """What `process.json` says.

    Attributes:
        pid: of the process.
        started: seconds since the epoch.
        arguments: of `tag2mask`, without resuming.
        is_stopped: somebody asked it to stop.
        is_taken: its end was seen, and the project shows its masks.
    """

    pid: int
    started: float
    arguments: tuple[str, ...]
    is_stopped: bool = False
    is_taken: bool = False


class RunProcess:
    """The process of a run, whoever started it; its files say all."""

    def __init__(self, run: Path, home: Path):
        """Name a process, which need not be there.

        Args:
            run: folder that it trains into.
            home: folder of `process.json` and its like.
        """
        self.run = run
        self.home = home
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the process says."""
        return self.home / "log.txt"

    def about(self) -> About | None:
        """What is known of the process; None where none was started."""
        try:
            tree = json.loads((self.home / "process.json").read_text(encoding="utf-8"))
            return About(
                int(tree["pid"]),
                float(tree["started"]),
                tuple(map(str, tree["arguments"])),
                bool(tree["is_stopped"]),
                bool(tree["is_taken"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, **changed: Any) -> None:
        """Change what `process.json` says."""
        about = self.about()
        if about is not None:
            self._write(replace(about, **changed))

    def start(self, arguments: Sequence[str], *, resume: Sequence[str] = (), folder: Path | None = None) -> None:
        """Start `tag2mask` with these arguments; standard output and error go to the log.

        Args:
            arguments: of the command line, the command first.
            resume: further ones, of this time alone.
            folder: the current folder of the process; None: `home`.

        Raises:
            DataError: a process of this run lives, or none can be started.
        """
        make_folder(self.home)
        # Not the current folder, whose modules would be found first.
        words = [sys.executable, "-P", "-m", "tag2mask", *arguments, *resume]
        # Written first: a server that is killed now finds the lock, and then the process.
        self._write(About(0, time.time(), tuple(arguments)))
        with self.log.open("ab") as log:
            try:
                self._child = _spawn(words, self.home, log, folder or self.home)
            except OSError as error:
                raise DataError(f"the training cannot be started ({error.strerror})") from error
        with suppress(OSError, AttributeError):  # no such right, or another system
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICENESS)
        _LEFT_RUNNING[:] = [*(child for child in _LEFT_RUNNING if child.poll() is None), self._child]
        self.note(pid=self._child.pid)

    def lives(self) -> bool:
        """Whether the process runs."""
        if self._child is not None and self._child.poll() is None:
            return True
        if not _CAN_LOCK:
            about = self.about()
            return about is not None and self._child is None and about.pid > 0 and is_running(about.pid)
        return _is_locked(self.home)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, where it runs."""
        about = self.about()
        if about is not None and about.pid > 0 and self.lives():
            with suppress(ProcessLookupError):
                os.kill(about.pid, number)

    def tail(self, lines: int) -> list[str]:
        """The last lines of the log, without control characters."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LOG_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return [printable(line) for line in text.replace("\r", "\n").split("\n") if line.strip()][-lines:]

    def progress(self) -> Mapping[str, Any]:
        """What `progress.json` says; where this process has not written it yet, the epochs that were done before."""
        try:
            found: dict[str, Any] = json.loads((self.run / "progress.json").read_text(encoding="utf-8"))
            updated = float(found["updated"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        about = self.about()
        if about is not None and updated < about.started:
            return {name: found.get(name) for name in ("epoch", "epochs")}
        return found

    def _write(self, about: About) -> None:
        write_text(self.home / "process.json", json.dumps(asdict(about), ensure_ascii=False, indent=1) + "\n")


if sys.platform == "win32":
    _CAN_LOCK = False

    def _spawn(words: Sequence[str], home: Path, log: Any, folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )

    def _is_locked(home: Path) -> bool:
        raise NotImplementedError

else:
    import fcntl

    _CAN_LOCK = True

    def _spawn(words: Sequence[str], home: Path, log: Any, folder: Path) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, which takes over the lock."""
        handle = _lock(home)
        if handle is None:
            raise DataError(f"{printable(home)}: this run is in training already; wait, or stop it first")
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
                pass_fds=(handle,),
            )
        finally:
            os.close(handle)  # the lock stays with the process, whose handle is the same

    def _lock(home: Path) -> int | None:
        """A handle that holds the lock; None where another process does."""
        handle = os.open(home / "process.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def _is_locked(home: Path) -> bool:
        if not (home / "process.lock").is_file():
            return False
        handle = _lock(home)
        if handle is None:
            return True
        os.close(handle)
        return False
