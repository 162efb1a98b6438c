"""What Label Studio sent and is not taken over yet: a file each, so that a kill loses nothing.

Label Studio waits a second for the answer to a webhook and does not ask again. So an event is written down, answered,
and taken over by a thread, which may have to fetch an image first. What cannot be taken over goes into `failed`, with
the reason beside it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.files import make_folder, write_text
from tag2mask.core.text import printable

_log = logging.getLogger(__name__)

Event = Mapping[str, Any]


class Inbox:
    """Events in a folder, handled one after the other in the order in which they came."""

    def __init__(self, folder: Path, handle: Callable[[Event], None]):
        """Begin with the events that are there; `start` handles them.

        Args:
            folder: of the events, created if missing.
            handle: takes one over; a `Tag2MaskError` says why it cannot be.
        """
        self._folder = make_folder(folder)
        self._handle = handle
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._stopped = threading.Event()
        self._last = 0
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)

    def start(self) -> None:
        """Handle events from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the event in work; the others stay for the next time."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def put(self, event: Event) -> None:
        """Write an event down; on disk when this returns."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            self._idle.clear()
            write_text(self._folder / f"{self._last}.json", json.dumps(event, ensure_ascii=False))
        self._wake.set()

    def wait(self, seconds: float) -> bool:
        """Wait until all events are handled; whether they are."""
        return self._idle.wait(seconds)

    def waiting(self) -> int:
        """Events that are not handled yet."""
        return len(self._waiting())

    def failed(self) -> int:
        """Events that could not be taken over."""
        return len(list((self._folder / "failed").glob("*.txt")))

    def _waiting(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.json") if not path.name.startswith("."))

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            for path in self._waiting():
                if self._stopped.is_set():
                    return
                self._take(path)
            with self._lock:
                if not self._waiting():
                    self._idle.set()
            self._wake.wait()

    def _take(self, path: Path) -> None:
        try:
            self._handle(json.loads(path.read_text("utf-8")))
        except Exception as error:  # whatever one event has in it, the others shall be handled
            reason = str(error) if isinstance(error, Tag2MaskError) else repr(error)
            _log.error("an annotation was not taken over: %s (kept as failed/%s)", printable(reason), path.name)
            if not isinstance(error, Tag2MaskError):
                _log.debug("", exc_info=True)
            failed = make_folder(self._folder / "failed")
            write_text(failed / f"{path.stem}.txt", f"{reason}\n")
            path.replace(failed / path.name)
        else:
            path.unlink()
