"""What Label Studio asks for: predictions of tasks, and that annotations are taken over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.deploy.label_studio.annotations import is_class, painted, read_submitted
from tag2mask.deploy.label_studio.images import Folder, ImageSource, address_of, base_name
from tag2mask.deploy.label_studio.interface import Interface, Shapes, check_interface, read_interface
from tag2mask.deploy.label_studio.project import AnnotationProject
from tag2mask.deploy.label_studio.results import chosen_tags, prediction_of
from tag2mask.images.decode import image_size, read_image
from tag2mask.inference import Segmenter

Json = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """How predictions are given.

    Attributes:
        shapes: brush, polygon, or what the labelling interface has.
        tags_field: of a task's data, in which the names of the present classes stand; None: the network decides.
        seconds: for the tasks of one request. Label Studio waits 100 s; where several tasks would take longer, it is
            answered the first alone, after which it asks task by task.
    """

    shapes: Shapes = "auto"
    tags_field: str | None = None
    seconds: float = 60.0


class Model:
    """The network that predicts, which a training may replace."""

    def __init__(self, name: str, segmenter: Segmenter):
        self._lock = threading.Lock()
        self._name, self._segmenter = name, segmenter

    def replace(self, name: str, segmenter: Segmenter) -> None:
        """Predict with another network from now on."""
        with self._lock:
            self._name, self._segmenter = name, segmenter

    def current(self) -> tuple[str, Segmenter]:
        """Version and network: Label Studio asks again for predictions of another version."""
        with self._lock:
            return f"{self._name}-{self._segmenter.fingerprint()[:8]}", self._segmenter


class Predictor:
    """Predicts tasks."""

    def __init__(self, model: Model, images: ImageSource, options: PredictionOptions):
        self.model = model
        self._images = images
        self._options = options
        self._said: set[str] = set()

    def setup(self, label_config: str) -> str:
        """Check the labelling interface of a project; the version of the model.

        Raises:
            DataError: the interface takes no mask of any class.
        """
        version, segmenter = self.model.current()
        self._interface(label_config, segmenter)
        return version

    def predict(self, tasks: list[Json], label_config: str, context: object = None) -> tuple[str, list[dict[str, Any]]]:
        """Predict tasks.

        Args:
            tasks: as Label Studio sends them.
            label_config: the labelling interface.
            context: what the person has done so far: a choice of classes says which are present.

        Returns:
            The version of the model, and a prediction for each task; an empty one where an image failed. The first
            alone where all would take too long.

        Raises:
            DataError: the interface takes no mask, or no image could be predicted; says why.
        """
        version, segmenter = self.model.current()
        interface = self._interface(label_config, segmenter)
        results = context.get("result") if isinstance(context, Mapping) else None
        until = time.monotonic() + self._options.seconds
        found: list[dict[str, Any]] = []
        reasons: list[str] = []
        for task in tasks:
            if found and time.monotonic() > until:
                _log.info("%d tasks at once take too long; Label Studio asks one by one now", len(tasks))
                return version, found[:1]
            try:
                found.append(self._one(task, interface, segmenter, version, results))
            except DataError as error:
                reasons.append(f"task {task.get('id')}: {error}")
                _log.error("%s", printable(reasons[-1]))
                found.append({"result": [], "score": 0.0, "model_version": version})
        if reasons and len(reasons) == len(tasks):
            raise DataError(reasons[0])
        return version, found

    def _one(
        self, task: Json, interface: Interface, segmenter: Segmenter, version: str, results: object
    ) -> dict[str, Any]:
        with self._images.file(address_of(task, interface.data_key), task.get("id")) as path:
            try:
                image = read_image(path, reading=segmenter.reading)
            except DataError as error:
                raise type(error)(str(error).replace(str(path), "the image")) from None
        tags = self._tags(task, interface, segmenter, results)
        prediction = segmenter.predict(image, tags)
        return prediction_of(prediction, interface, shapes=self._options.shapes, model_version=version)

    def _tags(self, task: Json, interface: Interface, segmenter: Segmenter, results: object) -> list[str] | None:
        """Classes that are known to be present: those that the person has chosen, else those in the task's data."""
        chosen = chosen_tags(results, interface)
        if chosen is None and self._options.tags_field is not None:
            data = task.get("data")
            value = data.get(self._options.tags_field) if isinstance(data, Mapping) else None
            if isinstance(value, str):
                value = [name.strip() for name in value.split(",") if name.strip()]
            if isinstance(value, list):
                chosen = [str(name) for name in value]
        if chosen is None:
            return None
        return [name for name in chosen if name in segmenter.classes]

    def _interface(self, label_config: str, segmenter: Segmenter) -> Interface:
        interface = read_interface(label_config)
        missing = check_interface(interface, segmenter.classes, self._options.shapes)
        if missing and label_config not in self._said:
            self._said.add(label_config)
            _log.warning("the labelling interface has no label for %s; they are left out", ", ".join(missing))
        return interface


class Collector:
    """Takes annotations over into a project."""

    def __init__(self, project: AnnotationProject, images: ImageSource, changed: Callable[[], None]):
        """Take what is needed.

        Args:
            project: the images, tags and masks.
            images: where images come from.
            changed: called after an annotation was taken over.
        """
        self._project = project
        self._images = images
        self._folder = Folder(project.root)
        self._changed = changed

    def handle(self, event: Json) -> None:
        """Take over an event of `/webhook`, or the tasks of `/train`.

        Raises:
            DataError: what is in it cannot be used; says why.
        """
        action = event.get("action")
        if action == "ANNOTATIONS_DELETED":
            for one in _objects(event.get("annotations")):
                if (image := self._project.drop(str(one.get("id")))) is not None:
                    _log.info("%s: its annotation was deleted", image)
            return
        label_config = _mapping(event.get("project")).get("label_config")
        if not isinstance(label_config, str):
            raise DataError(f"{action}: without the project's labelling interface; switch on `Send payload`")
        interface = read_interface(label_config)
        pairs = list(zip(_objects(event.get("annotation")), _objects(event.get("task")), strict=False))
        if not pairs:
            raise DataError(f"{action}: without annotation or task; switch on `Send payload` of the webhook")
        for annotation, task in pairs:
            self._take(annotation, task, interface)
        self._changed()

    def _take(self, annotation: Json, task: Json, interface: Interface) -> None:
        if annotation.get("was_cancelled"):
            _log.info("task %s was skipped: nothing is taken over", task.get("id"))
            return
        submitted = read_submitted(annotation.get("result"), interface)
        address = address_of(task, interface.data_key)
        with self._images.file(address, task.get("id")) as file:
            size = image_size(file)
            image = self._image(address, file, size)
        indices = self._project.indices(submitted.names())
        mask = painted(submitted, size, indices.__getitem__) if submitted.is_mask else None
        states = self._states(submitted.names(), interface, is_mask=submitted.is_mask, chosen=submitted.chosen)
        self._project.keep(str(annotation.get("id")), image, states, mask)
        for note in submitted.notes:
            _log.warning("task %s: %s", task.get("id"), note)
        what = "tags and mask" if mask is not None else "tags"
        _log.info("%s: %s (%s)", image, what, ", ".join(sorted(submitted.names())) or "no class")

    def _image(self, address: str, file: Path, size: tuple[int, int]) -> str:
        """Name of the image in the project; one that is not there is copied into it."""
        if file.is_relative_to(self._project.root):
            return file.relative_to(self._project.root).as_posix()
        if (name := self._folder.named(address)) is not None:
            there = self._folder.at(name)
            if there is not None and image_size(there) == size:
                return name
        return self._project.add_image(base_name(address), file)

    def _states(
        self, present: list[str], interface: Interface, *, is_mask: bool, chosen: list[str] | None
    ) -> dict[str, Tag]:
        """What an annotation says of classes: a mask says it of all, a choice of those that could be chosen."""
        absent = set(self._project.classes) if is_mask else set()
        if chosen is not None or is_mask:
            absent |= interface.choices() & set(self._project.classes)
        states = {name: Tag.ABSENT for name in absent if is_class(name)}
        return states | dict.fromkeys(present, Tag.PRESENT)


def events_of_training(body: Json) -> list[dict[str, Any]]:
    """The tasks of a request to `/train`, of older Label Studio, as events of its newer ones."""
    project = {"label_config": body.get("label_config")}
    return [
        {"action": "ANNOTATION_CREATED", "project": project, "task": task, "annotation": annotation}
        for task in _objects(body.get("annotations"))
        for annotation in _objects(task.get("annotations"))
    ]


def _objects(value: object) -> list[Json]:
    """One object or a list of them, as a list."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, Mapping)]


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}
