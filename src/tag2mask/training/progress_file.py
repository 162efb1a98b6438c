"""`progress.json` in the folder of a run: how far its training is, for other programs.

    {"stage": "training", "what": "steps", "done": 12, "total": 40, "epoch": 2, "epochs": 15, "seconds_left": 93.0,
     "images_per_second": 21.4, "error": null, "updated": 1764312648.2}

`stage` is `preparing`, `training`, `writing`, and at the end `done`, `stopped` (interrupted, can be resumed) or
`failed` (`error` says why). `what` is counted by `done` and `total`: `features`, `pseudo masks`, `steps`, `masks`, ...
`epoch` counts the epochs that have ended; `seconds_left` is of all that is left, masks too, as far as known. Null is
what is not known. A process that was killed leaves its last stage.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.files import write_text
from tag2mask.core.lock import LOCK
from tag2mask.core.progress import observed
from tag2mask.core.time_left import TimeLeft
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.run_folder import has_begun

Stage = Literal["preparing", "training", "writing", "done", "stopped", "failed"]

_SECONDS = 0.5  # between two writes of the same stage
_log = logging.getLogger(__name__)


class ProgressFile:
    """Writes the file, about twice a second at most while the stage stays the same.

    Nothing is written before `begin`: the folder may not be there, or belong to another run.
    """

    def __init__(self, path: Path, left: TimeLeft | None = None):
        """Prepare.

        Args:
            path: the file.
            left: of the training.
        """
        self.path = path
        self.left = left
        self._has_begun = False
        self._is_broken = False
        self._written = 0.0
        self._facts: dict[str, Any] = {
            "stage": "preparing",
            "what": None,
            "done": 0,
            "total": 0,
            "epoch": 0,
            "epochs": None,
            "seconds_left": None,
            "images_per_second": None,
            "error": None,
        }

    def begin(self) -> None:
        """Write from now on."""
        if not self._has_begun:
            self._has_begun = True
            self._write()

    def stage(self, stage: Stage, **facts: Any) -> None:
        """Enter a stage.

        Args:
            stage: its name.
            facts: other entries of the file that change.
        """
        self._facts |= {"stage": stage, "what": None, "done": 0, "total": 0, **facts}
        self._write()

    def know(self, **facts: Any) -> None:
        """Change other entries of the file, with the next step."""
        self._facts |= facts

    def step(self, what: str, done: int, total: int) -> None:
        """Note a step of the stage.

        Args:
            what: what is counted.
            done: steps that are done.
            total: of them all.
        """
        is_other = what != self._facts["what"]
        self._facts |= {"what": what, "done": done, "total": total}
        if is_other or done == total or time.monotonic() - self._written > _SECONDS:
            self._write()

    def _write(self) -> None:
        if not self._has_begun or self._is_broken:
            return
        self._facts["seconds_left"] = self._seconds_left()
        self._written = time.monotonic()
        try:
            write_text(self.path, json.dumps({**self._facts, "updated": round(time.time(), 2)}) + "\n")
        except DataError as error:  # training goes on, and fails by itself where its own files cannot be written
            self._is_broken = True
            _log.warning("%s; it is not written any more", error)

    def _seconds_left(self) -> float | None:
        if self.left is None or self._facts["stage"] in ("done", "stopped", "failed"):
            return None
        seconds = self.left.seconds()
        return None if seconds is None else round(seconds, 1)


_current: ContextVar[ProgressFile | None] = ContextVar("progress_file", default=None)


@contextmanager
def recorded_progress(run: RunFolder, left: TimeLeft | None = None) -> Iterator[ProgressFile]:
    """Write `progress.json` while a training lasts, and how it ended.

    It is written at once into a folder that is there already without a run; else from `begin_progress` on.

    Args:
        run: its folder.
        left: of the training.
    """
    file = ProgressFile(run.progress, left)
    if run.root.is_dir() and not has_begun(run) and not (run.root / LOCK).exists():
        file.begin()
    token = _current.set(file)
    try:
        with observed(file.step):
            yield file
    except KeyboardInterrupt:
        file.stage("stopped")
        raise
    except BaseException as error:
        is_said = isinstance(error, Tag2MaskError)
        file.stage("failed", error=str(error) if is_said else f"{type(error).__name__}: {error}")
        raise
    else:
        file.stage("done")
    finally:
        _current.reset(token)


def begin_progress() -> None:
    """Write from now on: the run's folder is held, and belongs to the training that runs."""
    file = _current.get()
    if file is not None:
        file.begin()


def current_progress() -> ProgressFile | None:
    """The file of the training that runs in this thread."""
    return _current.get()
