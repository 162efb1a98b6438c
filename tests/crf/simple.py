"""A brute-force dense CRF, written as the definition reads, and inputs for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

IMAGES = Path(__file__).resolve().parents[3] / "shared" / "bench" / "voc_animals" / "val" / "images"
SETTINGS = ((80.0, 13.0, 10.0), (50.0, 10.0, 5.0), (67.0, 3.0, 4.0))
"""Standard deviations of the bilateral term in pixels and in grey levels, and its weight."""


def brute_force(
    image: Image,
    probs: Floats,
    *,
    iterations: int = 10,
    gaussian: tuple[float, float] = (3.0, 3.0),
    bilateral: tuple[float, float, float] = (50.0, 10.0, 5.0),
) -> NDArray[np.float64]:
    """Mean field over all pairs of pixels in double precision, without a lattice.

    `gaussian` is (standard deviation, weight); `bilateral` is (standard deviation in pixels, in grey levels, weight).
    """
    classes, height, width = probs.shape
    y, x = np.divmod(np.arange(height * width), width)
    colours = image.reshape(-1, 3).astype(np.float64)
    gaussian_kernel = np.zeros((len(y), len(y)))
    bilateral_kernel = np.zeros((len(y), len(y)))
    for i in range(len(y)):
        distance = (y[i] - y) ** 2 + (x[i] - x) ** 2
        colour = ((colours[i] - colours) ** 2).sum(axis=1)
        gaussian_kernel[i] = np.exp(-distance / (2 * gaussian[0] ** 2))
        bilateral_kernel[i] = np.exp(-distance / (2 * bilateral[0] ** 2) - colour / (2 * bilateral[1] ** 2))
    for kernel in (gaussian_kernel, bilateral_kernel):
        root = np.sqrt(kernel.sum(axis=1))
        kernel /= root[:, None] * root[None, :]
    logits = np.log(np.clip(probs.reshape(classes, -1).astype(np.float64), 1e-5, 1))
    q = np.exp(logits) / np.exp(logits).sum(axis=0)
    for _ in range(iterations):
        scores = logits + gaussian[1] * q @ gaussian_kernel + bilateral[2] * q @ bilateral_kernel
        odds = np.exp(scores - scores.max(axis=0))
        q = odds / odds.sum(axis=0)
    return np.asarray(q.reshape(probs.shape))


def regions_of(height: int, width: int, seed: int, regions: int = 12) -> NDArray[np.intp]:
    """Region number of each pixel (H, W): the nearest of some random centres."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0, 1, (regions, 2)) * (height, width)
    y, x = np.mgrid[:height, :width]
    distance = (y[..., None] - centres[:, 0]) ** 2 + (x[..., None] - centres[:, 1]) ** 2
    return np.asarray(distance.argmin(axis=2))


def textured(height: int, width: int, seed: int, regions: int = 12) -> Image:
    """An image of regions with different colours, with shading and noise."""
    random = np.random.default_rng(seed + 1000)
    colours = random.uniform(30, 225, (regions, 3))
    y, x = np.mgrid[:height, :width]
    shading = 25 * np.sin(y / 17 + seed) * np.cos(x / 23)
    noise = random.normal(0, 6, (height, width, 3))
    flat = colours[regions_of(height, width, seed, regions)]
    return np.asarray(np.clip(flat + shading[..., None] + noise, 0, 255), dtype=np.uint8)


def region_probs(height: int, width: int, classes: int, seed: int, regions: int = 12) -> Floats:
    """Noisy probabilities that favour one class in each region of `textured`."""
    random = np.random.default_rng(seed + 2000)
    likely = random.integers(0, classes, regions)[regions_of(height, width, seed, regions)]
    logits = 2.0 * (likely == np.arange(classes)[:, None, None]) + random.normal(0, 1, (classes, height, width))
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


def smooth_probs(shape: tuple[int, int], classes: int, seed: int, strength: float = 2.0) -> Floats:
    """Probabilities that vary smoothly over the image; each class is the most probable one somewhere."""
    random = np.random.default_rng(seed)
    height, width = shape
    rows, columns = max(2, height // 16 + 2), max(2, width // 16 + 2)
    planes = [
        np.asarray(PilImage.fromarray(p.astype(np.float32)).resize((width, height), PilImage.Resampling.BICUBIC))
        for p in random.normal(0, strength, (classes, rows, columns))
    ]
    odds = np.exp(np.stack(planes))
    return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


def noisy_probs(shape: tuple[int, int], classes: int, seed: int) -> Floats:
    """Probabilities without spatial structure."""
    random = np.random.default_rng(seed)
    planes = random.random((classes, *shape)) + 0.01
    return np.asarray(planes / planes.sum(axis=0), dtype=np.float32)


def real_images(count: int) -> list[Image]:
    """The first images of the shared animal dataset; empty if it is not there."""
    found = sorted(IMAGES.glob("*"))[:count] if IMAGES.is_dir() else []
    out = []
    for path in found:
        with PilImage.open(path) as opened:
            out.append(np.array(opened.convert("RGB")))
    return out
