"""Images of which no two look alike, generated from a seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def clouds(seed: int, size: tuple[int, int] = (60, 80)) -> NDArray[np.uint8]:
    """Coloured clouds at two scales with a little grain: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = cv2.resize(rng.uniform(0, 255, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.uniform(-60, 60, (24, 32, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + fine + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)
