"""A perceptual hash: pictures that look alike have hashes that differ in few bits.

The picture in grey is averaged to 64 x 64, transformed by a discrete cosine transform, and the signs of its
255 lowest frequencies (16 x 16 without the mean) are the hash. Recompression, scaling, contrast and colour
change few signs; a crop of 3 % of the sides changes about 50. After Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010, with more frequencies: 64 bits collide between unrelated textures.

`MAX_DISTANCE` is from photographs: of 5.6 million pairs of 3,354 PASCAL VOC photographs of animals none differ in
less than 80 bits, and the nearest show different scenes; the same defects of a steel surface, beside another ground
or in another light, differ in 21 to 80. `benchmarks/nearest_pairs.py` draws the nearest pairs of a folder.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 16
BITS = SIDE * SIDE - 1
MAX_DISTANCE = 60
"""Pictures whose hashes differ in at most so many of `BITS` bits are near duplicates."""

_BLOCK = 2048


def perceptual_hash(grey: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The hash of a picture.

    Args:
        grey: uint8 (H, W).

    Returns:
        int8 (255,), +1 and -1.
    """
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = cv2.dct(small)[:SIDE, :SIDE].ravel()[1:]
    return np.where(spectrum > 0, 1, -1).astype(np.int8)


def near_groups(hashes: NDArray[np.int8], *, limit: int = MAX_DISTANCE) -> NDArray[np.intp]:
    """Which pictures look alike, directly or through others that look like both.

    Every pair is compared, as products of blocks of matrices: 10,000 pictures take a few seconds and
    less than 500 MB, however many of them are alike.

    Args:
        hashes: int8 (N, 255) of `perceptual_hash`.
        limit: largest number of bits in which two that are alike differ.

    Returns:
        intp (N,): for each picture the position of the first of its group, its own if it is alone.
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
    """Connected groups of at least two of `count` things, each sorted, the groups by their first."""
    leader = list(range(count))

    def find(k: int) -> int:
        while leader[k] != k:
            leader[k] = leader[leader[k]]
            k = leader[k]
        return k

    for i, j in pairs:
        low, high = sorted((find(i), find(j)))
        leader[high] = low
    groups: dict[int, list[int]] = {}
    for k in range(count):
        groups.setdefault(find(k), []).append(k)
    return [group for group in groups.values() if len(group) > 1]
