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
from tag2mask.masks.palette_png import voc_hex
from tag2mask.masks.polygons import edge_polygons
from tag2mask.masks.run_lengths import class_regions


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
        for index, region in class_regions(mask, len(self._options.classes)):
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
        height, width = region.shape
        common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
        if not self._options.polygons:
            value = {"format": "rle", "rle": brush_rle(region), "brushlabels": [label]}
            return [{**common, "from_name": "tag", "type": "brushlabels", "value": value}]
        percent = 100 / np.array([width, height])
        return [
            {
                **common,
                "from_name": "label",
                "type": "polygonlabels",
                "value": {"points": (polygon * percent).tolist(), "closed": True, "polygonlabels": [label]},
            }
            for polygon in edge_polygons(region, self._options.tolerance)
        ]


def labelling_interface(options: ExportOptions) -> str:
    """The labelling interface that shows the tasks' predictions, as Label Studio's XML."""
    kind, name = ("PolygonLabels", "label") if options.polygons else ("BrushLabels", "tag")
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>', f'  <{kind} name="{name}" toName="image">']
    for index, label in enumerate(options.classes, start=1):
        lines.append(f'    <Label value={quoteattr(label)} background="{voc_hex(index)}"/>')
    return "\n".join([*lines, f"  </{kind}>", "</View>", ""])
