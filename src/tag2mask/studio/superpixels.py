"""Superpixels: segments of similar colour that a click takes as a whole."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.crf.compiling import kernel

MOST_SEGMENTS = 20_000

_ROUNDS = 5
_LARGEST_SIDE = 1600  # larger images are segmented at this size: a segment has many pixels there, too


def superpixels(image: NDArray[np.uint8], count: int, *, compactness: float = 12.0) -> NDArray[np.uint16]:
    """Cut an image into connected segments by SLIC (Achanta et al., TPAMI 2012, doi 10.1109/TPAMI.2012.120).

    Not OpenCV's, which only its contributed modules have. Distances are those of the paper, in CIELAB and pixels;
    a part of a segment that is not connected to the rest goes to the neighbour that it touches first.

    Args:
        image: uint8 (H, W, 3) RGB.
        count: segments that are wanted, 1 to `MOST_SEGMENTS`; about so many come out.
        compactness: weight of position against colour, m of the paper; larger: squarer segments.

    Returns:
        uint16 (H, W): number of each pixel's segment, from 0 without gaps.

    Raises:
        ValueError: the image is not uint8 (H, W, 3), or `count` is out of range.

    >>> image = np.zeros((20, 20, 3), np.uint8)
    >>> image[:, 10:] = 255
    >>> found = superpixels(image, 4)
    >>> found.shape, bool((found[:, 9] == found[:, 10]).any())
    ((20, 20), False)
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"an image is uint8 (H, W, 3); got {image.dtype} {image.shape}")
    if not 1 <= count <= MOST_SEGMENTS:
        raise ValueError(f"count is {count}; expected 1 to {MOST_SEGMENTS}")
    height, width = image.shape[:2]
    factor = _LARGEST_SIDE / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = superpixels(small, count, compactness=compactness)
        return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST), np.uint16)
    scaled = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = np.ascontiguousarray(cv2.GaussianBlur(scaled, (0, 0), 0.7), np.float32)
    side = max(1.0, float(np.sqrt(height * width / count)))
    labels = _assign(lab, _centres(lab, side), side, (compactness / side) ** 2)
    return _connect(labels, max(1, int(side * side / 4)), 2 * MOST_SEGMENTS)


def _centres(lab: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    """Centres (K, 5) of a regular grid: L, a, b, y, x; each at the place of the lowest gradient around."""
    height, width = lab.shape[:2]
    rows, columns = max(1, round(height / side)), max(1, round(width / side))
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    down = np.abs(np.diff(lab, axis=0, append=lab[-1:])).sum(axis=2)
    right = np.abs(np.diff(lab, axis=1, append=lab[:, -1:])).sum(axis=2)
    gradient = down + right
    best = []
    for top in y:
        for left in x:
            window = gradient[max(0, top - 1) : top + 2, max(0, left - 1) : left + 2]
            dy, dx = np.unravel_index(int(window.argmin()), window.shape)
            cy, cx = max(0, top - 1) + int(dy), max(0, left - 1) + int(dx)
            best.append((*lab[cy, cx].tolist(), cy, cx))
    return np.array(best, np.float32)


@kernel
def _assign(lab: NDArray[np.float32], centres: NDArray[np.float32], side: float, weight: float) -> NDArray[np.int32]:
    """Nearest centre of each pixel among those at most `side` away, int32 (H, W), after some rounds of k-means."""
    height, width = lab.shape[0], lab.shape[1]
    count = centres.shape[0]
    labels = np.zeros((height, width), np.int32)
    reach = int(np.ceil(side)) + 1
    for _ in range(_ROUNDS):
        distances = np.full((height, width), np.float32(np.inf))
        for k in range(count):
            cl, ca, cb, cy, cx = centres[k]
            for y in range(max(0, int(cy) - reach), min(height, int(cy) + reach + 1)):
                for x in range(max(0, int(cx) - reach), min(width, int(cx) + reach + 1)):
                    dl, da, db = lab[y, x, 0] - cl, lab[y, x, 1] - ca, lab[y, x, 2] - cb
                    dy, dx = y - cy, x - cx
                    distance = dl * dl + da * da + db * db + weight * (dy * dy + dx * dx)
                    if distance < distances[y, x]:
                        distances[y, x] = distance
                        labels[y, x] = k
        sums = np.zeros((count, 6))
        for y in range(height):
            for x in range(width):
                k = labels[y, x]
                sums[k, 0] += lab[y, x, 0]
                sums[k, 1] += lab[y, x, 1]
                sums[k, 2] += lab[y, x, 2]
                sums[k, 3] += y
                sums[k, 4] += x
                sums[k, 5] += 1
        for k in range(count):
            if sums[k, 5] > 0:
                for j in range(5):
                    centres[k, j] = sums[k, j] / sums[k, 5]
    return labels


@kernel
def _connect(labels: NDArray[np.int32], smallest: int, most: int) -> NDArray[np.uint16]:
    """Number the connected parts of the labels; one under `smallest` pixels goes to the part before it."""
    height, width = labels.shape
    parts = np.full((height, width), -1, np.int32)
    queue = np.empty((height * width, 2), np.int32)
    found = 0
    for top in range(height):
        for left in range(width):
            if parts[top, left] >= 0:
                continue
            neighbour = -1
            if left > 0:
                neighbour = parts[top, left - 1]
            elif top > 0:
                neighbour = parts[top - 1, left]
            label = labels[top, left]
            parts[top, left] = found
            queue[0, 0], queue[0, 1] = top, left
            end = 1
            start = 0
            while start < end:
                y, x = queue[start, 0], queue[start, 1]
                start += 1
                for k in range(4):
                    ny, nx = y, x
                    if k == 0:
                        ny -= 1
                    elif k == 1:
                        ny += 1
                    elif k == 2:
                        nx -= 1
                    else:
                        nx += 1
                    if ny < 0 or nx < 0 or ny >= height or nx >= width:
                        continue
                    if parts[ny, nx] < 0 and labels[ny, nx] == label:
                        parts[ny, nx] = found
                        queue[end, 0], queue[end, 1] = ny, nx
                        end += 1
            if neighbour >= 0 and (end < smallest or found >= most):
                for k in range(end):
                    parts[queue[k, 0], queue[k, 1]] = neighbour
            else:
                found += 1
    return parts.astype(np.uint16)
