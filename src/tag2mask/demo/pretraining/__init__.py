"""The pretraining task of the demo's backbone: image classification with classes that the demo does not have.

Each class is a shape with a texture, such as `star/plaid`, and each image shows one object. Backgrounds and clutter
are those of the demo's scenes; no shape and no texture is that of a class of the demo. `benchmarks/pretrain_demo.py`
trains on this task.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND
from tag2mask.demo.backgrounds import Size, make_clutter
from tag2mask.demo.canvas import Part
from tag2mask.demo.compose import SceneObject, compose
from tag2mask.demo.outlines import wobble
from tag2mask.demo.pretraining.shapes import SHAPES
from tag2mask.demo.pretraining.textures import TEXTURES
from tag2mask.demo.textures import Colour, hsv, mix, plain

__all__ = ["CLASS_NAMES", "SHAPES", "TEXTURES", "make_object", "make_recognition_image"]

TEXTURES_PER_SHAPE = 4
"""Number of textures of each shape, so that neither shape nor texture alone determines the class."""

CLASS_NAMES: tuple[str, ...] = tuple(
    f"{shape}/{sorted(TEXTURES)[(5 * row + 3 * column) % len(TEXTURES)]}"
    for row, shape in enumerate(sorted(SHAPES))
    for column in range(TEXTURES_PER_SHAPE)
)
"""The class names, `shape/texture`."""


def make_recognition_image(rng: np.random.Generator, class_number: int, size: Size) -> NDArray[np.uint8]:
    """Render an image of one object of a class among clutter.

    Args:
        rng: random generator; equal seeds give equal images.
        class_number: index in `CLASS_NAMES`, from 0.
        size: (height, width) in pixels.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    shape, texture = CLASS_NAMES[class_number].split("/")
    while True:
        item = SceneObject(make_object(rng, shape, texture), 1, rng.uniform(0.2, 0.46))
        behind = [_clutter(rng, 0.08, 0.3) for _ in range(int(rng.integers(1, 6)))]
        before = [_clutter(rng, 0.06, 0.16) for _ in range(int(rng.integers(0, 3)))]
        rendered = compose(rng, size, [*behind, item, *before])
        if rendered.gt_mask.any():
            return rendered.image


def make_object(rng: np.random.Generator, shape: str, texture: str) -> list[Part]:
    """Make one object with a shape of `SHAPES` and a texture of `TEXTURES`, in random colours."""
    low, high = _two_tones(rng)
    paint = mix(TEXTURES[texture](rng), low, high)
    rest = plain(rng, hsv(rng.random(), rng.uniform(0.05, 0.6), rng.uniform(0.3, 0.9)))
    bulge = rng.uniform(0.2, 0.9)
    bare, textured = SHAPES[shape](rng)
    return [
        *(Part(wobble(rng, outline, 0.02), rest, bulge) for outline in bare),
        *(Part(wobble(rng, outline, 0.02), paint, bulge) for outline in textured),
    ]


def _clutter(rng: np.random.Generator, smallest: float, largest: float) -> SceneObject:
    return SceneObject(make_clutter(rng), BACKGROUND, rng.uniform(smallest, largest))


def _two_tones(rng: np.random.Generator) -> tuple[Colour, Colour]:
    hue, saturation = rng.random(), rng.uniform(0.1, 0.8)
    dark, bright = rng.uniform(0.12, 0.45), rng.uniform(0.6, 0.95)
    other = hue + rng.normal() * 0.06
    tones = hsv(hue, saturation, dark), hsv(other, saturation * rng.uniform(0.3, 1.0), bright)
    return tones if rng.random() < 0.5 else (tones[1], tones[0])
