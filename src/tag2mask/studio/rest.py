"""Masks of the images that the chosen run was not trained on: predicted in the background, on request."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tag2mask.core.errors import DataError
from tag2mask.core.machine import give_way
from tag2mask.core.progress import observed
from tag2mask.core.record import ImageRecord
from tag2mask.images.folder import without_suffix
from tag2mask.inference.folder import ABOUT, FolderOptions, write_masks
from tag2mask.studio.masks_of import WRITTEN, MasksOf, Network, tags_in_run

_NICENESS = 10  # the page answers first

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestStatus:
    """How far the predictions are.

    Attributes:
        state: `idle`: nothing was asked for; `stopped`: it goes on where it was.
        missing: images without a mask of the chosen run.
        done, total: of those that were asked for.
        error: why it failed.
    """

    state: Literal["idle", "running", "done", "stopped", "failed"] = "idle"
    missing: int = 0
    done: int = 0
    total: int = 0
    error: str | None = None


class _StoppedError(Exception):
    """Somebody asked to stop."""


@dataclass(slots=True)
class Rest:
    """Predicts the masks that are missing; threads may share it.

    Attributes:
        masks: of the project.
        notify: called when masks were written.
    """

    masks: MasksOf
    notify: Callable[[], None] = lambda: None
    _status: RestStatus = field(default_factory=RestStatus)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self) -> RestStatus:
        """How far it is."""
        return replace(self._status, missing=len(self.missing()))

    def missing(self) -> list[str]:
        """Images that can be read, as far as that is known, without a mask of the chosen run."""
        project = self.masks.project
        run = project.run_folder()
        if run is None or not (run / "model.safetensors").is_file():
            return []
        there = set[str]().union(*(project.mask_names(run / folder) for folder in WRITTEN))
        corrupt = project.corrupt
        return [name for name in project.names if name not in corrupt and without_suffix(name) not in there]

    def start(self) -> None:
        """Begin, or go on.

        Raises:
            NoNetworkError: the chosen run has no trained network.
            DataError: it runs already, or no mask is missing.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise DataError("masks are predicted already; wait until that has ended")
            network, names = self.masks.network(), self.missing()
            run = self.masks.project.run_folder()
            if run is None or not names:
                raise DataError("every image has a mask already")
            self._stop.clear()
            self._status = RestStatus("running", total=len(names))
            self._thread = threading.Thread(
                target=self._work, args=(network, names, run / WRITTEN[1]), name="predictions", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop behind the image that is in work."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and wait a little."""
        self.stop()
        if self._thread is not None:
            self._thread.join(10)

    def _work(self, network: Network, names: list[str], out: Path) -> None:
        try:
            give_way(_NICENESS)
            segmenter = network.segmenting.segmenter
            if _network_in(out) not in (None, segmenter.fingerprint()):
                shutil.rmtree(out)  # the run was trained further
            records = [self._record(name, network) for name in names]
            with observed(self._observe):
                write_masks(segmenter, records, FolderOptions(out, progress=False), known=self._unless_stopped)
            self._status = replace(self._status, state="done")
        except _StoppedError:
            self._status = replace(self._status, state="stopped")
        except Exception as error:  # of any kind: the page must not wait for ever
            _log.exception("predicting the masks that are missing failed")
            self._status = replace(self._status, state="failed", error=str(error))
        self.notify()

    def _record(self, name: str, network: Network) -> ImageRecord:
        """An image with its tags by their names in the run."""
        record = self.masks.project.find(name)
        assert record is not None
        tags, unknown = tags_in_run(record, network.link)
        return ImageRecord(name, record.path, None if tags is None else frozenset(tags), frozenset(unknown))

    def _observe(self, _what: str, done: int, total: int) -> None:
        self._status = replace(self._status, done=done, total=total)

    def _unless_stopped(self, _: ImageRecord) -> None:
        """Outputs that are known before: none; stops where that was asked for."""
        if self._stop.is_set():
            raise _StoppedError


def _network_in(folder: Path) -> str | None:
    """Fingerprint of the network that wrote a folder of masks; None where there is none."""
    try:
        return str(json.loads((folder / ABOUT).read_text(encoding="utf-8"))["network"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
