"""Brush strokes: what we write, what label-studio-sdk writes, what its page writes, and damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tag2mask.masks.formats.label_studio_rle import BrushError, brush_region, brush_rle
from tests.deploy.label_studio.helpers import sdk_says

REGIONS = [np.random.default_rng(seed).random((seed + 3, 2 * seed + 1)) < 0.2 * seed for seed in range(6)]


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_round_trip(height: int, width: int, share: float, seed: int) -> None:
    region = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(brush_region(brush_rle(region), region.shape), region)


def test_label_studio_sdk_reads_ours_and_we_read_its() -> None:
    found = sdk_says(
        strokes=[{"rle": brush_rle(region), "size": region.shape} for region in REGIONS],
        regions=[region.astype(int).tolist() for region in REGIONS],
    )
    for region, decoded, encoded in zip(REGIONS, found["strokes"], found["regions"], strict=True):
        assert np.array_equal(np.array(decoded, bool), region)
        assert np.array_equal(brush_region(encoded, region.shape), region)


def stream(*fields: tuple[int, int]) -> list[int]:
    """Bytes of numbers with their widths in bits."""
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


HEAD = ((7, 5), (2, 4), (3, 4), (7, 4), (15, 4))


def test_stretches_of_different_values_as_the_page_writes_them() -> None:
    # Two pixels: soft edges of a stroke have an alpha between 0 and 255.
    literal = [(200, 8), (10, 8), (20, 8), (200, 8), (9, 8), (9, 8), (9, 8), (100, 8)]
    rle = stream((8, 32), *HEAD, (0, 1), (0, 2), (7, 3), *literal)
    assert brush_region(rle, (1, 2)).tolist() == [[True, False]]
    mixed = stream((8, 32), *HEAD, (1, 1), (0, 2), (3, 3), (255, 8), (0, 1), (1, 2), (3, 4), *literal[4:])
    assert brush_region(mixed, (2, 1)).tolist() == [[True], [False]]


GOOD = brush_rle(REGIONS[3])


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ("abc", "list of bytes"),
        ([1, 256], "list of bytes"),
        ([1, True], "list of bytes"),
        ([], "cut off"),
        (GOOD[:-3], "cut off"),
        (GOOD[:6], "cut off"),
        (brush_rle(REGIONS[2]), "instead of"),
        (stream((4 * REGIONS[3].size, 32), (15, 5), *HEAD[1:]), "16 bits"),
        (stream((4 * REGIONS[3].size, 32), *HEAD, (1, 1), (3, 2), (65535, 16), (0, 8)), "more values"),
        (stream((4 * REGIONS[3].size, 32), *HEAD, (0, 1), (2, 2), (100, 8), (0, 8)), "cut off"),
    ],
)
def test_damage(rle: object, message: str) -> None:
    with pytest.raises(BrushError, match=message):
        brush_region(rle, REGIONS[3].shape)


@given(st.lists(st.integers(0, 255), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(tail: list[int]) -> None:
    try:
        region = brush_region([0, 0, 0, 48, *tail], (3, 4))
    except BrushError:
        return
    assert region.shape == (3, 4)
