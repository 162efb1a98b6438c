"""Pixels of a polygon: one function for each of the two definitions that readers have.

- `fill_edges`: vertices lie on the corners of pixels; pixel (row r, column c) is the square from (c, r) to
  (c + 1, r + 1). COCO, CVAT and Label Studio mean this.
- `fill_centres`: vertices are pixels, and the outline belongs to the polygon. YOLO means this.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from tag2mask.masks.run_lengths import coco_region

_STRIP_PIXELS = 1 << 24


def fill_edges(polygon: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside a polygon, by the even-odd rule, as pycocotools draws it.

    pycocotools is what most readers of COCO use. It rounds vertices to a fifth of a pixel, so that pixels on an outline
    with other vertices may differ from exact geometry; masks written here must survive that.

    Args:
        polygon: (N, 2) x, y, finite; may reach out of the image. Memory grows with the length of its outline.
        shape: (H, W) of the image.

    Returns:
        (H, W) bool.
    """
    region = np.zeros(shape, np.bool_)
    if len(polygon) < 3:  # no area; pycocotools would take two vertices for a box
        return region
    (x0, y0), (x1, y1) = polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(shape[1], math.ceil(x1)), min(shape[0], math.ceil(y1))
    height = bottom - top
    if height <= 0:
        return region
    # Strips of columns: pycocotools writes a count of more than 24 bits into memory that is too small by a byte.
    step = max(1, _STRIP_PIXELS // height)
    for start in range(left, right, step):
        size = height, min(step, right - start)
        (encoded,) = coco.frPyObjects([(polygon - [start, top]).ravel()], *size)
        region[top:bottom, start : start + size[1]] = coco_region(encoded["counts"].decode("ascii"), size)
    return region


def fill_centres(polygon: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a polygon, its outline included, as `cv2.fillPoly` draws it.

    Args:
        polygon: (N, 2) x, y of pixels, N > 0.
        shape: (H, W) of the image.

    Returns:
        (H, W) bool.
    """
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [polygon], (1,))
    return canvas.astype(np.bool_)
