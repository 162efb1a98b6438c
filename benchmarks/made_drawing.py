"""What the made collections draw with: grounds, blots, strokes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Picture = NDArray[np.float32]
Region = NDArray[np.bool_]
Made = tuple[Picture, NDArray[np.uint8]]
"""Image (H, W, 3) in 0..255, and class indices (H, W)."""

SIZE = 256
"""Height and width of most images."""


def empty() -> NDArray[np.uint8]:
    """A mask (H, W) of background alone."""
    return np.zeros((SIZE, SIZE), np.uint8)


def point(centre: NDArray[np.float64]) -> tuple[int, int]:
    """A position as OpenCV takes it."""
    return int(centre[0]), int(centre[1])


def filled(outline: NDArray[Any]) -> Region:
    """The pixels inside an outline (N, 2) of columns and rows."""
    drawn = empty()
    cv2.fillPoly(drawn, [outline.astype(np.int32)], 1)
    return drawn > 0


def clouds(rng: Rng, scale: int) -> Picture:
    """Smooth noise (H, W) with structures of `scale` pixels."""
    small = rng.normal(size=(SIZE // scale, SIZE // scale)).astype(np.float32)
    return np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32)


def surface(rng: Rng) -> Picture:
    """Brushed metal in uneven light, (H, W, 3) grey."""
    grain = rng.normal(size=(2, SIZE, SIZE)).astype(np.float32)
    length = int(rng.integers(9, 25))
    grey = rng.uniform(90, 170) + 6 * grain[0] + 5 * np.sqrt(length) * cv2.blur(grain[1], (length, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    grey = grey + 14 * clouds(rng, 64) + 6 * clouds(rng, 8)
    grey += rng.uniform(-25, 25) * columns + rng.uniform(-25, 25) * rows
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def plain(rng: Rng, colour: list[int] | None = None) -> Picture:
    """Uneven ground of one colour; a random one where none is given."""
    base = rng.uniform(60, 220, 3) if colour is None else np.array(colour, float)
    image = base + 12 * clouds(rng, 32)[..., None] + 6 * rng.normal(size=(SIZE, SIZE, 1))
    return image.astype(np.float32)


def cluttered(rng: Rng) -> Picture:
    """Plain ground with blots and strokes of any colour."""
    image = plain(rng)
    for _ in range(rng.integers(2, 7)):
        image[blob(rng, 6, 28)] = rng.uniform(20, 235, 3)
    for _ in range(rng.integers(0, 4)):
        image[line(rng, 2, 8)] = rng.uniform(20, 235, 3)
    return image


def blob(rng: Rng, least: float, most: float) -> Region:
    """An uneven disc of a radius between the two."""
    radius = rng.uniform(least, most)
    centre = rng.uniform(radius + 2, SIZE - radius - 2, 2)
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    lengths = np.clip(radius * (1 + 0.35 * np.cumsum(rng.normal(size=24)) / 6), 0.5 * radius, 1.6 * radius)
    return filled(np.stack([centre[0] + lengths * np.cos(turns), centre[1] + lengths * np.sin(turns)], 1))


def line(rng: Rng, least: int, most: int) -> Region:
    """A stroke that bends a little, of a width between the two."""
    point, turned, length = rng.uniform(10, SIZE - 10, 2), rng.uniform(0, np.pi), rng.uniform(0.25, 0.7) * SIZE
    points = [point]
    for _ in range(8):
        turned += 0.12 * rng.normal()
        points.append(points[-1] + length / 8 * np.array([np.cos(turned), np.sin(turned)]))
    drawn = empty()
    cv2.polylines(drawn, [np.array(points).astype(np.int32)], False, 1, int(rng.integers(least, most)))
    return drawn > 0


def nuclei(rng: Rng, image: Picture, where: Region, density: float) -> None:
    """Dark ellipses, so many for each pixel of a region."""
    rows, columns = np.nonzero(where)
    for chosen in rng.integers(0, max(1, len(rows)), int(density * len(rows))).tolist():
        colour = (np.array([100, 60, 140]) + 12 * rng.normal(size=3)).tolist()
        axes = (2 + int(rng.integers(0, 2)), 2)
        cv2.ellipse(image, (int(columns[chosen]), int(rows[chosen])), axes, rng.uniform(0, 180), 0, 360, colour, -1)
