"""Composing objects into one image: placement, occlusion, lighting and camera effects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import BACKGROUND
from tag2mask.demo.backgrounds import Size, make_background
from tag2mask.demo.canvas import SUPERSAMPLING, Canvas, Light, Part, Pose, reduce_classes, reduce_colours
from tag2mask.demo.textures import FloatArray, fractal_noise

MIN_VISIBLE = 0.6
"""Default of the least visible fraction of each object of a class."""

_ATTEMPTS = 14


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object to place in an image.

    Attributes:
        parts: its outlines and paints.
        class_index: its class index in the mask; `BACKGROUND` for clutter.
        size: half its extent as a fraction of the image's shorter side.
    """

    parts: list[Part]
    class_index: int
    size: float


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """A rendered image with its ground truth.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        gt_mask: uint8 (H, W), class index of each pixel, `BACKGROUND` where no object of a class is.
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.uint8]


def compose(
    rng: np.random.Generator, size: Size, objects: list[SceneObject], *, min_visible: float = MIN_VISIBLE
) -> RenderedImage:
    """Render `objects` on a random background; later objects occlude earlier ones.

    An object is left out if no position is found at which all objects of a class stay visible enough.

    Args:
        rng: random generator.
        size: (height, width) of the image in pixels.
        objects: the objects, from far to near.
        min_visible: least fraction of each object of a class that must not be occluded, in [0, 1].
    """
    background = cv2.resize(make_background(rng, size), (size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING))
    canvas = Canvas(np.asarray(background, np.float32), _random_light(rng))
    areas: dict[int, int] = {}
    for layer, item in enumerate(objects, start=1):
        pose = _find_pose(rng, canvas, item, areas, min_visible)
        if pose is None:
            continue
        if item.class_index != BACKGROUND:
            areas[layer] = _full_area(item, pose)
        canvas.draw(item.parts, pose, layer, shadow=rng.uniform(0.2, 0.5))
    class_of = np.array([BACKGROUND, *(item.class_index for item in objects)], np.uint8)
    classes = class_of[canvas.layers]
    gt_mask = reduce_classes(classes, int(class_of.max()) + 1)
    return RenderedImage(add_camera_effects(rng, reduce_colours(canvas.colours)), gt_mask)


def add_camera_effects(rng: np.random.Generator, colours: FloatArray) -> NDArray[np.uint8]:
    """Add uneven light, a colour cast, exposure, lens blur and sensor noise.

    Args:
        rng: random generator.
        colours: float32 (H, W, 3), RGB in [0, 1].

    Returns:
        uint8 (H, W, 3), RGB.
    """
    height, width = colours.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    shade = fractal_noise(rng, 1.2, 2)(x, y) - 0.5
    light = 1.0 + rng.uniform(0.0, 0.6) * shade + rng.uniform(-0.25, 0.25) * (x - 0.5)
    cast = rng.normal(1.0, 0.05, 3)
    image = colours * light[..., None] * cast * rng.uniform(0.85, 1.12)
    image = np.clip(image, 0.0, 1.0) ** rng.uniform(0.85, 1.2)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.7))
    image = image + rng.normal(0.0, rng.uniform(0.004, 0.03), image.shape)
    return np.asarray(np.clip(image * 255.0 + 0.5, 0, 255), np.uint8)


def _random_light(rng: np.random.Generator) -> Light:
    angle, height = rng.uniform(-np.pi, 0.0), rng.uniform(0.55, 1.0)
    direction = np.array([np.cos(angle), np.sin(angle), height])
    x, y, z = direction / np.linalg.norm(direction)
    return Light((float(x), float(y), float(z)), rng.uniform(0.35, 0.7), rng.uniform(0.0, 0.35))


def _find_pose(
    rng: np.random.Generator, canvas: Canvas, item: SceneObject, areas: dict[int, int], min_visible: float
) -> Pose | None:
    """Draw poses until one leaves this and all earlier objects of a class visible enough; None if none is found.

    Args:
        areas: unoccluded area, in canvas pixels, of each layer with an object of a class.
    """
    counts = np.bincount(canvas.layers.ravel(), minlength=max(areas, default=0) + 1)
    for _ in range(_ATTEMPTS):
        pose = _random_pose(rng, canvas.layers.shape, item.size)
        covered = canvas.coverage(item.parts, pose)
        if item.class_index != BACKGROUND and covered.sum() < 0.75 * _full_area(item, pose):
            continue
        hidden = np.bincount(canvas.layers[covered], minlength=len(counts))
        if all(counts[layer] - hidden[layer] >= min_visible * area for layer, area in areas.items()):
            return pose
    return None


def _random_pose(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> Pose:
    height, width = shape
    angle, stretch = rng.normal(0.0, 0.25), rng.uniform(0.85, 1.18)
    flip = 1.0 if rng.random() < 0.5 else -1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, rng.uniform(-0.15, 0.15)], [0.0, 1.0]])
    linear = size * min(height, width) * turn @ shear @ np.diag([flip * stretch, 1.0 / stretch])
    margin = 0.6 * min(size, 0.5)
    centre = rng.uniform((margin * width, margin * height), ((1 - margin) * width, (1 - margin) * height))
    return Pose(np.hstack([linear, centre[:, None]]))


def _full_area(item: SceneObject, pose: Pose) -> int:
    """Number of canvas pixels that the object would cover in an image without borders."""
    corners = np.concatenate([pose.to_canvas(part.outline) for part in item.parts])
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    width, height = (high - low).astype(int)
    moved = Pose(np.hstack([pose.matrix[:, :2], (pose.matrix[:, 2] - low)[:, None]]))
    empty = Canvas(np.zeros((height, width, 3), np.float32), Light((0.0, 0.0, 1.0), 1.0, 0.0))
    return int(empty.coverage(item.parts, moved).sum())
