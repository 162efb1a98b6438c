"""A map of values drawn over its image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.drawing.image import RgbImage, check_image


def heatmap(image: RgbImage, values: NDArray[Any], *, alpha: float = 0.6) -> RgbImage:
    """Draw a map over its image: dark where it is 0, light yellow where it is 1 (colour map "inferno").

    Args:
        image: uint8 (H, W, 3) RGB; shown in grey below the colours.
        values: floats (h, w) in [0, 1], any size: resized to the image. Values outside are clipped.
        alpha: opacity of the colours, 0 to 1.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: `image` is not uint8 (H, W, 3), `values` is not (h, w) or not finite.
    """
    check_image(image)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a map is (h, w) with h, w > 0; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the map holds values that are not finite (nan or inf)")
    height, width = image.shape[:2]
    # Pillow, because it averages where the map is larger than the image; cv2.INTER_LINEAR would skip values.
    small = Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    colours = cv2.applyColorMap(np.round(resized * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = image @ np.array([0.299, 0.587, 0.114])
    mixed = grey[..., None] * (1 - alpha) + colours * alpha
    drawn: RgbImage = np.round(mixed).astype(np.uint8)
    return drawn
