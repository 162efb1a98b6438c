"""The server's side of the process that computes suggestions."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable

_MODULE = "tag2mask.studio.suggestion_worker"
_TAIL = 5  # lines of an unexpected end that are shown


class SuggestionProcess:
    """Starts the process when there is something to do; it ends by itself, or with `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def ask(self, command: Mapping[str, Any], said: Callable[[Mapping[str, Any]], None]) -> None:
        """Have a command done; returns when it is, or when the process was closed.

        Args:
            command: see `suggestion_worker`.
            said: called with each answer on the way.

        Raises:
            DataError: the process says an error, or ended.
        """
        for attempt in range(2):
            process = self._running()
            if process is None:
                return
            lines = self._answered(process, command, said)
            if lines is None or self._is_closed:
                return
            # It may have ended just now, after it had been idle: then there is nothing but an orderly end.
            if attempt or process.wait() or lines:
                end = " / ".join(lines) or "no message"
                raise DataError(f"computing suggestions ended with status {process.wait()}: {printable(end)}")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._is_closed = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)

    def _running(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._is_closed:
                return None
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    for stream in (self._process.stdin, self._process.stdout):
                        _close(stream)
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _MODULE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                )
            return self._process

    def _answered(
        self, process: subprocess.Popen[str], command: Mapping[str, Any], said: Callable[[Mapping[str, Any]], None]
    ) -> list[str] | None:
        """Send a command and pass its answers on: None when it is done, else the last lines of a process that ended.

        Raises:
            DataError: the process says an error.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        lines: list[str] = []
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = _answer(line)
                if answer is None:
                    lines = [*lines, line.rstrip()][-_TAIL:]
                elif "error" in answer:
                    raise DataError(str(answer["error"]))
                elif "ready" in answer:
                    return None
                else:
                    said(answer)
        except (OSError, ValueError):  # the process has ended, or was closed
            return lines
        return lines


def _answer(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:  # what was not sent is lost with the process
        return
