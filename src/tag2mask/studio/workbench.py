"""What the page does, without the page: open a photograph, see the steps, correct, export."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder
from tag2mask.data import Dataset
from tag2mask.core.record import ImageRecord
from tag2mask.drawing import Palette, heatmap, overlay, palette_colours
from tag2mask.images.decode import read_image, scaled_size
from tag2mask.inference.prediction import Request
from tag2mask.inference.predictor import Predictor, Steps
from tag2mask.inference.review import TABLE, least_certain
from tag2mask.masks import mask_path, read_mask, write_label_map, write_mask
from tag2mask.masks.class_names import write_classes
from tag2mask.masks.export_folder import export_masks
from tag2mask.masks.run_lengths import mask_from_runs, mask_runs
from tag2mask.method.refine import refine
from tag2mask.models.checkpoint import RunFolder

CORRECTED = "corrected"
"""Folder of corrected masks in a run's folder; `train --corrected` takes it."""

SIDE = 1600
"""Long side at which larger photographs are worked on and shown; exported masks have it, too."""

FORMATS = {
    "PNG mask": "png",
    "COCO": "coco",
    "CVAT": "cvat",
    "Label Studio": "label-studio",
    "VOC": "voc",
    "YOLO": "yolo",
}
_REMEMBERED = 24

Value = TypeVar("Value")


class Photo(NamedTuple):
    """An opened photograph; `key` stands for its pixels."""

    key: str
    name: str
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has set: tags (None: the network says), gate, and the CRF."""

    tags: tuple[str, ...] | None
    gate: float
    crf: CrfConfig


@dataclass(frozen=True, slots=True)
class View:
    """A mask (H, W) uint8 and how it came about.

    Attributes:
        mask: class indices.
        before: the mask before the dense CRF.
        steps: of the method.
        tag_probs: probability of each class, by name.
    """

    mask: NDArray[np.uint8]
    before: NDArray[np.uint8]
    steps: Steps
    tag_probs: dict[str, float]


class Workbench:
    """One loaded network for any number of people at once."""

    def __init__(self, predictor: Predictor, run: RunFolder | None = None, *, palette: Palette = "safe"):
        self.predictor = predictor
        self.run = run
        self.palette: Palette = palette
        self.classes = predictor.classes
        self.records: dict[str, ImageRecord] = {}
        if run is not None and run.collection.is_file():
            document = json.loads(run.collection.read_text(encoding="utf-8"))
            self.records = {item.name: item for item in Dataset.from_dict(document).records}
        self._photos: OrderedDict[str, Photo] = OrderedDict()
        self._scores: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def queue(self) -> list[str]:
        """Names of the training photographs, the least certain mask first."""
        if self.run is not None and (self.run.masks / TABLE).is_file():
            ranked = least_certain(self.run.masks, len(self.records) or 1)
            return [name for name in ranked if name in self.records]
        return list(self.records)

    def open(self, path: Path, name: str | None = None) -> Photo:
        """Read a photograph, at most `SIDE` pixels long.

        Raises:
            DataError: it is no photograph, damaged or too large.
        """
        image = read_image(path)
        shape = (image.shape[0], image.shape[1])
        if max(shape) > SIDE:
            height, width = scaled_size(shape, SIDE)
            image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        key = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        photo = Photo(key, name or path.name, image)
        with self._lock:
            _remember(self._photos, key, photo)
        return photo

    def photo(self, key: str) -> Photo:
        """A photograph that was opened before.

        Raises:
            DataError: it was too long ago.
        """
        with self._lock:
            if key in self._photos:
                self._photos.move_to_end(key)
                return self._photos[key]
        raise DataError("this photograph is not in memory any more; open it again")

    def look(self, photo: Photo, choice: Choice) -> View:
        """The mask of a photograph, and each step; what does not depend on the CRF is remembered."""
        settings = self.predictor.config.prediction.model_copy(update={"gate": choice.gate, "crf": choice.crf})
        key = (photo.key, choice.tags, choice.gate)
        scores = self._remembered(
            ("scores", *key),
            lambda: self.predictor.score(Request(photo.image, choice.tags), settings=settings),
        )
        tag_probs = {name: float(value) for name, value in zip(self.classes, scores.tag_probs, strict=True)}
        shown = choice.tags
        if shown is None:
            shown = tuple(name for name, value in tag_probs.items() if value >= max(0.5, choice.gate))
        steps = self._remembered(("steps", photo.key, shown), lambda: self.predictor.steps(photo.image, shown))
        scale = max(photo.image.shape[:2]) / self.predictor.config.data.image_size
        marginals = refine([photo.image], [scores.probs], choice.crf, pixel_scale=scale)[0]
        mask, before = (np.asarray(one.argmax(axis=0), dtype=np.uint8) for one in (marginals, scores.probs))
        return View(mask, before, steps, tag_probs)

    def pictures(self, photo: Photo, view: View) -> list[tuple[NDArray[np.uint8], str]]:
        """Pictures of the steps with their captions."""
        maps = zip(view.steps.maps, view.steps.classes, strict=True)
        found = [(heatmap(photo.image, values), f"class map: {name}") for values, name in maps]
        found.append((heatmap(photo.image, view.steps.prior), "foreground prior"))
        found.append((heatmap(photo.image, view.steps.background), "background"))
        found.append((overlay(photo.image, view.before, palette=self.palette), "before the CRF"))
        found.append((overlay(photo.image, view.mask, palette=self.palette), "after the CRF"))
        return found

    def overlaid(self, photo: Photo, mask: NDArray[np.uint8], opacity: float) -> NDArray[np.uint8]:
        """The photograph with its mask laid over, and a legend."""
        return overlay(photo.image, mask, alpha=opacity, classes=self.classes, legend=True, palette=self.palette)

    def colours(self) -> list[tuple[int, int, int]]:
        """Colour of each class, for the brush."""
        table = palette_colours(self.palette)
        return [tuple(int(value) for value in table[k + 1]) for k in range(len(self.classes))]  # type: ignore[misc]

    def packed(self, photo: Photo, mask: NDArray[np.uint8]) -> str:
        """A photograph with its mask for the brush, as JSON: `runs` are [count, class index] row by row."""
        stream = io.BytesIO()
        Image.fromarray(photo.image).save(stream, format="JPEG", quality=90)
        document = {
            "width": mask.shape[1],
            "height": mask.shape[0],
            "colours": self.colours(),
            "photo": "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode(),
            "runs": mask_runs(mask),
        }
        return json.dumps(document)

    def unpacked(self, text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The mask (*size) that the brush gives back.

        Raises:
            DataError: it is not of that size, or no mask at all.
        """
        try:
            document = json.loads(text)
            if (document["height"], document["width"]) == size:
                return mask_from_runs(document["runs"], size, len(self.classes))
        except (ValueError, TypeError, KeyError, RecursionError):  # RunLengthError is a ValueError
            pass
        raise DataError("what was painted does not belong to this photograph; open it again")

    def keep(self, name: str, mask: NDArray[np.uint8]) -> Path:
        """Keep a corrected mask of a training photograph in the run's folder, at the photograph's own size.

        Raises:
            DataError: no such photograph in the run.
        """
        if self.run is None or name not in self.records:
            raise DataError(f"{name}: only photographs of the run's own collection can be kept; download this mask")
        size = read_image(self.records[name].path).shape[:2]
        if mask.shape != size:
            mask = np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
        target = mask_path(self.run.root / CORRECTED, name)
        write_mask(target, mask, classes=len(self.classes))
        write_label_map(self.run.root / CORRECTED, self.classes)
        return target

    def kept(self, name: str) -> NDArray[np.uint8] | None:
        """The corrected mask of a training photograph, if there is one."""
        if self.run is None:
            return None
        path = mask_path(self.run.root / CORRECTED, name)
        return read_mask(path) if path.is_file() else None

    def export(self, photo: Photo, mask: NDArray[np.uint8], kind: str, folder: Path) -> Path:
        """Write one mask as a file in a format of `FORMATS`.

        Args:
            photo: the photograph.
            mask: its mask.
            kind: a value of `FORMATS`.
            folder: an empty folder for it.
        """
        stem = Path(photo.name).stem or "mask"
        name = f"{stem}.png"
        make_folder(folder / "masks")
        write_mask(folder / "masks" / name, mask, classes=len(self.classes))
        if kind == "png":
            return folder / "masks" / name
        write_classes(folder / "masks", self.classes)
        make_folder(folder / "photos")
        suffix = Path(photo.name).suffix.lower()
        suffix = suffix if suffix in {".jpg", ".jpeg", ".png"} else ".png"
        Image.fromarray(photo.image).save(folder / "photos" / f"{stem}{suffix}")
        ending = {"coco": ".json", "label-studio": ".json", "cvat": ".xml"}.get(kind, ".zip")
        out = folder / f"{stem}-{kind}{ending}"
        export_masks(folder / "masks", out=out, to=kind, images=folder / "photos", classes=self.classes, progress=False)
        return out

    def _remembered(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._scores:
                self._scores.move_to_end(key)
                found: Value = self._scores[key]
                return found
        value = make()
        with self._lock:
            _remember(self._scores, key, value)
        return value


def _remember(store: OrderedDict[Any, Any], key: object, value: object) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > _REMEMBERED:
        store.popitem(last=False)
