"""What pydensecrf's own tests ask for, written anew from their behaviour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.crf.pydensecrf import densecrf, eigen, utils

SIDE = 10
IMAGE = np.zeros((SIDE, SIDE, 3), np.uint8)
IMAGE[2:8, 2:8] = 255


def frame_and_centre() -> NDArray[np.float32]:
    """Energies (2, N) that favour one class at the border of the image and the other in its middle."""
    votes = np.zeros((2, SIDE, SIDE), np.float32)
    votes[0] = 1
    votes[0, 1:-1, 1:-1] = 0
    votes[1, 4:7, 4:7] = 1
    probs = (votes + 1) / (votes.sum(axis=0) + 2)
    return np.asarray(-np.log(probs).reshape(2, -1), dtype=np.float32)


def in_the_plane() -> Any:
    crf = densecrf.DenseCRF2D(SIDE, SIDE, 2)
    crf.setUnaryEnergy(frame_and_centre())
    crf.addPairwiseBilateral(sxy=2, srgb=2, rgbim=IMAGE, compat=3)
    return crf


def by_features() -> Any:
    crf = densecrf.DenseCRF(SIDE * SIDE, 2)
    crf.setUnaryEnergy(frame_and_centre())
    crf.addPairwiseEnergy(utils.create_pairwise_bilateral(sdims=(2, 2), schan=2, img=IMAGE, chdim=2), compat=3)
    return crf


@pytest.mark.parametrize("build", [in_the_plane, by_features])
def test_a_small_image_has_the_classes_of_its_frame_and_centre(build: Any) -> None:
    labels = np.argmax(build().inference(10), axis=0).reshape(SIDE, SIDE)
    assert (labels[4:7, 4:7] == 1).all()
    assert (labels[0] == 0).all()


def test_both_ways_give_the_same_classes() -> None:
    plane, features = (np.argmax(build().inference(10), axis=0) for build in (in_the_plane, by_features))
    np.testing.assert_array_equal(plane, features)


@pytest.mark.parametrize("compat", [np.array([1.0, 2.0]), np.eye(2), np.array([1, 2])])
def test_a_compatibility_of_another_type_is_an_error(compat: NDArray[Any]) -> None:
    """In pydensecrf too, where it once crashed."""
    crf = densecrf.DenseCRF2D(SIDE, SIDE, 2)
    with pytest.raises(ValueError, match="float32"):
        crf.addPairwiseBilateral(sxy=(3, 3), srgb=(3, 3, 3), rgbim=IMAGE, compat=compat)
    crf.addPairwiseBilateral(sxy=(3, 3), srgb=(3, 3, 3), rgbim=IMAGE, compat=compat.astype(np.float32))


def test_vectors_and_matrices() -> None:
    vector, matrix = np.arange(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(np.array(eigen.vectorXf(vector)), vector)
    np.testing.assert_array_equal(np.array(eigen.matrixXf(matrix)), matrix)
    for wrong in (np.zeros((3, 3, 3), np.float32), np.zeros((3, 3)), vector):
        with pytest.raises(ValueError, match="matrixXf takes a float32 array of 2 dimensions"):
            eigen.matrixXf(wrong)
    with pytest.raises(TypeError, match="NoneType"):
        eigen.matrixXf(None)
