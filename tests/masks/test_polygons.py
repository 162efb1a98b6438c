"""Outlines against the readers' own rasterisers: pycocotools for corners of pixels, OpenCV for pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tag2mask.masks.polygons import centre_polygons, edge_polygons
from tag2mask.masks.rasterise import fill_centres, fill_edges

# pycocotools 2.0.11 with NumPy 2: its RLEs convert to arrays in a way that NumPy calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

Region = NDArray[np.bool_]
REGIONS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


def coco_fill(polygons: list[NDArray[np.float64]], shape: tuple[int, int]) -> Region:
    mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    if not polygons:
        return np.zeros(shape, np.bool_)
    parts = mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], *shape)
    return np.asarray(mask.decode(mask.merge(parts))).astype(np.bool_)


def opencv_fill(polygons: list[NDArray[np.int32]], shape: tuple[int, int]) -> Region:
    canvas = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [polygon], (1,))
    return canvas.astype(np.bool_)


def iou(one: Region, other: Region) -> float:
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def smooth_region(seed: int, sigma: float, shape: tuple[int, int] = (90, 120)) -> Region:
    noise = np.random.default_rng(seed).random(shape).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma) > 0.5)


@given(REGIONS)
@settings(max_examples=150, deadline=None)
def test_exact_outline_gives_the_same_pixels(region: Region) -> None:
    assert np.array_equal(coco_fill(edge_polygons(region, 0), region.shape), region)
    assert np.array_equal(opencv_fill(centre_polygons(region, 0), region.shape), region)


@given(REGIONS, st.sampled_from([0.1, 0.5, 2.0, 50.0]))
@settings(max_examples=150, deadline=None)
def test_simplified_outline_of_any_region_keeps_98_percent(region: Region, tolerance: float) -> None:
    assert iou(coco_fill(edge_polygons(region, tolerance), region.shape), region) >= 0.98
    assert iou(opencv_fill(centre_polygons(region, tolerance), region.shape), region) >= 0.98


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3, 8])
def test_default_outline_of_blobs(sigma: float) -> None:
    for seed in range(5):
        region = smooth_region(seed, sigma)
        assert iou(coco_fill(edge_polygons(region), region.shape), region) >= 0.98
        assert iou(opencv_fill(centre_polygons(region), region.shape), region) >= 0.98


def test_simplification_removes_most_vertices_of_a_disc() -> None:
    rows, columns = np.mgrid[:200, :200]
    disc = (rows - 99.5) ** 2 + (columns - 99.5) ** 2 < 90**2
    (exact,), (simple,) = edge_polygons(disc, 0), edge_polygons(disc)
    assert len(simple) * 4 < len(exact)
    assert iou(coco_fill([simple], disc.shape), disc) > 0.995


def test_thin_diagonal_line_is_one_polygon() -> None:
    region = np.eye(60, dtype=np.bool_)
    for tolerance in (0, 0.5, 5):
        (edges,), (centres,) = edge_polygons(region, tolerance), centre_polygons(region, tolerance)
        assert np.array_equal(coco_fill([edges], region.shape), region)
        assert np.array_equal(opencv_fill([centres], region.shape), region)


def test_a_square_has_the_corners_of_its_pixels() -> None:
    region = np.zeros((10, 12), np.bool_)
    region[2:9, 3:11] = True
    (edges,), (centres,) = edge_polygons(region, 0), centre_polygons(region, 0)
    assert {tuple(vertex) for vertex in edges.tolist()} == {(3, 2), (11, 2), (11, 9), (3, 9)}
    assert {tuple(vertex) for vertex in centres.tolist()} == {(3, 2), (10, 2), (10, 8), (3, 8)}


def test_a_single_pixel() -> None:
    region = np.zeros((3, 3), np.bool_)
    region[2, 1] = True
    (edges,), (centres,) = edge_polygons(region), centre_polygons(region)
    assert {tuple(vertex) for vertex in edges.tolist()} == {(1, 2), (2, 2), (2, 3), (1, 3)}
    assert centres.tolist() == [[1, 2]]


def test_nested_holes_and_islands() -> None:
    region = np.zeros((40, 40), np.bool_)
    for k in range(1, 10):
        region[2 * k : 40 - 2 * k, 2 * k : 40 - 2 * k] = k % 2 == 1
    assert len(edge_polygons(region)) == len(centre_polygons(region)) == 5
    assert iou(coco_fill(edge_polygons(region), region.shape), region) >= 0.98
    assert np.array_equal(opencv_fill(centre_polygons(region, 0), region.shape), region)


def even_odd(polygon: NDArray[np.float64], shape: tuple[int, int]) -> Region:
    """Pixels whose centres have an odd number of edges to their right."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= rows) != (y1 <= rows)) & (columns < x0 + (rows - y0) / (y1 - y0) * (x1 - x0))
    return inside


@given(REGIONS)
@settings(max_examples=40, deadline=None)
def test_filling_an_exact_outline(region: Region) -> None:
    for polygon in edge_polygons(region, 0):
        filled = fill_edges(polygon, region.shape)
        assert np.array_equal(filled, coco_fill([polygon], region.shape))
        assert np.array_equal(filled, even_odd(polygon, region.shape))


@given(hnp.arrays(np.float64, (5, 2), elements=st.floats(-8, 40)))
@settings(max_examples=100, deadline=None)
def test_filling_any_polygon(polygon: NDArray[np.float64]) -> None:
    """Also where it reaches out of the image, and the bounding box alone is drawn."""
    polygon = np.round(polygon * 5) / 5
    shape = (20, 30)
    filled = fill_edges(polygon, shape)
    large = fill_edges(polygon + 10, (60, 60))[10:30, 10:40]
    assert np.count_nonzero(filled != large) <= 2 + 0.05 * filled.size
    assert not fill_edges(polygon + 100, shape).any()
    assert not fill_edges(polygon - 100, shape).any()


def test_filling_a_large_image_in_strips() -> None:
    shape = (1 << 14, 1100)
    polygon = np.array([[3, 5], [1090, 5], [1090, 16000], [3, 16000]])
    expected = np.zeros(shape, np.bool_)
    expected[5:16000, 3:1090] = True
    assert np.array_equal(fill_edges(polygon, shape), expected)


def test_filling_pixels_includes_the_outline() -> None:
    square = np.array([[1, 1], [3, 1], [3, 2], [1, 2]], np.int32)
    assert fill_centres(square, (4, 5)).astype(int).tolist() == [[0] * 5, [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0] * 5]


@pytest.mark.parametrize("shape", [(10, 12), (60, 83), (100, 100), (375, 500)])
def test_a_class_that_fills_the_image_loses_no_pixel(shape: tuple[int, int]) -> None:
    whole = np.ones(shape, np.bool_)
    holed, half = whole.copy(), whole.copy()
    holed[2:-3, 4:7] = False
    half[: shape[0] // 2] = False
    for region in (whole, holed, half):
        assert np.array_equal(coco_fill(edge_polygons(region), shape), region)
        assert np.array_equal(opencv_fill(centre_polygons(region), shape), region)
    assert sum(map(len, edge_polygons(whole))) == 4


@pytest.mark.parametrize("tolerance", [0.5, 2])
def test_a_class_that_reaches_the_border_keeps_it(tolerance: float) -> None:
    """Not 24 pixels less where its outline leaves the border of the image."""
    rows, columns = np.mgrid[:120, :160]
    for region in (rows * 160 < columns * 120, (rows > 0) | (columns > 0), rows**2 + columns**2 > 900):
        filled = np.any([fill_edges(one, region.shape) for one in edge_polygons(region, tolerance)], axis=0)
        lost = region & ~filled
        assert sum(int(side.sum()) for side in (lost[0], lost[-1], lost[:, 0], lost[:, -1])) <= 2


def test_nothing_gives_no_polygon() -> None:
    assert edge_polygons(np.zeros((4, 5), np.bool_)) == centre_polygons(np.zeros((4, 5), np.bool_)) == []
