"""Reading COCO masks: as pycocotools writes them, as we write them, and as nobody should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tag2mask.masks.formats.coco import CocoMaskError, coco_mask
from tag2mask.masks.polygons import edge_polygons


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from(["list", "text"]))
def test_run_lengths_as_pycocotools_writes_them(height: int, width: int, seed: int, kind: str) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    region = np.random.default_rng(seed).random((height, width)) < 0.5
    encoded = coco.encode(np.asfortranarray(region.astype(np.uint8)))
    counts: object = encoded["counts"].decode()
    if kind == "list":
        flat = region.ravel(order="F")
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        lengths = np.diff([0, *edges, flat.size]).tolist()
        counts = [0, *lengths] if flat[0] else lengths
    annotation = {"category_id": 7, "segmentation": {"size": [height, width], "counts": counts}}
    np.testing.assert_array_equal(coco_mask((height, width), [annotation], {7: 3}), region * 3)


def test_polygons() -> None:
    square = {"category_id": 1, "segmentation": [[2, 3, 8, 3, 8, 7, 2, 7]]}
    inside = np.zeros((10, 12), np.uint8)
    inside[3:7, 2:8] = 1
    np.testing.assert_array_equal(coco_mask((10, 12), [square], {1: 1}), inside)
    outside = {"category_id": 1, "segmentation": [[-5, 3, 8, 3, 8, 70, -5, 70], [10, 0, 12, 0, 12, 1, 10, 1]]}
    inside[3:, :8] = 1
    inside[0, 10:] = 1
    np.testing.assert_array_equal(coco_mask((10, 12), [outside], {1: 1}), inside)


@given(st.integers(0, 2**32 - 1))
def test_our_own_exact_polygons_come_back(seed: int) -> None:
    region = np.random.default_rng(seed).random((9, 13)) < 0.5
    polygons = [polygon.ravel().tolist() for polygon in edge_polygons(region, 0.0)]
    drawn = coco_mask((9, 13), [{"category_id": 1, "segmentation": polygons}], {1: 1})
    np.testing.assert_array_equal(drawn, region)


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        "text",
        [[1, 2, 3]],
        [[1, 2, 3, 4]],
        [["a", "b", "c", "d", "e", "f"]],
        [[0, 0, 1e300, 0, 5, 5]],
        [[float("nan"), 0, 1, 0, 5, 5]],
        {"size": [5, 5], "counts": [25]},
        {"size": [4, 4], "counts": [17]},
        {"size": [4, 4], "counts": [-1, 17]},
        {"size": [4, 4], "counts": [10**18]},
        {"size": [4, 4], "counts": [True, 15]},
        {"size": [4, 4], "counts": "oooooooooooooooooooooo"},
        {"size": [4, 4], "counts": "\x00"},
        {"size": [4, 4], "counts": "0" * 1000},
    ],
)
def test_annotations_that_make_no_sense(segmentation: object) -> None:
    with pytest.raises(CocoMaskError):
        coco_mask((4, 4), [{"category_id": 1, "segmentation": segmentation}], {1: 1})


def test_the_limit_of_pixels_is_that_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"category_id": 1, "segmentation": {"size": [4, 5], "counts": [0, 20]}}
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", "20")
    assert coco_mask((4, 5), [whole], {1: 1}).all()
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", "19")
    with pytest.raises(CocoMaskError, match="5 x 4 pixels; expected 1 to 19"):
        coco_mask((4, 5), [whole], {1: 1})


def test_an_endless_outline_is_refused() -> None:
    """Its memory would grow with its length, however small the image."""
    zigzag = [value for _ in range(100) for value in (0, 0, 9e5, 1)]
    with pytest.raises(CocoMaskError, match="outline of more than"):
        coco_mask((4, 5), [{"category_id": 1, "segmentation": [zigzag]}], {1: 1})
