"""The encoder against a decoder written from the description of rle-pack, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tag2mask.masks.formats.label_studio_rle import brush_rle


def decode(rle: list[int]) -> NDArray[np.uint8]:
    """What `decode` of thi.ng/umbrella's rle-pack (packages/rle-pack/src/index.ts) does."""
    text, place = "".join(f"{byte:08b}" for byte in rle), 0

    def read(bits: int) -> int:
        nonlocal place
        place += bits
        return int(text[place - bits : place], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated, length = read(1), read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    assert len(values) == count
    assert len(text) - place < 8
    return np.array(values, np.uint8)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
@settings(max_examples=100, deadline=None)
def test_same_pixels_in_four_channels(region: NDArray[np.bool_]) -> None:
    picture = decode(brush_rle(region)).reshape(*region.shape, 4)
    assert np.array_equal(picture, np.repeat(region[:, :, None], 4, axis=2) * np.uint8(255))


@pytest.mark.parametrize("pixels", [1, 2, 4, 63, 64, 65, 16383, 16384, 16385, 40000])
def test_lengths_at_the_limits_of_their_sizes(pixels: int) -> None:
    region = np.zeros((1, 50000), np.bool_)
    region[0, 300 : 300 + pixels] = True
    assert np.array_equal(decode(brush_rle(region))[3::4] > 0, region[0])
