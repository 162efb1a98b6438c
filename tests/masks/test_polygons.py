"""Outlines against the readers' own rasterisers: pycocotools for corners of pixels, OpenCV for pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tag2mask.masks.polygons import centre_polygons, edge_polygons, fill_edges

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


@given(REGIONS)
@settings(max_examples=40, deadline=None)
def test_own_fill_agrees_with_pycocotools(region: Region) -> None:
    for polygon in edge_polygons(region, 0):
        assert np.array_equal(fill_edges(polygon, region.shape), coco_fill([polygon], region.shape))


def test_nothing_gives_no_polygon() -> None:
    assert edge_polygons(np.zeros((4, 5), np.bool_)) == centre_polygons(np.zeros((4, 5), np.bool_)) == []
