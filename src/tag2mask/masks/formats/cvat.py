"""CVAT for images, XML 1.1 (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/): masks or polygons.

A `<mask>` holds the run lengths of its bounding box, row by row, starting with pixels outside the region.
"""

from __future__ import annotations

import json
import re
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.masks.formats.options import ExportOptions, Text
from tag2mask.masks.formats.regions import object_regions
from tag2mask.masks.palette_png import voc_hex
from tag2mask.masks.polygons import edge_polygons
from tag2mask.masks.run_lengths import bounding_box, run_lengths

_COMMON = 'source="auto" occluded="0" z_order="0"'
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class CvatXml:
    """Writes `<annotations>` image by image."""

    def __init__(self, write: Text, options: ExportOptions) -> None:
        self._write = write
        self._options = options
        self._count = 0
        for name in options.classes:
            _check(name, "class")
        labels = "".join(
            f"<label><name>{escape(name)}</name><color>{voc_hex(index)}</color><attributes></attributes></label>"
            for index, name in enumerate(options.classes, start=1)
        )
        write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        write(f"  <meta><task><name>tag2mask</name><mode>annotation</mode><labels>{labels}</labels></task></meta>\n")

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write the shapes of one image."""
        _check(name, "image")
        height, width = mask.shape
        lines = [f'  <image id="{self._count}" name={quoteattr(name)} width="{width}" height="{height}">']
        for index, region in object_regions(mask, len(self._options.classes), instances=self._options.instances):
            label = quoteattr(self._options.classes[index - 1])
            if self._options.polygons:
                for polygon in edge_polygons(region, self._options.tolerance):
                    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon.tolist())
                    lines.append(f'    <polygon label={label} {_COMMON} points="{points}"/>')
            else:
                lines.append(f"    <mask label={label} {_COMMON} {_mask(region)}/>")
        self._write("\n".join([*lines, "  </image>\n"]))
        self._count += 1

    def close(self) -> None:
        """Write the end."""
        self._write("</annotations>\n")


def cvat_labels(classes: tuple[str, ...]) -> str:
    """The labels of a CVAT task, as its form takes them under "Raw"."""
    labels = [{"name": name, "color": voc_hex(index), "attributes": []} for index, name in enumerate(classes, start=1)]
    return json.dumps(labels, ensure_ascii=False, indent=1) + "\n"


def _mask(region: NDArray[np.bool_]) -> str:
    left, top, width, height = bounding_box(region)
    lengths = run_lengths(region[top : top + height, left : left + width].ravel())
    rle = ", ".join(map(str, lengths.tolist()))
    return f'rle="{rle}" left="{left}" top="{top}" width="{width}" height="{height}"'


def _check(name: str, what: str) -> None:
    if _NOT_XML.search(name):
        raise DataError(f"{what} name {name!r}: XML cannot hold a control character; rename it")
