"""Outlines of a region as polygons that rasterise to its pixels again.

Two kinds of coordinates, for two kinds of readers:

- `edge_polygons`: pixel (row r, column c) is the square from (c, r) to (c + 1, r + 1); vertices lie on the corners of
  pixels. COCO, CVAT and Label Studio mean this; `tag2mask.masks.rasterise.fill_edges` draws it.
- `centre_polygons`: vertices are pixels, and the outline belongs to the polygon. YOLO means this;
  `tag2mask.masks.rasterise.fill_centres` draws it.

None of these formats knows holes. A hole is joined to the outline by a bridge of no width, there and
back, so that one polygon describes a part with all its holes; under the even-odd rule, and under the
non-zero rule too (holes run the other way round), the result is the same. Parts are connected over
edges and corners (8-connected), so that a thin diagonal line is one polygon.

Simplification is by Ramer-Douglas-Peucker (doi 10.3138/FM57-6770-U75U-7727). A part whose polygon,
rasterised, has an IoU with the part below `MIN_IOU` is simplified again with half the tolerance, down to
the exact outline: a line one pixel wide is not lost, at any tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.rasterise import fill_centres, fill_edges

TOLERANCE = 0.5
"""Default distance in pixels that a simplified outline may keep from the exact one."""

MIN_IOU = 0.99
"""IoU of every part with its polygon. The readers' own rounding costs a little; 0.98 is sure to remain."""

Ring = NDArray[np.int32]
"""(N, 2) vertices x, y; closed, the first not repeated at the end."""

_TRIES = 3
_ROUNDING = 0.15
_SMALL = 25
"""A part of fewer pixels keeps its exact outline."""


def edge_polygons(region: NDArray[np.bool_], tolerance: float = TOLERANCE) -> list[NDArray[np.float64]]:
    """One polygon per part of a region, in coordinates of pixel corners.

    Args:
        region: (H, W) bool.
        tolerance: in pixels; 0 gives the exact outline, from corner to corner.

    Returns:
        (N, 2) float64 each, x and y in steps of a half with 0 <= x <= W, 0 <= y <= H; N > 2.
    """
    return [ring / 2 for ring in _polygons(region, tolerance, _Edges(region.shape))]


def centre_polygons(region: NDArray[np.bool_], tolerance: float = TOLERANCE) -> list[Ring]:
    """One polygon per part of a region, in coordinates of pixels.

    Args:
        region: (H, W) bool.
        tolerance: in pixels; 0 gives the exact outline, from pixel to pixel.

    Returns:
        (N, 2) int32 each, 0 <= x < W, 0 <= y < H; a single pixel has one vertex, a straight line two.
    """
    return list(_polygons(region, tolerance, _Centres()))


class _Centres:
    """Outlines through pixels. The unit of length is the pixel."""

    unit = 1

    def rings(self, part: NDArray[np.uint8]) -> list[Ring]:
        return _centre_rings(part)

    def corners(self, ring: Ring, offset: tuple[int, int]) -> list[int]:
        return []  # nothing is smoothed, so that simplification itself keeps corners

    def smooth(self, ring: Ring, *, closed: bool) -> Ring:
        return ring

    def fills(self, ring: Ring, shape: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
        yield fill_centres(ring, shape)


class _Edges:
    """Outlines along the edges of pixels. The unit of length is half a pixel."""

    unit = 2

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._size = np.array([shape[1], shape[0]])  # of the image, x and y

    def rings(self, part: NDArray[np.uint8]) -> list[Ring]:
        return [2 * ring for ring in _edge_rings(part)]

    def corners(self, ring: Ring, offset: tuple[int, int]) -> list[int]:
        """Positions of the vertices that stay: corners of the shape, such as those of an image that it fills.

        Where a line is a staircase of pixels, one of the two edges that meet in a vertex is a single pixel long. Where
        both are longer, the shape itself has a corner, and smoothing would cut it off. So it would where the outline
        leaves the border of the image.

        Args:
            ring: outline of a part, in units of half a pixel from `offset`.
            offset: x, y of the part in the image.
        """
        steps = np.diff(ring, axis=0, prepend=ring[-1:])  # into each vertex, along x or along y
        across = steps[:, 1] != 0
        turns = np.flatnonzero(across != np.concatenate([across[1:], across[:1]]))
        lengths = np.diff(turns, prepend=turns[-1] - len(ring))  # of the straight line that ends in each turn
        straight = (lengths > 1) & (np.concatenate([lengths[1:], lengths[:1]]) > 1)
        corners = ring[turns] // self.unit + np.array(offset)
        kept: list[int] = turns[straight | ((corners == 0) | (corners == self._size)).any(axis=1)].tolist()
        return kept

    def smooth(self, ring: Ring, *, closed: bool) -> Ring:
        """The line through the middles of the edges: staircases become straight and stay where they were."""
        middles = (ring[:-1] + ring[1:]) // 2
        first, last = ring[:1], ring[-1:]
        return np.concatenate([middles, (last + first) // 2] if closed else [first, middles, last])

    def fills(self, ring: Ring, shape: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
        """With the vertices a little off, as readers may round them."""
        for x in (-_ROUNDING, _ROUNDING):
            for y in (-_ROUNDING, _ROUNDING):
                yield fill_edges(ring / 2 + np.array([x, y]), shape)


def _polygons(region: NDArray[np.bool_], tolerance: float, kind: _Centres | _Edges) -> Iterator[Ring]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    for index in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[index])
        part = np.ascontiguousarray(parts[top : top + height, left : left + width] == index)
        rings = kind.rings(part.view(np.uint8))
        bridges = _bridges(rings)
        distance = tolerance
        for _ in range(_TRIES if tolerance > 0 and area >= _SMALL else 0):
            ring = _joined(rings, bridges, distance, kind, (left, top))
            if all(_iou(filled, part, area) >= MIN_IOU for filled in kind.fills(ring, part.shape)):
                break
            distance /= 2
        else:
            ring = _joined(rings, bridges, 0, kind, (left, top))
        yield ring + kind.unit * np.array([left, top], np.int32)


def _iou(filled: NDArray[np.bool_], part: NDArray[np.bool_], area: int) -> float:
    common = int(np.count_nonzero(filled & part))
    return common / (int(np.count_nonzero(filled)) + area - common)


def _centre_rings(part: NDArray[np.uint8]) -> list[Ring]:
    """Outline, then holes of a part through the pixels at its border, every pixel a vertex."""
    contours, hierarchy = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = []
    for contour in contours:
        ring = contour.reshape(-1, 2).astype(np.int32)
        rings.append(np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0))
    inner = hierarchy.reshape(-1, 4)[:, 3] >= 0
    order = sorted(range(len(rings)), key=lambda k: (bool(inner[k]), *rings[k][0, ::-1].tolist()))
    return [rings[k] for k in order]


def _edge_rings(part: NDArray[np.uint8]) -> list[Ring]:
    """Outline, then holes of a part along the edges of pixels, every corner of a pixel a vertex.

    The part lies to the right of the way. Where two pixels meet at a corner alone, the way goes from
    one to the other, so that 8-connected pixels are inside one outline. Each ring begins at its
    topmost corner, of several at the leftmost; no two pixels meet there.
    """
    padded = np.pad(part, 1).astype(np.int8)
    down = padded[1:, 1:-1] - padded[:-1, 1:-1]  # (H + 1, W): over the line between two rows
    right = padded[1:-1, 1:] - padded[1:-1, :-1]  # (H, W + 1): over the line between two columns
    width = part.shape[1] + 1  # corners in a row; the corner x, y has the number y * width + x
    ways: dict[int, list[int]] = {}
    for edges, dx, dy, move in ((down == 1, 0, 0, 1), (down == -1, 1, 0, -1), (right == -1, 0, 0, width)):
        _add_ways(ways, edges, dx, dy, move, width)
    _add_ways(ways, right == 1, 0, 1, -width, width)
    left_of = {1: -width, -width: -1, -1: width, width: 1}
    rings = []
    for start in sorted(ways):
        if start not in ways:
            continue
        corners, here, move = [], start, 0
        while here in ways:
            corners.append(here)
            moves = ways[here]
            move = moves[0] if len(moves) == 1 else left_of[move]
            moves.remove(move)
            if not moves:
                del ways[here]
            here += move
        numbers = np.array(corners, np.int64)
        rings.append(np.stack([numbers % width, numbers // width], axis=1).astype(np.int32))
    return rings


def _add_ways(ways: dict[int, list[int]], edges: NDArray[np.bool_], dx: int, dy: int, move: int, width: int) -> None:
    rows, columns = np.nonzero(edges)
    for start in ((rows + dy) * width + columns + dx).tolist():
        ways.setdefault(start, []).append(move)


def _bridges(rings: list[Ring]) -> list[tuple[int, int]]:
    """For each hole the vertex (number of ring, position in it) that is met first on the way up from its first one.

    All pixels on the way belong to the part: the next vertex above lies on the ring of whatever is
    met first, which begins higher up and so comes earlier. Holes are joined to earlier rings alone.
    """
    if len(rings) == 1:
        return []
    points = np.concatenate(rings).astype(np.int64)
    ring = np.repeat(np.arange(len(rings)), [len(one) for one in rings])
    position = np.concatenate([np.arange(len(one)) for one in rings])
    tall = int(points[:, 1].max()) + 1
    keys = points[:, 0] * tall + points[:, 1]
    order = np.lexsort((ring, keys))
    keys, ring, position = keys[order], ring[order], position[order]
    bridges = []
    for number, one in enumerate(rings[1:], start=1):
        found = int(np.searchsorted(keys, int(one[0, 0]) * tall + int(one[0, 1])))
        if ring[found] >= number:
            found -= 1
        bridges.append((int(ring[found]), int(position[found])))
    return bridges


def _joined(
    rings: list[Ring], bridges: list[tuple[int, int]], distance: float, kind: _Centres | _Edges, offset: tuple[int, int]
) -> Ring:
    """One ring of outline and holes, simplified between the ends of the bridges and the corners."""
    attached: list[dict[int, list[int]]] = [{} for _ in rings]
    for number, (target, position) in enumerate(bridges, start=1):
        attached[target].setdefault(position, []).append(number)
    done: dict[int, Ring] = {}
    for number in reversed(range(len(rings))):
        ring, here = rings[number], attached[number]
        ends = sorted({*here, *([0] if number else []), *(kind.corners(ring, offset) if distance > 0 else [])})
        if not ends:
            done[number] = _simplified(ring, distance, kind, closed=True)
            continue
        pieces = []
        for end, following in zip(ends, [*ends[1:], ends[0] + len(ring)], strict=True):
            vertex = ring[end : end + 1]
            for hole in here.get(end, []):
                whole = done.pop(hole)
                pieces += [vertex, whole, whole[:1]]
            arc = ring[np.arange(end, following + 1) % len(ring)]
            pieces.append(_simplified(arc, distance, kind, closed=False)[:-1])
        # A hole begins with its first vertex, from which its bridge goes: 0 is the first of its ends.
        done[number] = np.concatenate(pieces)
    ring = done[0]
    kept: Ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return kept if len(kept) else ring[:1]


def _simplified(line: Ring, distance: float, kind: _Centres | _Edges, *, closed: bool) -> Ring:
    """The line with fewer vertices; its ends stay where it is not closed. Distance 0: the same line."""
    if len(line) < 3:
        return line
    if distance > 0:
        smooth = kind.smooth(line, closed=closed)
        return np.asarray(cv2.approxPolyDP(smooth, distance * kind.unit, closed), np.int32).reshape(-1, 2)
    before, after = np.roll(line, 1, axis=0) - line, np.roll(line, -1, axis=0) - line
    straight = before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    keep = ~(straight & ((before * after).sum(axis=1) < 0))
    if not closed:
        keep[[0, -1]] = True
    kept: Ring = line[keep]
    return kept
