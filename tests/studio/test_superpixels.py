from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.studio.superpixels import MOST_SEGMENTS, superpixels
from tests.helpers import draw_shapes


def parts_of(labels: NDArray[np.uint16]) -> int:
    """Connected parts (of 4 neighbours) of all segments, counted by OpenCV."""
    import cv2

    return sum(
        cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=4)[0] - 1
        for value in np.unique(labels).tolist()
    )


def test_segments_keep_to_the_edges_of_objects() -> None:
    image, mask = draw_shapes(("disc", "square"), size=(120, 160), seed=1)
    found = superpixels(image, 150)
    wrong = 0
    for value in np.unique(found).tolist():
        counts = np.bincount(mask[found == value], minlength=3)
        wrong += int(counts.sum() - counts.max())
    assert wrong < 0.02 * mask.size


@pytest.mark.parametrize("shape", [(60, 80), (1, 7), (90, 3), (61, 47)])
@pytest.mark.parametrize("count", [1, 4, 60, 5000])
def test_segments_are_connected_and_numbered_without_gaps(shape: tuple[int, int], count: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = superpixels(image, count)
    assert (found.shape, str(found.dtype)) == (shape, "uint16")
    values = np.unique(found)
    np.testing.assert_array_equal(values, np.arange(len(values)))
    assert parts_of(found) == len(values)


def test_about_so_many_segments_as_asked_for() -> None:
    image, _ = draw_shapes(("disc", "square"), size=(240, 320), seed=2)
    assert 150 <= len(np.unique(superpixels(image, 200))) <= 260


def test_large_images_keep_their_size() -> None:
    image = np.zeros((300, 3300, 3), np.uint8)
    image[:, 1650:] = 255
    found = superpixels(image, 40)
    assert found.shape == (300, 3300)
    assert not set(np.unique(found[:, :1640])) & set(np.unique(found[:, 1660:]))


def test_wrong_arguments_are_refused() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="count is 0"):
        superpixels(image, 0)
    with pytest.raises(ValueError, match="count is"):
        superpixels(image, MOST_SEGMENTS + 1)
    with pytest.raises(ValueError, match="uint8"):
        superpixels(np.zeros((4, 4), np.uint8), 2)
