"""What kept masks have brought: mIoU of a run's masks before and after it learned from them, on the same images."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.text import counted
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou, resampled_mean_iou
from tag2mask.masks import mask_path
from tag2mask.studio.masks_of import MasksOf, is_trained_on

MOST_IMAGES = 100
"""Kept masks that are compared; of more, so many drawn at random."""

_CONFIDENCE = 0.95
_FEW = 20

_log = logging.getLogger(__name__)

Matrix = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """mIoU in [0, 1] on images with kept masks.

    Attributes:
        state: `none`: nothing to compare; `computing`: ask again; `ready`.
        corrected: kept masks of the project.
        compared: images that are compared.
        done: of them, so far.
        before: of the run that had not learned from these masks; None: there is none.
        after: of the run that has; None: there is none yet.
        intervals: 95 % of each of the two, by `before` and `after`.
        gain: 95 % of their difference.
        note: what it says, and does not say.
    """

    state: Literal["none", "computing", "ready"]
    corrected: int
    compared: int = 0
    done: int = 0
    before: float | None = None
    after: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    gain: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which runs are compared on which images."""

    names: tuple[str, ...]
    before: str | None
    after: str | None


@dataclass(slots=True)
class Corrections:
    """Compares in the background; threads may share it.

    Attributes:
        masks: of the project.
        notify: called when a comparison has ended.
    """

    masks: MasksOf
    notify: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[tuple[object, ...], Matrix] = field(default_factory=dict)
    _failed: dict[tuple[object, ...], str] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def compare(self) -> Comparison:
        """What is known; what is not is computed in the background."""
        kept = self.masks.layers.kept_names()
        plan = self._plan(kept)
        runs = [run for run in (plan.before, plan.after) if run is not None]
        if not plan.names or not runs:
            note = "no mask was kept yet" if not kept else "no run has been trained yet"
            return Comparison("none", len(kept), note=note)
        missing = [key for key in self._keys(plan) if key not in self._known and key not in self._failed]
        if missing:
            self._begin(missing)
            done = len(plan.names) - len({key[1] for key in missing})
            note = f"comparing the masks of {counted(len(plan.names), 'images')}"
            return Comparison("computing", len(kept), len(plan.names), done, note=note)
        return self._result(plan, len(kept))

    def close(self) -> None:
        """End computing."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def _plan(self, kept: list[str]) -> _Plan:
        """The chosen run and the newest one before it; the images that the one learned from and the other did not."""
        project = self.masks.project
        chosen = project.run
        trained = [
            name
            for name in project.runs()
            if (project.runs_folder / name / "model.safetensors").is_file() and name != chosen
        ]
        if chosen is None or not (project.runs_folder / chosen / "model.safetensors").is_file():
            return _Plan((), None, None)
        folder = project.runs_folder / chosen
        learned = [name for name in kept if is_trained_on(folder, name)]
        if not learned:
            return _Plan(_drawn(kept), chosen, None)
        earlier = [name for name in trained if int(name[4:]) < int(chosen[4:])]
        for before in reversed(earlier):
            names = [name for name in learned if not is_trained_on(project.runs_folder / before, name)]
            if names:
                return _Plan(_drawn(names), before, chosen)
        return _Plan(_drawn(learned), None, chosen)

    def _keys(self, plan: _Plan) -> list[tuple[object, ...]]:
        return [self._key(run, name) for run in (plan.before, plan.after) if run is not None for name in plan.names]

    def _key(self, run: str, name: str) -> tuple[object, ...]:
        """What a comparison depends on; run and name come first."""
        project = self.masks.project
        record = project.find(name)
        tags = None if record is None else (record.tags, record.unknown)
        files = (mask_path(project.corrected, name), project.runs_folder / run / "model.safetensors")
        changed = [path.stat().st_mtime_ns if path.is_file() else 0 for path in files]
        return (run, name, tags, project.class_names, *changed)

    def _begin(self, keys: list[tuple[object, ...]]) -> None:
        with self._lock:
            if self._ended.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._compute, args=(keys,), name="corrections", daemon=True)
            self._thread.start()

    def _compute(self, keys: list[tuple[object, ...]]) -> None:
        for key in keys:
            if self._ended.is_set():
                return
            run, name = str(key[0]), str(key[1])
            try:
                self._known[key] = self._matrix(run, name)
            except Exception as error:  # of any kind: the page must not wait for ever
                self._failed[key] = f"{name}: {error}"
                _log.warning("%s, %s: the kept mask cannot be compared (%s)", run, name, error)
        self.notify()

    def _matrix(self, run: str, name: str) -> Matrix:
        kept, predicted = self.masks.layers.kept(name), self.masks.predicted(name, run)
        if kept is None or predicted is None:
            raise DataError("there is no mask any more")
        counted_as = np.where(predicted == IGNORE_INDEX, 0, predicted)
        return confusion_matrix(counted_as, kept, len(self.masks.project.classes) + 1)

    def _result(self, plan: _Plan, kept: int) -> Comparison:
        runs = [run for run in (plan.before, plan.after) if run is not None]
        names = [name for name in plan.names if all(self._key(run, name) in self._known for run in runs)]
        failed = len(plan.names) - len(names)
        note = _note(plan, len(names)) + (f"; left out, for they cannot be read: {failed}" if failed else "")
        if not names or not any(self._known[self._key(runs[0], name)].any() for name in names):
            return Comparison("none", kept, note=note)
        matrices = {run: np.stack([self._known[self._key(run, name)] for name in names]) for run in runs}
        scores = {run: mean_iou(found.sum(axis=0)) for run, found in matrices.items()}
        drawn = {run: resampled_mean_iou(found) for run, found in matrices.items()} if len(names) > 1 else {}
        gain = None
        if len(drawn) == 2:
            gain = _interval(drawn[runs[1]] - drawn[runs[0]])
        return Comparison(
            "ready",
            kept,
            len(names),
            len(names),
            before=None if plan.before is None else scores[plan.before],
            after=None if plan.after is None else scores[plan.after],
            intervals={
                which: _interval(drawn[run])
                for which, run in (("before", plan.before), ("after", plan.after))
                if run in drawn
            },
            gain=gain,
            note=note,
        )


def _drawn(names: list[str]) -> tuple[str, ...]:
    if len(names) <= MOST_IMAGES:
        return tuple(names)
    return tuple(np.random.default_rng(0).choice(names, MOST_IMAGES, replace=False).tolist())


def _interval(scores: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanquantile(scores, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)


def _note(plan: _Plan, count: int) -> str:
    images = counted(count, "kept masks")
    few = f"; fewer than {_FEW} images: the interval is too narrow" if count < _FEW else ""
    chosen = (
        f"{plan.before} scores high where these masks began as its own; people chose these images, mostly uncertain "
        "ones, so other images may be better or worse"
    )
    if plan.after is None:
        return f"{plan.before} against {images} that it has not learned from; {chosen}{few}"
    learned = f"{plan.after} has learned from these very masks: it shows how well it took them up"
    if plan.before is None:
        return f"{plan.after} against {images}; {learned}, and no earlier run had not{few}"
    return f"{plan.before} and {plan.after} against {images}; {learned}; {chosen}{few}"
