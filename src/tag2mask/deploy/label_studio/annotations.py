"""From what a person submitted to tags and a mask.

Regions (brush, polygon, ellipse) are painted in their order, the last on top; the rest of the image is background. A
rectangle is a bounding box: it says that a class is present, and nothing about pixels. Results are described at
https://labelstud.io/guide/task_format and, tag by tag, at https://labelstud.io/tags. Numbers are percents of the image,
which Label Studio shows as EXIF turns it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.deploy.label_studio.interface import Interface
from tag2mask.deploy.label_studio.results import chosen_tags
from tag2mask.masks.formats.label_studio_rle import BrushError, brush_region
from tag2mask.masks.label_map import UNDECIDED
from tag2mask.masks.rasterise import fill_edges

BACKGROUND_NAMES = frozenset({"background", "__background__", "bg"})
UNDECIDED_NAMES = frozenset({UNDECIDED, "ignore", "void"})

_BOX = frozenset({"x", "y", "width", "height"})
_ELLIPSE_POINTS = 128
_MOST_POINTS = 100_000


@dataclass(slots=True)
class _Region:
    """A region of an annotation.

    Attributes:
        label: its name.
        value: its geometry.
        size: (H, W) of the image that it was drawn on, as Label Studio says.
    """

    label: str
    value: Mapping[str, Any]
    size: tuple[int, int]


@dataclass(slots=True)
class Submitted:
    """What an annotation says.

    Attributes:
        regions: in the order in which they are painted.
        boxed: labels of rectangles.
        chosen: names chosen for the image as a whole; None where nothing was chosen.
        is_mask: whether the annotation says what every pixel is; else it has tags alone.
        notes: what was not read, in sentences.
    """

    regions: list[_Region] = field(default_factory=list)
    boxed: list[str] = field(default_factory=list)
    chosen: list[str] | None = None
    is_mask: bool = False
    notes: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Names of classes in it, those that were chosen first; neither background nor undecided."""
        names = [*(self.chosen or ()), *(region.label for region in self.regions), *self.boxed]
        return [name for name in dict.fromkeys(names) if is_class(name)]


def is_class(name: str) -> bool:
    """Whether a label is that of a class, not of background or of undecided pixels."""
    return name.casefold() not in BACKGROUND_NAMES | UNDECIDED_NAMES


def read_submitted(results: object, interface: Interface) -> Submitted:
    """Read the `result` of an annotation.

    It is a mask where it has regions and no rectangle; and where it has nothing at all, although the interface takes
    regions: then the whole image is background.

    Raises:
        DataError: it is no list of results, or was drawn on a turned image.
    """
    if not isinstance(results, list):
        raise DataError(f"`result` is a {type(results).__name__}; expected a list")
    found = Submitted(chosen=chosen_tags(results, interface))
    aliases = {name: label for control in interface.controls for name, label in control.labels.items()}
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for number, result in enumerate(results):
        if isinstance(result, Mapping) and result.get("type") not in ("choices", "taxonomy"):
            by_id.setdefault(str(result.get("id", number)), []).append(result)
    for parts in by_id.values():  # <Brush> and <Labels> give two results of one region
        geometry = next((one for one in parts if _is_region(one.get("value"))), None)
        labels = [name for one in parts for name in _labels(one.get("value"))]
        if geometry is None:
            found.notes.append(f"a result of type {str(parts[0].get('type'))[:40]!r}, which is neither mask nor tag")
        elif not labels:
            found.notes.append("a region without a label")
        else:
            if len(set(labels)) > 1:
                found.notes.append(f"a region with several labels, of which {labels[0]!r} was taken")
            label = aliases.get(labels[0], labels[0])
            if geometry["value"].keys() >= _BOX:
                found.boxed.append(label)
            else:
                found.regions.append(_Region(label, geometry["value"], _size(geometry)))
    if found.boxed:
        found.notes.append("rectangles, which say which classes are present but not where: there is no mask")
    found.is_mask = not found.boxed and (bool(found.regions) or (interface.has_shapes and not results))
    return found


def painted(submitted: Submitted, size: tuple[int, int], index_of: Callable[[str], int]) -> NDArray[np.uint8]:
    """The mask of an annotation.

    Args:
        submitted: what it says.
        size: (H, W) of the image.
        index_of: index of a class by its name.

    Returns:
        uint8 (H, W) class indices; `IGNORE_INDEX` where somebody painted `undecided`, `ignore` or `void`.

    Raises:
        DataError: a region was drawn on an image of another size, or is damaged.
    """
    mask = np.full(size, BACKGROUND, np.uint8)
    for region in submitted.regions:
        if region.size != size:
            raise DataError(
                f"a region drawn on {region.size[1]} x {region.size[0]} pixels; the image has {size[1]} x {size[0]}: "
                "it is another one"
            )
        name = region.label.casefold()
        if name in BACKGROUND_NAMES:
            index = BACKGROUND
        else:
            index = IGNORE_INDEX if name in UNDECIDED_NAMES else index_of(region.label)
        try:
            mask[_pixels(region.value, size)] = index
        except BrushError as error:
            raise DataError(f"a region of {region.label}: {error}") from None
    return mask


def _is_region(value: object) -> bool:
    return isinstance(value, Mapping) and (
        "rle" in value or "points" in value or "radiusX" in value or value.keys() >= _BOX
    )


def _labels(value: object) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    lists = [names for key, names in value.items() if key.endswith("labels") and isinstance(names, list)]
    return [name for names in lists for name in names if isinstance(name, str) and name.strip()]


def _size(result: Mapping[str, Any]) -> tuple[int, int]:
    height, width = result.get("original_height"), result.get("original_width")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        raise DataError("a region without `original_width` and `original_height`")
    if result.get("image_rotation"):
        raise DataError("a region drawn on an image that was turned in Label Studio; turn it back and draw it again")
    return height, width


def _pixels(value: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    if "rle" in value:
        return brush_region(value["rle"], size)
    if "points" in value:
        points = value["points"]
        if not isinstance(points, list) or len(points) > _MOST_POINTS:
            raise BrushError(f"`points` is not a list of at most {_MOST_POINTS:,} points")
        corners = [_numbers(point) for point in points]
    else:
        x, y, width, height = _numbers([value.get(key) for key in ("x", "y", "radiusX", "radiusY")])
        angles = [2 * math.pi * k / _ELLIPSE_POINTS for k in range(_ELLIPSE_POINTS)]
        corners = _turned([(width * math.cos(a), height * math.sin(a)) for a in angles], (x, y), value, size)
    shape = np.array([size[1], size[0]])
    polygon = np.array(corners, np.float64).reshape(-1, 2) * shape / 100
    return fill_edges(np.clip(polygon, -shape, 2 * shape), size)


def _numbers(values: object) -> list[float]:
    """Percents; a little beyond the image is common, far beyond is damage."""
    if not isinstance(values, list) or not all(
        isinstance(one, int | float) and not isinstance(one, bool) and -1e4 < one < 1e4 for one in values
    ):
        raise BrushError("coordinates that are not percents of the image")
    return [float(one) for one in values]


def _turned(
    offsets: list[tuple[float, float]], around: tuple[float, float], value: Mapping[str, Any], size: tuple[int, int]
) -> list[list[float]]:
    """Offsets from a point, turned around it clockwise by `rotation` degrees; all in percents of the image."""
    [degrees] = _numbers([value.get("rotation") or 0])
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    ratio = size[1] / size[0]  # a percent of the width, in percents of the height
    return [
        [around[0] + dx * cosine - dy / ratio * sine, around[1] + dx * ratio * sine + dy * cosine] for dx, dy in offsets
    ]
