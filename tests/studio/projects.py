"""Folders of images for tests of the studio."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.helpers import write_image


def write_images(folder: Path, *names: str) -> Path:
    """Write small images of noise; returns the folder."""
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3)).astype(np.uint8)
        write_image(folder / name, pixels)
    return folder
