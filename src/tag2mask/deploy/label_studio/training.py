"""Training from what was submitted: the ordinary `train` in a process of its own, which outlives the server."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tag2mask.core.command import command_line
from tag2mask.core.errors import ConfigError
from tag2mask.core.files import is_running, make_folder
from tag2mask.deploy.label_studio.project import AnnotationProject

State = Literal["idle", "training", "done", "failed"]

_SECONDS = 1.0
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []  # they may outlive their trainer, of which Python would warn
_SHOWN_LINES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """When and how to train.

    Attributes:
        after: images that were annotated since the last training; 0: only when it is asked for.
        options: further words of the command line of `train`.
        config: file of settings of the model that was given, used unless `options` name another; None: the defaults.
    """

    after: int = 0
    options: Sequence[str] = ()
    config: Path | None = None

    def __post_init__(self) -> None:
        if self.after < 0:
            raise ConfigError(f"`train_after` {self.after}: expected a number of images, or 0")


class Trainer:
    """Starts trainings and waits for them, one at a time."""

    def __init__(self, project: AnnotationProject, plan: TrainingPlan, done: Callable[[Path], None]):
        """Find the training that an earlier server started.

        Args:
            project: the images, tags and masks.
            plan: when and how to train.
            done: called in a thread with the folder of a run that has ended well.
        """
        self._project = project
        self._plan = plan
        self._done = done
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self.state: State = "idle"
        self.run: str | None = None
        last = project.training
        if last is not None and is_running(int(last["pid"])):
            self._watch(str(last["run"]), int(last["pid"]))
            _log.info("%s: an earlier server started this training, which goes on", last["run"])

    def stop(self) -> None:
        """Watch no more; a training goes on."""
        self._stopped.set()

    def due(self) -> bool:
        """Whether enough was annotated to train, and no training runs."""
        return 0 < self._plan.after <= self._project.new and self.state != "training"

    def start(self) -> str | None:
        """Start a training; its name. None where one runs, or there are no tags to train from."""
        with self._lock:
            if self.state == "training":
                return None
            if not self._project.tagged():
                _log.warning("no training: no image has tags yet")
                return None
            run = self._project.next_run()
            log = make_folder(run.parent) / f"{run.name}.log"
            words = self._words(run)
            with log.open("wb") as file:
                self._child = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
                )
            _LEFT_RUNNING.append(self._child)
            self._project.begin_training(run.name, self._child.pid)
            _log.info("training %s; it says what it does in %s", run.name, log)
            self._watch(run.name, self._child.pid)
            return run.name

    def _words(self, run: Path) -> list[str]:
        """The command line of the training."""
        project = self._project
        line = command_line(
            "train",
            project.root,
            tags=project.tags,
            classes=project.classes_file,
            corrected=project.corrected if project.has_masks() else None,
            out=run,
        )
        config = command_line("", config=self._plan.config)
        _, *words = shlex.split(line)
        own = shlex.split(config)[2:]
        given = {word.split("=")[0] for word in self._plan.options}
        return [sys.executable, "-m", "tag2mask", *words, *(own if not given & set(own) else []), *self._plan.options]

    def _watch(self, run: str, pid: int) -> None:
        self.state, self.run = "training", run
        threading.Thread(target=self._wait, args=(run, pid), name=f"training-{run}", daemon=True).start()

    def _wait(self, run: str, pid: int) -> None:
        folder = self._project.home / "runs" / run
        while not self._has_ended(pid):
            if self._stopped.wait(_SECONDS):
                return
        if self._is_done(folder):
            self._done(folder)
            self.state = "done"
            if self.due():  # people went on meanwhile
                self.start()
            return
        self.state = "failed"
        log = folder.parent / f"{run}.log"
        _log.error("%s: the training failed; the end of %s:\n%s", run, log, _end_of(log))

    def _has_ended(self, pid: int) -> bool:
        if self._child is not None and self._child.pid == pid:
            return self._child.poll() is not None
        return not is_running(pid)

    @staticmethod
    def _is_done(folder: Path) -> bool:
        """Whether a run has ended well, as its `progress.json` says."""
        try:
            return bool(json.loads((folder / "progress.json").read_text("utf-8"))["stage"] == "done")
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return os.linesep.join(lines[-_SHOWN_LINES:])
