"""Evidence spread over the parts of an image that belong together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.method.affinity import Affinity, AffinityBlock
from tag2mask.method.class_scores import foreground_evidence
from tag2mask.method.output import NetworkOutput


def halves(height: int, width: int) -> NDArray[np.float32]:
    """(h, w, h * w): each patch is alike to all patches of its half of the image, left or right, and to no other."""
    left = np.broadcast_to(np.arange(width) < width // 2, (height, width)).reshape(-1)
    same = (left[:, None] == left[None, :]).astype(np.float32)
    matrix: NDArray[np.float32] = (same / same.sum(axis=1, keepdims=True)).reshape(height, width, -1)
    return matrix


def test_evidence_reaches_all_that_belongs_together_and_nothing_else() -> None:
    evidence = np.zeros((8, 8), np.float32)
    evidence[2, 1] = 1.0  # one telling part of the left half
    spread = Affinity.whole(halves(8, 8)).spread(evidence)
    assert spread[:, :4] == pytest.approx(1.0)
    assert spread[:, 4:] == pytest.approx(0.0)


def test_spread_evidence_has_the_size_of_the_map_whatever_the_grid_of_patches() -> None:
    evidence = np.zeros((24, 32), np.float32)
    evidence[:, :16] = np.random.default_rng(0).random((24, 16))
    spread = Affinity.whole(halves(6, 8)).spread(evidence)
    assert spread.shape == (24, 32)
    assert spread.min() == 0 and spread.max() == 1
    assert spread[:, :12].min() > spread[:, 20:].max()


def test_a_flipped_affinity_spreads_the_flipped_map() -> None:
    rng = np.random.default_rng(1)
    matrix = rng.random((3, 5, 15)).astype(np.float32)
    evidence = rng.random((3, 5)).astype(np.float32)
    affinity = Affinity.whole(matrix)
    assert affinity.flipped().spread(evidence[:, ::-1]) == pytest.approx(affinity.spread(evidence)[:, ::-1], abs=1e-6)


def test_tiles_spread_their_own_parts_and_share_where_they_overlap() -> None:
    everything = np.full((4, 4, 16), 1 / 16, np.float32)
    blocks = (AffinityBlock(everything, (0, 0, 1, 0.75)), AffinityBlock(everything, (0, 0.25, 1, 1)))
    evidence = np.zeros((4, 8), np.float32)
    evidence[:, :2] = 1.0
    spread = Affinity(blocks).spread(evidence)
    assert spread[:, :2] == pytest.approx(1.0)
    assert spread[:, 2:6] == pytest.approx(0.5)
    assert spread[:, 6:] == pytest.approx(0.0)


def test_evidence_of_foreground_is_spread_where_there_is_an_affinity() -> None:
    prior = np.zeros((8, 8), np.float32)
    prior[0, 0] = 1.0
    maps = np.zeros((1, 8, 8), np.float32)
    plain = foreground_evidence(prior, maps, prior_share=0.5)
    assert plain[7, 0] == 0
    assert foreground_evidence(prior, maps, prior_share=0.5, affinity=Affinity.whole(halves(4, 4)))[7, 0] == 1


def test_the_output_of_a_flipped_image_is_flipped_with_its_affinity() -> None:
    matrix = np.random.default_rng(2).random((2, 3, 6)).astype(np.float32)
    zeros = np.zeros((1, 2, 3), np.float32)
    output = NetworkOutput(np.zeros(1, np.float32), zeros, zeros, affinity=Affinity.whole(matrix))
    flipped = output.flipped().affinity
    assert flipped is not None
    assert np.array_equal(flipped.flipped().blocks[0].matrix, matrix)
    assert flipped.blocks[0].matrix[0, 0].reshape(2, 3)[1, 0] == matrix[0, 2].reshape(2, 3)[1, 2]
