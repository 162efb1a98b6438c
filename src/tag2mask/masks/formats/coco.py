"""COCO JSON: one annotation per class and image, as run lengths (exact) or polygons.

Category ids are class indices, from 1; background is no category. Run lengths are those of pixels column
by column, uncompressed, as COCO's own files have them: every reader understands them. `iscrowd` is 0:
these are regions to learn from; COCO itself has no notion of a region without instances here.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.formats.options import ExportOptions, Text
from tag2mask.masks.polygons import edge_polygons
from tag2mask.masks.run_lengths import bounding_box, class_regions, run_lengths


class CocoJson:
    """Writes a COCO file piece by piece; the list of images waits in a file of its own."""

    def __init__(self, write: Text, images: IO[str], options: ExportOptions) -> None:
        """Begin the file.

        Args:
            write: takes its text.
            images: an empty temporary file.
            options: of the export.
        """
        self._write = write
        self._options = options
        self._images = images
        self._image_count = self._annotation_count = 0
        categories = [
            {"id": index, "name": name, "supercategory": ""} for index, name in enumerate(options.classes, start=1)
        ]
        info = {"description": "Masks written by tag2mask", "version": "1.0"}
        write(f'{{"info": {_json(info)},\n"licenses": [],\n"categories": {_json(categories)},\n"annotations": [')

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the annotations of one photograph."""
        height, width = mask.shape
        self._image_count += 1
        image = {"id": self._image_count, "file_name": name, "width": width, "height": height}
        self._images.write(",\n" * (self._image_count > 1) + _json(image))
        for index, region in class_regions(mask, len(self._options.classes)):
            self._annotation_count += 1
            annotation = {
                "id": self._annotation_count,
                "image_id": self._image_count,
                "category_id": index,
                "bbox": list(bounding_box(region)),
                "area": int(np.count_nonzero(region)),
                "iscrowd": 0,
                "segmentation": self._segmentation(region),
            }
            self._write((",\n" if self._annotation_count > 1 else "\n") + _json(annotation))

    def close(self) -> None:
        """Write the list of images."""
        self._write('],\n"images": [\n')
        self._images.seek(0)
        while piece := self._images.read(1 << 20):
            self._write(piece)
        self._write("]}\n")

    def _segmentation(self, region: NDArray[np.bool_]) -> Any:
        if not self._options.polygons:
            return {"size": list(region.shape), "counts": run_lengths(region.ravel(order="F")).tolist()}
        return [polygon.ravel().tolist() for polygon in edge_polygons(region, self._options.tolerance)]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
