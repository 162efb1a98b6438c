"""What the page does, without the page: open an image, see the steps of the method, correct the mask, export it."""

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
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import CrfConfig, PredictionConfig
from tag2mask.core.errors import DataError
from tag2mask.core.files import make_folder
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.drawing import Palette, heatmap, overlay, palette_colours
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference import Segmenter
from tag2mask.inference.review import TABLE, least_certain
from tag2mask.masks import mask_path, read_mask, write_label_map, write_mask
from tag2mask.masks.class_names import write_classes
from tag2mask.masks.export_folder import export_masks
from tag2mask.masks.run_lengths import mask_from_runs, mask_runs
from tag2mask.method.evidence import Evidence
from tag2mask.models.checkpoint import RunFolder

CORRECTED = "corrected"
"""Folder of corrected masks in a run's folder; `train(corrected=...)` takes it."""

SIDE = 1600
"""Long side to which larger images are scaled; their masks and exports have it, too."""

FORMATS = {
    "PNG mask": "png",
    "COCO": "coco",
    "CVAT": "cvat",
    "Label Studio": "label-studio",
    "VOC": "voc",
    "YOLO": "yolo",
}
"""Formats of export, by the name that people see."""

_REMEMBERED = 24  # images, and evidence of images
_REMEMBERED_STEPS = 8

Drawing = tuple[NDArray[np.uint8], str]
"""A drawing (H, W, 3) uint8 RGB and its caption."""

K = TypeVar("K")
V = TypeVar("V")


class OpenImage(NamedTuple):
    """An image that was opened.

    Attributes:
        key: stands for its pixels.
        name: of its file, or in the dataset.
        pixels: (H, W, 3) uint8 RGB.
    """

    key: str
    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has chosen.

    Attributes:
        tags: names of the classes that are present; None: the network decides.
        gate: as `prediction.gate`.
        crf: as `prediction.crf`.
    """

    tags: tuple[str, ...] | None
    gate: float
    crf: CrfConfig


@dataclass(frozen=True, slots=True)
class View:
    """The mask of an image, and what led to it.

    Attributes:
        mask: (H, W) uint8 class indices.
        before: (H, W) uint8, the mask before the dense CRF.
        steps: drawings of the steps of the method before the mask.
        tag_probs: probability of each class by the tag classifier, by name.
    """

    mask: NDArray[np.uint8]
    before: NDArray[np.uint8]
    steps: tuple[Drawing, ...]
    tag_probs: dict[str, float]


class _Recent(Generic[K, V]):
    """The values that were used last; threads may share it."""

    def __init__(self, count: int):
        self._count = count
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._count:
                self._values.popitem(last=False)
        return value

    def get_or_compute(self, key: K, compute: Callable[[], V]) -> V:
        found = self.get(key)
        return self.put(key, compute()) if found is None else found


class Workbench:
    """One loaded network for any number of people at once.

    Attributes:
        segmenter: the network.
        run: folder of its run, where corrections are kept; or None.
        classes: names, without background.
        records: images of the run's dataset, by name.
    """

    def __init__(self, segmenter: Segmenter, run: RunFolder | None = None, *, palette: Palette = "safe"):
        self.segmenter = segmenter
        self.run = run
        self.palette: Palette = palette
        self.classes = segmenter.classes
        self.records: dict[str, ImageRecord] = {}
        if run is not None and run.collection.is_file():
            document = json.loads(run.collection.read_text(encoding="utf-8"))
            self.records = {record.name: record for record in Dataset.from_dict(document).records}
        self._images: _Recent[str, OpenImage] = _Recent(_REMEMBERED)
        self._evidence: _Recent[tuple[object, ...], Evidence] = _Recent(_REMEMBERED)
        self._before: _Recent[tuple[object, ...], NDArray[np.uint8]] = _Recent(_REMEMBERED)
        self._steps: _Recent[tuple[object, ...], tuple[Drawing, ...]] = _Recent(_REMEMBERED_STEPS)

    def queue(self) -> list[str]:
        """Names of the training images, the least certain mask first."""
        if self.run is not None and (self.run.masks / TABLE).is_file():
            ranked = least_certain(self.run.masks, len(self.records) or 1)
            return [name for name in ranked if name in self.records]
        return list(self.records)

    def open(self, path: Path, name: str | None = None) -> OpenImage:
        """Read an image, scaled to a long side of at most `SIDE` pixels.

        Raises:
            DataError: it is no image, damaged or too large.
        """
        pixels = read_image(path)
        shape = (pixels.shape[0], pixels.shape[1])
        if max(shape) > SIDE:
            pixels = resize_image(pixels, scaled_size(shape, SIDE)).copy()  # writable, as every other image
        key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return self._images.put(key, OpenImage(key, name or path.name, pixels))

    def opened(self, key: str) -> OpenImage:
        """An image that was opened before.

        Raises:
            DataError: too many others were opened since.
        """
        image = self._images.get(key)
        if image is None:
            raise DataError("this image is not in memory any more; open it again")
        return image

    def segment(self, image: OpenImage, choice: Choice) -> View:
        """The mask of an image as `Segmenter.predict` gives it, and each step; only the CRF is run every time."""
        settings = self.segmenter.config.prediction.model_copy(update={"gate": choice.gate, "crf": choice.crf})
        key = (image.key, choice.tags, choice.gate)
        evidence = self._evidence.get_or_compute(
            key, lambda: self.segmenter.evidence(image.pixels, choice.tags, settings=settings)
        )
        prediction = self.segmenter.finish(image.pixels, evidence, choice.tags, settings=settings)
        before = self._before.get_or_compute(key, lambda: self._without_crf(image, evidence, choice.tags, settings))
        tag_probs = {name: float(value) for name, value in zip(self.classes, prediction.tag_probs, strict=True)}
        shown = choice.tags
        if shown is None:
            shown = tuple(name for name, value in tag_probs.items() if value >= max(0.5, choice.gate))
        steps = self._steps.get_or_compute((image.key, shown), lambda: self._draw_steps(image, shown))
        return View(prediction.mask, before, steps, tag_probs)

    def step_drawings(self, image: OpenImage, view: View) -> list[Drawing]:
        """Drawings of all steps with their captions, the mask last."""
        return [
            *view.steps,
            (overlay(image.pixels, view.before, palette=self.palette), "before the CRF"),
            (overlay(image.pixels, view.mask, palette=self.palette), "after the CRF"),
        ]

    def overlaid(self, image: OpenImage, mask: NDArray[np.uint8], opacity: float) -> NDArray[np.uint8]:
        """The image with its mask laid over, and a legend."""
        return overlay(image.pixels, mask, alpha=opacity, classes=self.classes, legend=True, palette=self.palette)

    def colours(self) -> list[tuple[int, int, int]]:
        """RGB colour of each class, for the brush."""
        table = palette_colours(self.palette)
        return [(int(red), int(green), int(blue)) for red, green, blue in table[1 : len(self.classes) + 1]]

    def packed(self, image: OpenImage, mask: NDArray[np.uint8]) -> str:
        """An image with its mask for the brush, as JSON: `runs` are [count, class index], row by row."""
        stream = io.BytesIO()
        Image.fromarray(image.pixels).save(stream, format="JPEG", quality=90)
        document = {
            "width": mask.shape[1],
            "height": mask.shape[0],
            "colours": self.colours(),
            "image": "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode(),
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
        raise DataError("the painted mask does not belong to this image; open it again")

    def keep(self, name: str, mask: NDArray[np.uint8]) -> Path:
        """Write a corrected mask of a training image into the run's folder, at the size of the image's file.

        Raises:
            DataError: no such image in the run's dataset.
        """
        if self.run is None or name not in self.records:
            raise DataError(f"{name}: only masks of the run's own dataset can be kept; download this mask instead")
        size = read_image(self.records[name].path).shape[:2]
        if mask.shape != size:
            mask = np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
        target = mask_path(self.run.root / CORRECTED, name)
        write_mask(target, mask, classes=len(self.classes))
        write_label_map(self.run.root / CORRECTED, self.classes)
        return target

    def kept(self, name: str) -> NDArray[np.uint8] | None:
        """The corrected mask of a training image, if there is one."""
        if self.run is None:
            return None
        path = mask_path(self.run.root / CORRECTED, name)
        return read_mask(path) if path.is_file() else None

    def export(self, image: OpenImage, mask: NDArray[np.uint8], to: str, folder: Path) -> Path:
        """Write one mask as a file.

        Args:
            image: the image.
            mask: its mask.
            to: a value of `FORMATS`.
            folder: an empty folder for the file.
        """
        stem = Path(image.name).stem or "mask"
        masks, images = folder / "masks", folder / "images"
        path = make_folder(masks) / f"{stem}.png"
        write_mask(path, mask, classes=len(self.classes))
        if to == "png":
            return path
        write_classes(masks, self.classes)
        suffix = Path(image.name).suffix.lower()
        suffix = suffix if suffix in {".jpg", ".jpeg", ".png"} else ".png"
        Image.fromarray(image.pixels).save(make_folder(images) / f"{stem}{suffix}")
        ending = {"coco": ".json", "label-studio": ".json", "cvat": ".xml"}.get(to, ".zip")
        out = folder / f"{stem}-{to}{ending}"
        export_masks(masks, out=out, to=to, images=images, classes=self.classes, progress=False)
        return out

    def _without_crf(
        self, image: OpenImage, evidence: Evidence, tags: tuple[str, ...] | None, settings: PredictionConfig
    ) -> NDArray[np.uint8]:
        off = settings.model_copy(update={"crf": settings.crf.model_copy(update={"enabled": False})})
        return self.segmenter.finish(image.pixels, evidence, tags, settings=off).mask

    def _draw_steps(self, image: OpenImage, tags: tuple[str, ...]) -> tuple[Drawing, ...]:
        steps, positions = self.segmenter.steps(image.pixels, tags)
        return (
            *(
                (heatmap(image.pixels, values), f"class map: {self.classes[position]}")
                for values, position in zip(steps.maps, positions, strict=True)
            ),
            (heatmap(image.pixels, steps.prior), "foreground prior"),
            (heatmap(image.pixels, steps.background), "background"),
        )
