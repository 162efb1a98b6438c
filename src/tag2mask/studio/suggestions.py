"""Suggested tags: a linear probe on pretrained features, fitted to the tags there are; least certain images first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.files import atomic_path, make_folder
from tag2mask.core.text import counted
from tag2mask.data.tag_table import States
from tag2mask.studio.backbones import choose_backbone
from tag2mask.studio.features import FeatureCache, Request
from tag2mask.studio.pixels import image_version
from tag2mask.studio.probe import Probabilities
from tag2mask.studio.project import Project
from tag2mask.studio.suggestion_process import SuggestionProcess

LEAST_TAGGED = 20
"""Tagged images from which on suggestions are made."""

State = Literal["none", "features", "ready", "stale", "failed"]
_AT_ONCE = 128  # images between which suggestions may be made
_NEWS_SECONDS = 0.5
_REFIT_SECONDS = 15.0
_END_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was suggested last.

    Attributes:
        classes: names of the columns of `probabilities`.
        states: tags that were fitted, rows as the project's names.
        probabilities: rows as the project's names; NaN of images without features and classes that cannot be judged.
    """

    classes: tuple[str, ...]
    states: States
    probabilities: Probabilities


class Suggestions:
    """Suggestions of one project, made by a thread and a process while `facts` answers at once."""

    def __init__(
        self,
        project: Project,
        changed: Callable[[], None],
        *,
        weights: str | None = None,
        device: str = "auto",
    ):
        """Nothing is computed before `start`.

        Args:
            project: whose tags are fitted.
            changed: called, from the thread, when `facts` has news.
            weights: as `model.weights`; None: the installed package, else the hub.
            device: where the backbone runs, as in `Segmenter.from_pretrained`.
        """
        self._project, self._changed, self._weights, self._device = project, changed, weights, device
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = SuggestionProcess()
        self._is_wanted_again = self._is_closed = False
        self._fitted: Fitted | None = None
        self._done = self._total = 0
        self._message, self._error = "", ""

    def start(self) -> None:
        """Compute what features are missing and fit the probe; while that runs, once more behind it.

        Raises:
            DataError: fewer than `LEAST_TAGGED` images are tagged.
        """
        tagged = int(self._project.tagged().sum())
        if tagged < LEAST_TAGGED:
            more = counted(LEAST_TAGGED - tagged, "images")
            raise DataError(f"{counted(tagged, 'tagged images')}: suggestions need {LEAST_TAGGED}; tag {more} more")
        with self._lock:
            if self._is_closed:
                return
            if self._thread is not None and self._thread.is_alive():
                self._is_wanted_again = True
                return
            self._error, self._message = "", "starting"
            self._thread = threading.Thread(target=self._run, name="suggestions", daemon=True)
            self._thread.start()

    def facts(self) -> dict[str, Any]:
        """State, progress and suggestions, as plain JSON values: what `/api/suggestions` answers."""
        with self._lock:
            running = self._thread is not None and self._thread.is_alive()
            fitted, done, total, message, error = self._fitted, self._done, self._total, self._message, self._error
        states, classes = self._project.states(), self._project.class_names
        state: State = "failed" if error else "none"
        if running:
            state = "features"
        elif fitted is not None and not error:
            same = fitted.classes == classes and np.array_equal(fitted.states, states)
            state = "ready" if same else "stale"
        order, probs = ([], {}) if fitted is None else suggested(self._project.names, classes, states, fitted)
        found = {
            "state": state,
            "done": done,
            "total": total,
            "message": message or error,
            "order": order,
            "probs": probs,
        }
        return found | ({"error": error} if error else {})

    def close(self) -> None:
        """End thread and process."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._process.close()
        if thread is not None:
            thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while True:
                self._make()
                with self._lock:
                    if not self._is_wanted_again or self._is_closed:
                        self._thread = None
                        break
                    self._is_wanted_again = False
        except (Tag2MaskError, ImportError) as error:
            self._say(error=str(error))
        except Exception as error:
            _log.exception("suggestions failed")
            self._say(error=f"suggestions failed: {error}; the server's log says more")
        finally:
            with self._lock:
                self._thread = None
            self._changed()

    def _say(self, message: str = "", error: str = "") -> None:
        with self._lock:
            self._message, self._error = message, error

    def _make(self) -> None:
        backbone, weights = choose_backbone(self._weights)
        cache = FeatureCache(make_folder(self._project.cache / "features"), backbone, weights)
        make_folder(cache.folder)
        keys = self._keys()
        there = cache.read().keys()
        missing = [name for name, key in keys.items() if key not in there]
        with self._lock:
            self._total, self._done = len(keys), len(keys) - len(missing)
        self._compute(cache, Request(str(cache.folder.parent), backbone, weights, self._device, {}), keys, missing)
        self._fit(cache, keys)
        self._say(f"from {counted(int(self._project.tagged().sum()), 'tagged images')}, {backbone}")

    def _keys(self) -> dict[str, str]:
        """Versions of the images by name, tagged ones first; without those that are gone or cannot be read."""
        tagged, corrupt, keys = self._project.tagged(), self._project.corrupt, {}
        for row in np.argsort(~tagged, kind="stable").tolist():
            name = self._project.names[row]
            if name in corrupt:
                continue
            try:
                keys[name] = image_version(self._project.path(name))
            except DataError:
                continue
        return keys

    def _compute(self, cache: FeatureCache, request: Request, keys: Mapping[str, str], missing: list[str]) -> None:
        """Have the missing features computed, some images at a time, with suggestions of what is done in between.

        Raises:
            DataError: the process ended, or the weights cannot be loaded.
        """
        last = time.monotonic()
        for start in range(0, len(missing), _AT_ONCE):
            some = {keys[name]: str(self._project.path(name)) for name in missing[start : start + _AT_ONCE]}
            self._say("features of the images")
            self._process.ask({"compute": asdict(replace(request, images=some))}, self._on_progress(self._done))
            if self._is_closed:
                return
            if time.monotonic() - last > _REFIT_SECONDS and start + _AT_ONCE < len(missing):
                self._fit(cache, keys)
                last = time.monotonic()

    def _on_progress(self, before: int) -> Callable[[Mapping[str, Any]], None]:
        news = 0.0

        def said(answer: Mapping[str, Any]) -> None:
            nonlocal news
            self._done = before + int(answer.get("done", 0))
            if time.monotonic() - news > _NEWS_SECONDS:
                news = time.monotonic()
                self._changed()

        return said

    def _fit(self, cache: FeatureCache, keys: Mapping[str, str]) -> None:
        """Have the probe fitted to the tags as they are now, and keep what it says of every image with features."""
        self._say("fitting")
        with self._project.lock:
            classes, states = self._project.class_names, self._project.states()
        rows = [self._project.row(name) for name in keys]
        given, made = cache.folder / "tags.npy", cache.folder / "probabilities.npy"
        for path, array in ((given, states[rows]), (given.with_name("keys.npy"), np.array(list(keys.values())))):
            with atomic_path(path) as temporary:
                np.save(temporary, array)
        self._process.ask({"fit": str(cache.folder)}, lambda _: None)
        if self._is_closed:
            return
        probabilities = np.full(states.shape, np.nan, np.float32)
        probabilities[rows] = np.load(made, allow_pickle=False)
        with self._lock:
            self._fitted = Fitted(classes, states, probabilities)


def suggested(
    names: tuple[str, ...], classes: tuple[str, ...], states: States, fitted: Fitted
) -> tuple[list[str], dict[str, list[float | None]]]:
    """Images with unknown tags, least certain first, and the probability of each class in them.

    How uncertain an image is, is how near to 1/2 the most undecided of its unknown classes is.

    Args:
        names: of the images.
        classes: as they are now; what was fitted is found by name.
        states: tags as they are now.
        fitted: what was fitted.
    """
    probabilities = np.full((len(names), len(classes)), np.nan, np.float32)
    for k, name in enumerate(classes):
        if name in fitted.classes:
            probabilities[:, k] = fitted.probabilities[:, fitted.classes.index(name)]
    uncertain = np.where(states == Tag.UNKNOWN, 1 - np.abs(2 * probabilities - 1), np.nan)
    rows = np.flatnonzero(np.isfinite(uncertain).any(axis=1))
    order = rows[np.argsort(-np.nanmax(uncertain[rows], axis=1), kind="stable")] if rows.size else rows
    probs = {
        names[row]: [None if value != value else round(value, 3) for value in probabilities[row].tolist()]
        for row in order.tolist()
    }
    return list(probs), probs
