"""A perceptual hash: images that look alike have hashes that differ in few bits.

The grey image is averaged to 64 x 64, transformed by a discrete cosine transform, and the signs of its
255 lowest frequencies (16 x 16 without the mean) are the hash. Recompression, scaling, contrast and colour
change few signs; a crop of 3 % of the sides changes about 50. After Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010, with more frequencies: 64 bits collide between unrelated textures.

`MAX_DISTANCE` was measured: of 5.6 million pairs of 3,354 PASCAL VOC images of animals none differ in less than
80 bits, and the nearest show different scenes; images of the same defect of a steel surface, beside another
background or in another light, differ in 21 to 80. `benchmarks/nearest_pairs.py` draws the nearest pairs of a folder.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16
BITS = SIDE * SIDE - 1
MAX_DISTANCE = 60
"""Images whose hashes differ in at most so many of `BITS` bits are near duplicates."""

_BLOCK = 2048

# Not the library `imagehash`: it compares two hashes at a time in Python, which takes hours for the 5,000 million pairs
# of 100,000 images, where `near_groups` compares blocks of them by matrix products. It would replace `perceptual_hash`
# alone, and its `phash` is slower.


def perceptual_hash(grey: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The hash of an image.

    Args:
        grey: uint8 (H, W).

    Returns:
        int8 (255,), +1 and -1.
    """
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = cv2.dct(small)[:SIDE, :SIDE].ravel()[1:]
    return np.where(spectrum > 0, 1, -1).astype(np.int8)


def near_groups(hashes: NDArray[np.int8], *, limit: int = MAX_DISTANCE) -> NDArray[np.intp]:
    """Which images look alike, directly or through others that look like both.

    Every pair is compared, as products of blocks of matrices. Pairs are not stored, so that memory stays below
    500 MB for 10,000 images even if all of them are alike.

    Args:
        hashes: int8 (N, 255) of `perceptual_hash`.
        limit: largest number of bits in which two that are alike differ.

    Returns:
        intp (N,): for each image the position of the first of its group, its own if it is alone.
    """
    signs = hashes.astype(np.float32)
    group = np.arange(len(signs))
    for start in range(0, len(signs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        alike = signs[rows] @ signs[start:].T >= BITS - 2 * limit  # BITS - 2 * distance, exact in float32
        for row in np.flatnonzero(alike.sum(1) > 1):
            joined = np.unique(group[start:][alike[row]])
            if len(joined) > 1:
                group[np.isin(group, joined)] = joined[0]
    return group


def grouped(count: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Connected groups of at least two of the numbers below `count`, each sorted, the groups by their first.

    >>> grouped(6, [(4, 2), (0, 1), (2, 5)])
    [[0, 1], [2, 4, 5]]
    """
    ends = np.array(pairs, np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    group_of = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for k, group in enumerate(group_of.tolist()):
        groups.setdefault(group, []).append(k)
    return [group for group in groups.values() if len(group) > 1]
