"""Images as people have them in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.inference.inputs import as_rgb

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
RGB = np.stack([GREY, GREY, GREY], axis=2)
HALF = np.dstack([RGB, np.full((3, 4), 128, np.uint8)])
ON_WHITE = np.rint(RGB * (128 / 255) + 255 * (127 / 255)).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RGB, RGB),
        (GREY, RGB),
        (GREY[:, :, None], RGB),
        (HALF, ON_WHITE),
        (RGB / 255, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        (GREY.astype(np.uint16) * 257, RGB),
        (GREY > 100, np.where(RGB > 100, 255, 0)),
        (torch.from_numpy(RGB).permute(2, 0, 1), RGB),
        (torch.from_numpy(GREY), RGB),
        (torch.from_numpy(GREY)[None].float() / 255, RGB),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GREY), RGB),
        (Image.fromarray(HALF), ON_WHITE),
        (Image.fromarray(GREY.astype(np.uint16) * 257), RGB),
        (Image.fromarray(GREY > 100), np.where(RGB > 100, 255, 0)),
    ],
    ids=lambda one: f"{type(one).__name__}",
)
def test_kinds(image: Any, expected: NDArray[np.uint8]) -> None:
    found = as_rgb(image)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)
    if image is not HALF and not isinstance(image, Image.Image):
        np.testing.assert_array_equal(found, expected)


def test_the_orientation_of_a_pil_image() -> None:
    lying = Image.fromarray(RGB)
    lying.getexif()[274] = 6
    assert as_rgb(lying).shape == (4, 3, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RGB.astype(np.float32), "floats holds values from 0 to 220; expected 0 to 1"),
        (np.full((2, 2), np.nan), "expected 0 to 1"),
        (np.full((2, 2), -0.5), "expected 0 to 1"),
        (RGB.astype(np.int64), "int64 does not say what white is"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"shape \(2, 3, 4, 4\) is no image"),
        (torch.zeros(2, 4, 4), r"shape \(4, 4, 2\) is no image"),
        (Image.fromarray(GREY.astype(np.float32)), "mode F does not say what white is"),
        ([[1, 2], [3, 4]], "this is no image but a list"),
        (None, "this is no image but a NoneType"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_no_image(image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_rgb(image)
