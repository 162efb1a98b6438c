"""What the page does, without the page: open an image, see the steps of the method, correct the mask, export it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.drawing import Palette, overlay, palette_colours
from tag2mask.inference import Segmenter
from tag2mask.inference.review import TABLE, least_certain
from tag2mask.masks import export_records, mask_path, read_mask, write_label_map, write_mask
from tag2mask.masks.export import FILES
from tag2mask.masks.run_lengths import mask_from_runs, mask_runs
from tag2mask.models.checkpoint import RunFolder
from tag2mask.studio.exporting import FORMATS
from tag2mask.studio.layers import at_file_size
from tag2mask.studio.recent import Recent
from tag2mask.studio.segmenting import Choice, Drawing, OpenImage, Segmenting, View, open_image

__all__ = ["CORRECTED", "FORMATS", "SIDE", "Choice", "OpenImage", "View", "Workbench"]

CORRECTED = "corrected"
"""Folder of corrected masks in a run's folder; `train(corrected=...)` takes it."""

SIDE = 1600
"""Long side to which larger images are scaled; their masks and exports have it, too."""

_REMEMBERED = 24  # images


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
        self._images: Recent[str, OpenImage] = Recent(_REMEMBERED)
        self._segmenting = Segmenting(segmenter, palette=palette)

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
        image = open_image(path, side=SIDE, name=name)
        return self._images.put(image.key, image)

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
        return self._segmenting.segment(image, choice)

    def step_drawings(self, image: OpenImage, view: View) -> list[Drawing]:
        """Drawings of all steps with their captions, the mask last."""
        return self._segmenting.step_drawings(image, view)

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
        mask = at_file_size(mask, self.records[name].path)
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
        suffix = Path(image.name).suffix.lower()
        record = ImageRecord(f"{stem}{suffix if suffix in {'.jpg', '.jpeg', '.png'} else '.png'}")
        if to == "png":
            write_mask(folder / f"{stem}.png", mask, classes=len(self.classes))
            return folder / f"{stem}.png"
        out = folder / f"{stem}-{to}{FILES.get(to, '.zip')}"
        export_records([(record, mask)], self.classes, out, to=to, progress=False)
        return out
