"""Label Studio tasks with predictions: brush strokes (exact) or polygons.

JSON as https://labelstud.io/guide/predictions describes it; what a project's labelling interface must contain is
written beside it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.formats.label_studio_rle import brush_rle
from tag2mask.masks.formats.options import ExportOptions, Text
from tag2mask.masks.formats.regions import object_regions
from tag2mask.masks.palette_png import voc_hex
from tag2mask.masks.polygons import TOLERANCE, edge_polygons


class LabelStudioJson:
    """Writes a list of tasks, one per image."""

    def __init__(self, write: Text, options: ExportOptions) -> None:
        self._write = write
        self._options = options
        self._count = 0
        write("[")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the task of one image."""
        results: list[dict[str, Any]] = []
        for index, region in object_regions(mask, len(self._options.classes), instances=self._options.instances):
            results += self._results(region, self._options.classes[index - 1])
        for number, result in enumerate(results):
            result["id"] = f"tag2mask{number}"
        task = {
            "data": {"image": self._options.image_url + quote(name)},
            "predictions": [{"model_version": "tag2mask", "result": results}],
        }
        self._write((",\n" if self._count else "\n") + json.dumps(task, ensure_ascii=False, separators=(",", ":")))
        self._count += 1

    def close(self) -> None:
        """Write the end."""
        self._write("\n]\n")

    def _results(self, region: NDArray[np.bool_], label: str) -> list[dict[str, Any]]:
        if not self._options.polygons:
            return [brush_result(region, label)]
        return polygon_results(region, label, tolerance=self._options.tolerance)


def brush_result(
    region: NDArray[np.bool_], label: str, *, from_name: str = "tag", to_name: str = "image"
) -> dict[str, Any]:
    """A region (H, W) as one brush stroke, pixel by pixel.

    Args:
        region: bool, not empty.
        label: of the labelling interface.
        from_name: of the control `BrushLabels`.
        to_name: of the image there.
    """
    value = {"format": "rle", "rle": brush_rle(region), "brushlabels": [label]}
    return {**_common(region, from_name, to_name), "type": "brushlabels", "value": value}


def polygon_results(
    region: NDArray[np.bool_],
    label: str,
    *,
    from_name: str = "label",
    to_name: str = "image",
    tolerance: float = TOLERANCE,
) -> list[dict[str, Any]]:
    """A region (H, W) as one polygon per part, in percent of the image; arguments as in `brush_result`."""
    percent = 100 / np.array([region.shape[1], region.shape[0]])
    return [
        {
            **_common(region, from_name, to_name),
            "type": "polygonlabels",
            "value": {"points": (polygon * percent).tolist(), "closed": True, "polygonlabels": [label]},
        }
        for polygon in edge_polygons(region, tolerance)
    ]


def _common(region: NDArray[np.bool_], from_name: str, to_name: str) -> dict[str, Any]:
    height, width = region.shape
    return {
        "from_name": from_name,
        "to_name": to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }


def labelling_interface(options: ExportOptions) -> str:
    """The labelling interface that shows the tasks' predictions, as Label Studio's XML."""
    kind, name = ("PolygonLabels", "label") if options.polygons else ("BrushLabels", "tag")
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>', f'  <{kind} name="{name}" toName="image">']
    for index, label in enumerate(options.classes, start=1):
        lines.append(f'    <Label value={quoteattr(label)} background="{voc_hex(index)}"/>')
    return "\n".join([*lines, f"  </{kind}>", "</View>", ""])
