"""Suggested tags: a linear probe on pretrained features, fitted to the tags there are; least certain images first."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.files import make_folder, write_text
from tag2mask.core.text import counted
from tag2mask.studio.backbones import choose_backbone
from tag2mask.studio.features import FeatureCache, Features, Request
from tag2mask.studio.pixels import image_version
from tag2mask.studio.project import Project
from tag2mask.studio.tag_table import States

LEAST_TAGGED = 20
"""Tagged images from which on suggestions are made."""

State = Literal["none", "features", "ready", "stale"]
Probabilities = NDArray[np.float32]
"""(N, C) in [0, 1] that a class is present; NaN where that cannot be said."""

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
    """Suggestions of one project, made by a thread while `facts` answers at once."""

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
        self._process: subprocess.Popen[str] | None = None
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
        state: State = "none"
        if running:
            state = "features"
        elif fitted is not None:
            same = fitted.classes == classes and np.array_equal(fitted.states, states)
            state = "ready" if same else "stale"
        order, probs = ([], {}) if fitted is None else suggested(self._project.names, classes, states, fitted)
        found = {"state": state, "done": done, "total": total, "message": message, "order": order, "probs": probs}
        return found | ({"error": error} if error else {})

    def close(self) -> None:
        """End thread and process."""
        with self._lock:
            self._is_closed = True
            process, thread = self._process, self._thread
        if process is not None:
            process.kill()
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
        cache = FeatureCache(self._project.cache / "features", backbone, weights)
        keys = self._keys()
        features = cache.read()
        missing = {key: str(self._project.path(name)) for name, key in keys.items() if key not in features}
        with self._lock:
            self._total, self._done = len(keys), len(keys) - len(missing)
        if missing:
            self._compute(Request(str(cache.folder.parent), backbone, weights, self._device, missing), cache, keys)
            features = cache.read()
        self._say("fitting")
        self._fit(keys, features)
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

    def _compute(self, request: Request, cache: FeatureCache, keys: Mapping[str, str]) -> None:
        """Run the process that computes features; suggestions of what is done are made now and then.

        Raises:
            DataError: the process ended with an error.
        """
        about = make_folder(self._project.cache / "features") / "request.json"
        write_text(about, json.dumps(asdict(request)))
        before, news, fitted = self._done, 0.0, time.monotonic()
        lines: list[str] = []
        with self._lock:
            if self._is_closed:
                return
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tag2mask.studio.features", str(about)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        process = self._process
        assert process.stdout is not None
        self._say("features of the images")
        with process:
            for line in process.stdout:
                done, error = _progress(line)
                if error:
                    raise DataError(error)
                if done is None:
                    lines = [*lines, line.rstrip()][-5:]
                    continue
                self._done = before + done
                now = time.monotonic()
                if now - fitted > _REFIT_SECONDS:
                    self._fit(keys, cache.read())
                    fitted = time.monotonic()
                if now - news > _NEWS_SECONDS:
                    self._changed()
                    news = now
        self._process = None
        if process.returncode and not self._is_closed:
            raise DataError(f"computing features ended with status {process.returncode}: {' / '.join(lines)}")

    def _fit(self, keys: Mapping[str, str], features: Mapping[str, Features]) -> None:
        """Fit the probe to the tags as they are now, and keep what it says of every image with features."""
        with self._project.lock:
            classes, states = self._project.class_names, self._project.states()
        rows = [self._project.row(name) for name, key in keys.items() if key in features]
        probabilities = np.full(states.shape, np.nan, np.float32)
        if rows:
            found = np.stack([features[keys[self._project.names[row]]] for row in rows]).astype(np.float32)
            probabilities[rows] = probe(found, states[rows])
        with self._lock:
            self._fitted = Fitted(classes, states, probabilities)


def probe(features: NDArray[np.float32], states: States) -> Probabilities:
    """Probabilities (N, C) of every class in every image, from a probe fitted to the known tags.

    A class that is nowhere absent counts as absent in the tagged images that do not say; a class that is nowhere
    present cannot be judged, and one that is present everywhere neither: NaN.

    Args:
        features: (N, D).
        states: (N, C) of `Tag` values.
    """
    import torch

    from tag2mask.training.probe import fit_classifier

    tagged = np.flatnonzero((states != Tag.UNKNOWN).any(axis=1))
    known = states[tagged].copy()
    silent = ~(known == Tag.ABSENT).any(axis=0)
    known[:, silent] = np.where(known[:, silent] == Tag.UNKNOWN, Tag.ABSENT, known[:, silent])
    judged = (known == Tag.PRESENT).any(axis=0) & (known == Tag.ABSENT).any(axis=0)
    found = np.full(states.shape, np.nan, np.float32)
    if judged.any():
        # Of one length, so that contrast and brightness count less: a tenth fewer wrong tags.
        inputs = torch.nn.functional.normalize(torch.from_numpy(features), dim=1) * features.shape[1] ** 0.5
        weight, bias = fit_classifier(inputs[torch.from_numpy(tagged)], torch.from_numpy(known[:, judged]))
        found[:, judged] = torch.sigmoid(inputs @ weight.T + bias).numpy()
    return found


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


def _progress(line: str) -> tuple[int | None, str]:
    """How many images a line says are done, or the error that it says; (None, '') where it says neither."""
    try:
        said: Any = json.loads(line)
    except ValueError:
        return None, ""
    if not isinstance(said, dict):
        return None, ""
    done = said.get("done")
    return done if isinstance(done, int) else None, str(said.get("error", ""))
