"""The codec against pycocotools, and against what a hostile file may hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from tag2mask.masks.run_lengths import RunLengthError, coco_counts, coco_region

Region = NDArray[np.bool_]
REGIONS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def compressed(counts: object, region: Region) -> str:
    size = list(region.shape)
    encoded = coco.frPyObjects({"size": size, "counts": counts}, *size)["counts"]
    return str(encoded.decode("ascii"))


@given(REGIONS)
@settings(deadline=None)
def test_counts_are_those_of_pycocotools(region: Region) -> None:
    text = coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"].decode("ascii")
    counts = coco_counts(region)
    assert compressed(counts, region) == text
    assert np.array_equal(coco_region(counts, region.shape), region)
    assert np.array_equal(coco_region(text, region.shape), region)


@pytest.mark.parametrize("at", [0, 15, 16, 511, 512, 1 << 19, (1 << 23) + 5])
def test_compressed_counts_of_every_length(at: int) -> None:
    """Numbers on both sides of where one more character begins, and negative differences."""
    region = np.zeros((1 << 12, 1 << 12), np.bool_)
    flat = region.reshape(-1, order="A")
    flat[at : at + 3] = flat[at + 5 : at + 6] = flat[-9:-4] = True
    text = coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"].decode("ascii")
    assert np.array_equal(coco_region(text, region.shape), region)


@given(st.one_of(st.text(max_size=30), st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)))
@settings(max_examples=300, deadline=None)
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        region = coco_region(text, (3, 5))
    except RunLengthError:
        return
    assert region.shape == (3, 5)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("?P", "cut off"),
        ("a b", "characters"),
        ("ä", "characters"),
        ("o" * 7 + "0", "32 bits"),
        ("O", "from 0 to 16"),
        ("", "0 pixels instead of 16"),
        ([16, 1], "17 pixels instead of 16"),
        ([15], "15 pixels"),
        ([-1, 17], "from 0 to 16"),
        ([True, 15], "whole numbers"),
        ([16.0], "whole numbers"),
        ([10**30], "whole numbers"),
        ([[16]], "whole numbers"),
        (None, "whole numbers"),
        (b"`0", "whole numbers"),
    ],
)
def test_damaged_counts(counts: object, message: str) -> None:
    with pytest.raises(RunLengthError, match=message):
        coco_region(counts, (4, 4))
