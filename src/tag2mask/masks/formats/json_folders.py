"""A JSON file per image: labelme and Supervisely, with masks (exact) or polygons.

- labelme (https://github.com/wkentaro/labelme): `NAME.json` belongs beside its image. A shape of type `mask` holds the
  corners of its first and last pixel and a PNG of the box in between.
- Supervisely (https://docs.supervisely.com/data-organization/00_ann_format_navi): `meta.json`, and
  `ds/ann/NAME.jpg.json` for `ds/img/NAME.jpg`. A bitmap is a PNG of its box, compressed again by zlib. Images of a
  subfolder `a/b` are the dataset `a__b`.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, stem_of
from tag2mask.masks.formats.regions import object_regions
from tag2mask.masks.palette_png import voc_hex
from tag2mask.masks.polygons import edge_polygons
from tag2mask.masks.run_lengths import bounding_box


class Labelme:
    """Writes `NAME.json` for each image, and `labels.txt`."""

    contents = frozenset({"labels.txt"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._options = options

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the shapes of one image."""
        shapes: list[dict[str, Any]] = []
        for index, region in object_regions(mask, len(self._options.classes), instances=self._options.instances):
            label = self._options.classes[index - 1]
            if self._options.polygons:
                polygons = edge_polygons(region, self._options.tolerance)
                shapes += [_shape(label, "polygon", polygon.tolist()) for polygon in polygons]
            else:
                left, top, width, height = bounding_box(region)
                corners = [[left, top], [left + width - 1, top + height - 1]]
                shapes.append(_shape(label, "mask", corners, base64.b64encode(_png(region)).decode("ascii")))
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": name.rpartition("/")[2],
            "imageData": None,
            "imageHeight": mask.shape[0],
            "imageWidth": mask.shape[1],
        }
        self._write(f"{stem_of(name)}.json", _json(document))

    def close(self) -> None:
        """Write the names, one a line, as labelme takes them."""
        self._write("labels.txt", "".join(f"{name}\n" for name in self._options.classes).encode())


def is_labelme(entry: Path) -> bool:
    """Whether a file, or all that is in a folder, is JSON of labelme: what an export may replace.

    An image beside it, or a file that embeds one, is not.
    """
    if entry.is_symlink():
        return False
    if entry.is_dir():
        return all(map(is_labelme, entry.iterdir()))
    document = _object_in(entry)
    return "shapes" in document and document.get("imageData", "") is None


def is_supervisely(entry: Path) -> bool:
    """Whether a folder is a dataset of Supervisely without images: what an export may replace."""
    if entry.is_symlink() or not entry.is_dir():
        return False
    folder = entry / "ann"
    if folder.is_symlink() or not folder.is_dir() or [one.name for one in entry.iterdir()] != ["ann"]:
        return False
    return all("objects" in _object_in(one) for one in folder.iterdir())


def _object_in(path: Path) -> dict[str, Any]:
    """The object in a file of JSON; empty where there is none."""
    if path.suffix != ".json" or path.is_symlink() or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Supervisely:
    """Writes a project without its images."""

    contents = frozenset({"meta.json"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._options = options
        self._seen: dict[str, str] = {}

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the annotation of one image."""
        stem_of(name)  # refuses names that lead out of the folder
        folder, _, base = name.rpartition("/")
        dataset = folder.replace("/", "__") or "ds"
        if self._seen.setdefault(dataset, folder) != folder:
            raise DataError(
                f"{name}: the folders {folder!r} and {self._seen[dataset]!r} would be one dataset; rename one"
            )
        objects: list[dict[str, Any]] = []
        for index, region in object_regions(mask, len(self._options.classes), instances=self._options.instances):
            title = self._options.classes[index - 1]
            if self._options.polygons:
                for polygon in edge_polygons(region, self._options.tolerance):
                    points = {"exterior": polygon.tolist(), "interior": []}
                    objects.append({"classTitle": title, "geometryType": "polygon", "points": points, "tags": []})
            else:
                left, top, _, _ = bounding_box(region)
                data = base64.b64encode(zlib.compress(_png(region))).decode("ascii")
                bitmap = {"data": data, "origin": [left, top]}
                objects.append({"classTitle": title, "geometryType": "bitmap", "bitmap": bitmap, "tags": []})
        size = {"height": mask.shape[0], "width": mask.shape[1]}
        document = {"description": "", "tags": [], "size": size, "objects": objects}
        self._write(f"{dataset}/ann/{base}.json", _json(document))

    def close(self) -> None:
        """Write the classes."""
        shape = "polygon" if self._options.polygons else "bitmap"
        classes = [
            {"title": name, "shape": shape, "color": voc_hex(index).upper()}
            for index, name in enumerate(self._options.classes, start=1)
        ]
        self._write("meta.json", _json({"classes": classes, "tags": [], "projectType": "images"}))


def _shape(label: str, kind: str, points: list[Any], mask: str | None = None) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def _png(region: NDArray[np.bool_]) -> bytes:
    """A grey PNG of one bit a pixel of the box of a region."""
    left, top, width, height = bounding_box(region)
    box = region[top : top + height, left : left + width].astype(np.uint8) * 255
    _, data = cv2.imencode(".png", box, [cv2.IMWRITE_PNG_BILEVEL, 1])
    return bytes(data)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
