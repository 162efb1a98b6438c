"""Putting things into one picture: placing, occluding, lighting, and what a camera adds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND
from tag2mask.demo.canvas import SUPERSAMPLING, Canvas, Light, Part, Pose, reduce_classes, reduce_colours
from tag2mask.demo.grounds import Size, make_ground
from tag2mask.demo.textures import FloatArray, fractal_noise

MIN_VISIBLE = 0.6
"""Least part of an object of a class that stays in sight, unless `compose` is told another."""

_ATTEMPTS = 14


@dataclass(frozen=True, slots=True)
class Thing:
    """An object to be placed.

    Attributes:
        parts: what it looks like.
        class_index: its class in the mask, or `BACKGROUND` for clutter.
        size: half its extent as a fraction of the picture's shorter side.
    """

    parts: list[Part]
    class_index: int
    size: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A painted scene.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        mask: uint8 (H, W), class index of each pixel, `BACKGROUND` where no object of a class is.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def compose(rng: np.random.Generator, size: Size, things: list[Thing], *, min_visible: float = MIN_VISIBLE) -> Picture:
    """Paint `things` in their order, the later before the earlier, on a random ground.

    A thing that finds no place where every object of a class stays in sight is left out.

    Args:
        rng: source of all that varies.
        size: (height, width) of the picture in pixels.
        things: what stands in it, far to near.
        min_visible: least part of each object of a class that is not occluded, in [0, 1].
    """
    ground = cv2.resize(make_ground(rng, size), (size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING))
    canvas = Canvas(np.asarray(ground, np.float32), _random_light(rng))
    areas: dict[int, int] = {}
    for layer, thing in enumerate(things, start=1):
        pose = _find_place(rng, canvas, thing, areas, min_visible)
        if pose is None:
            continue
        if thing.class_index != BACKGROUND:
            areas[layer] = _full_area(thing, pose)
        canvas.draw(thing.parts, pose, layer, shadow=rng.uniform(0.2, 0.5))
    class_of = np.array([BACKGROUND, *(thing.class_index for thing in things)], np.uint8)
    classes = class_of[canvas.layers]
    mask = reduce_classes(classes, int(class_of.max()) + 1)
    return Picture(photograph(rng, reduce_colours(canvas.colours)), mask)


def photograph(rng: np.random.Generator, colours: FloatArray) -> NDArray[np.uint8]:
    """Add uneven light, a colour cast, exposure, lens blur and sensor noise.

    Args:
        colours: float32 (H, W, 3), RGB in [0, 1].

    Returns:
        uint8 (H, W, 3), RGB.
    """
    height, width = colours.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    shade = fractal_noise(rng, 1.2, 2)(x, y) - 0.5
    light = 1.0 + rng.uniform(0.0, 0.6) * shade + rng.uniform(-0.25, 0.25) * (x - 0.5)
    cast = rng.normal(1.0, 0.05, 3)
    picture = colours * light[..., None] * cast * rng.uniform(0.85, 1.12)
    picture = np.clip(picture, 0.0, 1.0) ** rng.uniform(0.85, 1.2)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.7))
    picture = picture + rng.normal(0.0, rng.uniform(0.004, 0.03), picture.shape)
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)


def _random_light(rng: np.random.Generator) -> Light:
    angle, height = rng.uniform(-np.pi, 0.0), rng.uniform(0.55, 1.0)
    direction = np.array([np.cos(angle), np.sin(angle), height])
    x, y, z = direction / np.linalg.norm(direction)
    return Light((float(x), float(y), float(z)), rng.uniform(0.35, 0.7), rng.uniform(0.0, 0.35))


def _find_place(
    rng: np.random.Generator, canvas: Canvas, thing: Thing, areas: dict[int, int], min_visible: float
) -> Pose | None:
    """Draw poses until the thing and all before it stay in sight; None if none was found.

    Args:
        areas: full area, in painted pixels, of each layer that shows an object of a class.
    """
    counts = np.bincount(canvas.layers.ravel(), minlength=max(areas, default=0) + 1)
    for _ in range(_ATTEMPTS):
        pose = _random_pose(rng, canvas.layers.shape, thing.size)
        covered = canvas.coverage(thing.parts, pose)
        if thing.class_index != BACKGROUND and covered.sum() < 0.75 * _full_area(thing, pose):
            continue
        hidden = np.bincount(canvas.layers[covered], minlength=len(counts))
        if all(counts[layer] - hidden[layer] >= min_visible * area for layer, area in areas.items()):
            return pose
    return None


def _random_pose(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> Pose:
    height, width = shape
    angle, stretch = rng.normal(0.0, 0.25), rng.uniform(0.85, 1.18)
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, rng.uniform(-0.15, 0.15)], [0.0, 1.0]])
    linear = size * min(height, width) * turn @ shear @ np.diag([mirror * stretch, 1.0 / stretch])
    margin = 0.6 * min(size, 0.5)
    centre = rng.uniform((margin * width, margin * height), ((1 - margin) * width, (1 - margin) * height))
    return Pose(np.hstack([linear, centre[:, None]]))


def _full_area(thing: Thing, pose: Pose) -> int:
    """Painted pixels the thing would cover in an endless picture."""
    corners = np.concatenate([pose.to_canvas(part.outline) for part in thing.parts])
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    width, height = (high - low).astype(int)
    moved = Pose(np.hstack([pose.matrix[:, :2], (pose.matrix[:, 2] - low)[:, None]]))
    empty = Canvas(np.zeros((height, width, 3), np.float32), Light((0.0, 0.0, 1.0), 1.0, 0.0))
    return int(empty.coverage(thing.parts, moved).sum())
