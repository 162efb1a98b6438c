"""The RGB image that every drawing takes and returns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RgbImage = NDArray[np.uint8]
"""uint8 (H, W, 3), red, green, blue."""


def check_image(image: NDArray[Any]) -> None:
    """Check that an array is an image.

    Raises:
        ValueError: it is not uint8 (H, W, 3) with H, W > 0.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"an image is uint8 (H, W, 3) with H, W > 0; got {image.dtype} {image.shape}")
