"""Confidence maps: the probability of each pixel's class, as a grey PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path
from tag2mask.images.decode import load_pixels, open_image


def write_confidence(path: Path, probs: NDArray[np.float32], mask: NDArray[Any], *, bits: int = 8) -> None:
    """Write the probability of the class that each pixel has: 0 is black, 1 is white.

    Args:
        path: ends in .png; folders are created.
        probs: (C + 1, H, W) in [0, 1], background first; coarser than `mask` for a large image: then the highest
            probability is taken for that of the pixel's class.
        mask: integers (H, W), class indices up to C; pixels above (undecided) get 0.
        bits: 8 (steps of 1/255) or 16 (steps of 1/65535).

    Raises:
        DataError: the file cannot be written.
        ValueError: the shapes do not fit, or `bits` is neither 8 nor 16.

    Example:
        >>> write_confidence(Path("confidence/b.png"), np.full((2, 3, 4), 0.5, np.float32), np.zeros((3, 4), int))
        >>> read_confidence(Path("confidence/b.png")).shape
        (3, 4)
    """
    if bits not in (8, 16):
        raise ValueError(f"a confidence map has 8 or 16 bits, got {bits}")
    if probs.ndim != 3 or any(fine < coarse for fine, coarse in zip(mask.shape, probs.shape[1:], strict=True)):
        raise ValueError(f"probabilities {probs.shape} do not fit a mask {mask.shape}")
    decided = (mask >= 0) & (mask < len(probs))
    if probs.shape[1:] == mask.shape:
        indices = np.where(decided, mask, 0).astype(np.intp)
        chosen = np.take_along_axis(probs, indices[None], axis=0)[0] * decided
    else:
        best = probs.max(axis=0).astype(np.float32)
        chosen = np.asarray(cv2.resize(best, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)) * decided
    steps = 2**bits - 1
    kind = np.uint8 if bits == 8 else np.uint16
    grey = np.empty(mask.shape, dtype=kind)
    for top in range(0, len(grey), 512):  # copies of a large image in double precision take much memory
        rows = np.clip(chosen[top : top + 512], 0, 1).astype(np.float64)
        grey[top : top + 512] = np.rint(rows * steps)
    with atomic_path(path) as temporary:
        Image.fromarray(grey).save(temporary, format="PNG")


def read_confidence(path: Path) -> NDArray[np.float32]:
    """Read a confidence map: float32 (H, W) in [0, 1].

    Raises:
        DataError: the file is missing, damaged, or no grey PNG.

    Example:
        >>> probs = np.array([[[0.25, 1.0]], [[0.75, 0.0]]], np.float32)
        >>> write_confidence(Path("confidence/a.png"), probs, np.array([[1, 0]]), bits=16)
        >>> read_confidence(Path("confidence/a.png")).round(3).tolist()
        [[0.75, 1.0]]
    """
    with open_image(path, formats=("PNG",), remedy="confidence maps are grey PNGs") as image:
        load_pixels(image, path)
        if image.mode != "L" and not image.mode.startswith("I"):
            raise DataError(f"{path}: a grey PNG of 8 or 16 bits was expected, got mode {image.mode}")
        values = np.asarray(image)
    return (values / (255 if image.mode == "L" else 65535)).astype(np.float32)
