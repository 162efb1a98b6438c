"""Sizes that a network sees, and resizing of images to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scaled_size(size: tuple[int, int], long_side: float, *, multiple: int = 1) -> tuple[int, int]:
    """Size (H, W) with its long side at `long_side`, both sides rounded to a multiple, at least one."""
    factor = long_side / max(size)
    height, width = (max(multiple, round(side * factor / multiple) * multiple) for side in size)
    return height, width


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], *, exact: bool = False) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) uint8 to (*size, 3), bilinearly with antialiasing; the same array if it fits.

    Args:
        image: RGB.
        size: (H, W) of the result.
        exact: compute in floating point and round once, which takes longer; else rows and columns are rounded in turn,
            and some values are off by one.
    """
    if image.shape[:2] == size:
        return image
    if not exact:
        return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR), dtype=np.uint8)
    planes = [Image.fromarray(image[:, :, channel].astype(np.float32)) for channel in range(3)]
    resized = np.dstack([np.asarray(plane.resize(size[::-1], Image.Resampling.BILINEAR)) for plane in planes])
    return np.array(np.clip(np.rint(resized), 0, 255), dtype=np.uint8)
