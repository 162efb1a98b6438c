"""Training from what was submitted: when, with which command, and what happens at its end."""

from __future__ import annotations

import logging
import os
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tag2mask.core.command import command_line
from tag2mask.core.errors import ConfigError
from tag2mask.deploy.label_studio.project import AnnotationProject
from tag2mask.training.process import RunProcess

State = Literal["idle", "training", "done", "failed"]

OURS = "label-studio"
"""Folder in a run with what is known of its process, and with its log."""

_SECONDS = 1.0
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
        self._stopped = threading.Event()
        self.state: State = "idle"
        self.run: str | None = None
        last = project.training
        if last is not None and (process := self.process(last)).lives():
            self._watch(process)
            _log.info("%s: an earlier server started this training, which goes on", last)

    def stop(self) -> None:
        """Watch no more; a training goes on."""
        self._stopped.set()

    def due(self) -> bool:
        """Whether enough was annotated to train, and no training runs."""
        return 0 < self._plan.after <= self._project.new and self.state != "training"

    def process(self, run: str) -> RunProcess:
        """The process of a run by its name."""
        folder = self._project.home / "runs" / run
        return RunProcess(folder, folder / OURS)

    def start(self) -> str | None:
        """Start a training; its name. None where one runs, or there are no tags to train from.

        Raises:
            DataError: the process cannot be started.
        """
        with self._lock:
            if self.state == "training":
                return None
            if not self._project.tagged():
                _log.warning("no training: no image has tags yet")
                return None
            process = self.process(self._project.next_run().name)
            process.start(self._arguments(process.run), folder=Path.cwd())
            name = process.run.name
            self._project.begin_training(name)
            _log.info("training %s; it says what it does in %s", name, process.log)
            self._watch(process)
            return name

    def _arguments(self, run: Path) -> list[str]:
        """Of the command line of the training."""
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
        return [*words, *(own if not given & set(own) else []), *self._plan.options]

    def _watch(self, process: RunProcess) -> None:
        self.state, self.run = "training", process.run.name
        threading.Thread(target=self._wait, args=(process,), name=f"training-{self.run}", daemon=True).start()

    def _wait(self, process: RunProcess) -> None:
        while process.lives():
            if self._stopped.wait(_SECONDS):
                return
        if process.progress().get("stage") == "done":
            self._done(process.run)
            self.state = "done"
            if self.due():  # people went on meanwhile
                self.start()
            return
        self.state = "failed"
        end = os.linesep.join(process.tail(_SHOWN_LINES))
        _log.error("%s: the training failed; the end of %s:\n%s", process.run.name, process.log, end)
