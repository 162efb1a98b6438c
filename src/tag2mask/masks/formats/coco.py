"""COCO JSON: writing and reading masks as run lengths (exact) or polygons.

One annotation per class and image, or per connected part. Category ids are class indices, from 1; background is no
category. Run lengths are uncompressed, column by column: every reader understands them. `iscrowd` is 0: these are
regions to learn from; COCO itself has no word for a region without instances.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND
from tag2mask.images.decode import max_pixels
from tag2mask.masks.formats.options import ExportOptions, Text
from tag2mask.masks.formats.regions import object_regions, part_boxes
from tag2mask.masks.polygons import edge_polygons
from tag2mask.masks.rasterise import fill_edges
from tag2mask.masks.run_lengths import RunLengthError, bounding_box, coco_counts, coco_region

_FARTHEST = 1e6
_LONGEST_OUTLINE = 5e6
"""Of a polygon, in pixels. pycocotools takes about 120 bytes for each: 600 MB at most."""


class CocoMaskError(ValueError):
    """An annotation that makes no sense; the message says why."""


class CocoJson:
    """Writes a COCO file piece by piece; the list of images waits in a temporary file."""

    def __init__(self, write: Text, images: IO[str], options: ExportOptions, *, boxes: bool = False) -> None:
        """Begin the file.

        Args:
            write: takes its text.
            images: an empty temporary file.
            options: of the export.
            boxes: each connected part of a class is an annotation, with its box and without its pixels.
        """
        self._boxes = boxes
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
        """Write the annotations of one image."""
        height, width = mask.shape
        self._image_count += 1
        image = {"id": self._image_count, "file_name": name, "width": width, "height": height}
        self._images.write(",\n" * (self._image_count > 1) + _json(image))
        classes = len(self._options.classes)
        if self._boxes:
            for index, box, area in part_boxes(mask, classes):
                self._annotate(index, box, area, [])
            return
        for index, region in object_regions(mask, classes, instances=self._options.instances):
            area = int(np.count_nonzero(region))
            self._annotate(index, bounding_box(region), area, self._segmentation(region))

    def _annotate(self, index: int, box: tuple[int, int, int, int], area: int, segmentation: Any) -> None:
        self._annotation_count += 1
        annotation = {
            "id": self._annotation_count,
            "image_id": self._image_count,
            "category_id": index,
            "bbox": list(box),
            "area": area,
            "iscrowd": 0,
            "segmentation": segmentation,
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
            return {"size": list(region.shape), "counts": coco_counts(region)}
        return [polygon.ravel().tolist() for polygon in edge_polygons(region, self._options.tolerance)]


def coco_mask(
    size: tuple[int, int], annotations: Sequence[dict[str, Any]], indices: dict[Any, int]
) -> NDArray[np.uint8]:
    """Draw the annotations of one image, later ones over earlier ones.

    Args:
        size: (H, W) of the image.
        annotations: of COCO, each with `category_id` and `segmentation`; the content need not be trusted.
        indices: class index of each category id.

    Returns:
        (H, W) uint8 class indices, 0 where nothing is annotated.

    Raises:
        CocoMaskError: the image has no pixel or more than `tag2mask.images.decode.max_pixels()`, or a segmentation
            makes no sense.
    """
    limit = max_pixels()
    if not 0 < size[0] * size[1] <= limit or min(size) < 1:
        raise CocoMaskError(f"an image of {size[1]} x {size[0]} pixels; expected 1 to {limit:,} (TAG2MASK_MAX_PIXELS)")
    mask = np.full(size, BACKGROUND, dtype=np.uint8)
    for annotation in annotations:
        region = _region(annotation.get("segmentation"), size)
        mask[region] = indices[annotation["category_id"]]
    return mask


def _region(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, list):
        return _polygons(segmentation, size)
    if not isinstance(segmentation, dict):
        raise CocoMaskError("a segmentation that is neither polygons nor run lengths; export masks, not boxes alone")
    if segmentation.get("size") != [size[0], size[1]]:
        raise CocoMaskError(f"run lengths of size {segmentation.get('size')!r} on an image of {[size[0], size[1]]}")
    try:
        return coco_region(segmentation.get("counts"), size)
    except RunLengthError as error:
        raise CocoMaskError(str(error)) from None


def _polygons(polygons: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels inside any of the polygons."""
    region = np.zeros(size, dtype=bool)
    for polygon in polygons:
        try:
            vertices = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        except (TypeError, ValueError, OverflowError):
            raise CocoMaskError("a polygon that is not a list of x, y, x, y, ...") from None
        if len(vertices) < 3 or not np.isfinite(vertices).all():
            raise CocoMaskError("a polygon with fewer than 3 vertices, or with coordinates that are not numbers")
        if np.abs(vertices).max() > _FARTHEST:
            raise CocoMaskError("a polygon that lies far outside its image")
        if np.abs(vertices - np.roll(vertices, 1, axis=0)).max(axis=1).sum() > _LONGEST_OUTLINE:
            raise CocoMaskError(f"a polygon with an outline of more than {_LONGEST_OUTLINE:,.0f} pixels")
        region |= fill_edges(vertices, size)
    return region


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
