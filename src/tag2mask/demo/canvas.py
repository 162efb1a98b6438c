"""Rendering of objects: outlines filled with a paint, shaded as rounded bodies, with exact masks.

A scene is rendered at `SUPERSAMPLING` times its size and reduced at the end, so that edges are as smooth as those of
a camera, while the mask gives exactly the object at each pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.demo.textures import FloatArray, Paint

SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an object, drawn over the parts before it.

    Attributes:
        outline: float64 (N, 2), corners (x, y) of a closed polygon in object coordinates, x to the right, y down.
        paint: colour as a function of object coordinates.
        bulge: 0 for a flat part, 1 for a round one; sets the shading near its edge.
    """

    outline: NDArray[np.float64]
    paint: Paint
    bulge: float = 0.8


@dataclass(frozen=True, slots=True)
class Pose:
    """Position of an object: affine `matrix`, float64 (2, 3), from object coordinates to pixels of the canvas."""

    matrix: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Pixels of the canvas per unit of object coordinates."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def to_canvas(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (N, 2) from object coordinates to pixels of the canvas."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])


@dataclass(frozen=True, slots=True)
class Light:
    """The light source of a scene.

    Attributes:
        direction: unit vector (right, down, towards the viewer).
        ambient: brightness in the shade, in [0, 1].
        gloss: strength of specular highlights, at least 0.
    """

    direction: tuple[float, float, float]
    ambient: float
    gloss: float


class Canvas:
    """The image during rendering, and the layer that each pixel shows.

    Attributes:
        colours: float32 (H, W, 3), RGB in [0, 1], at the supersampled size.
        layers: int32 (H, W): 0 for the background, else the number given to `draw`.
    """

    def __init__(self, background: FloatArray, light: Light) -> None:
        self.colours = background.copy()
        self.layers: NDArray[np.int32] = np.zeros(background.shape[:2], np.int32)
        self._light = light

    def draw(self, parts: list[Part], pose: Pose, layer: int, *, shadow: float = 0.45) -> None:
        """Draw the parts of an object over the present image, and set `layers` to `layer` at its pixels."""
        if shadow > 0.0:
            self._cast_shadow(parts, pose, shadow)
        for part in parts:
            self._draw_part(part, pose, layer)

    def coverage(self, parts: list[Part], pose: Pose) -> NDArray[np.bool_]:
        """Return the pixels of the canvas that the object would cover, bool (H, W)."""
        mask = np.zeros(self.layers.shape, np.uint8)
        for part in parts:
            _fill(mask, pose.to_canvas(part.outline))
        return mask > 0

    def _cast_shadow(self, parts: list[Part], pose: Pose, strength: float) -> None:
        height, width = self.layers.shape
        covered = self.coverage(parts, pose)[::SUPERSAMPLING, ::SUPERSAMPLING].astype(np.float32)
        reach = 0.12 * pose.scale / SUPERSAMPLING
        x, y, _ = self._light.direction
        shift = np.array([[1.0, 0.0, -2.0 * x * reach], [0.0, 1.0, -y * reach + 0.6 * reach]])
        moved = cv2.warpAffine(covered, shift, (covered.shape[1], covered.shape[0]))
        soft = cv2.blur(cv2.blur(moved, (_odd(reach), _odd(reach))), (_odd(reach), _odd(reach)))
        shade = cv2.resize(1.0 - strength * np.asarray(soft, np.float32), (width, height))
        self.colours *= np.asarray(shade, np.float32)[..., None]

    def _draw_part(self, part: Part, pose: Pose, layer: int) -> None:
        corners = pose.to_canvas(part.outline)
        height, width = self.layers.shape
        (low_x, low_y), (high_x, high_y) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        left, top = max(math.floor(low_x) - 1, 0), max(math.floor(low_y) - 1, 0)
        right, bottom = min(math.ceil(high_x) + 2, width), min(math.ceil(high_y) + 2, height)
        if left >= right or top >= bottom:
            return
        box = np.s_[top:bottom, left:right]
        mask = np.zeros((bottom - top, right - left), np.uint8)
        _fill(mask, corners - (left, top))
        if not mask.any():
            return
        u, v = _object_frame(pose, (left, top), mask.shape)
        colours = part.paint(u, v)
        if part.bulge > 0.0:
            diffuse, highlight = _shade(mask, part.bulge, pose.scale, self._light)
            colours = colours * diffuse[..., None] + highlight[..., None]
        inside = mask > 0
        self.colours[box][inside] = np.clip(colours, 0.0, 1.0)[inside]
        self.layers[box][inside] = layer


def reduce_colours(colours: FloatArray) -> FloatArray:
    """Average blocks of `SUPERSAMPLING` x `SUPERSAMPLING` pixels: float32 (H*s, W*s, 3) -> (H, W, 3)."""
    height, width = colours.shape[0] // SUPERSAMPLING, colours.shape[1] // SUPERSAMPLING
    reduced = cv2.resize(colours, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.float32)


def reduce_classes(classes: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Reduce a class map: each pixel gets the class index that covers most of it, the lowest one in a tie.

    Args:
        classes: uint8 (H*s, W*s), class index of each rendered pixel, in 0..count - 1.
        count: number of class indices.

    Returns:
        uint8 (H, W).
    """
    steps = range(SUPERSAMPLING)
    samples = [classes[y::SUPERSAMPLING, x::SUPERSAMPLING] for y in steps for x in steps]
    votes = np.zeros((count, *samples[0].shape), np.uint8)
    for index in range(count):
        for sample in samples:
            votes[index] += sample == index
    return np.asarray(votes.argmax(axis=0), np.uint8)


def _odd(length: float) -> int:
    return 2 * max(int(length) // 2, 1) + 1


def _fill(mask: NDArray[np.uint8], corners: NDArray[np.float64]) -> None:
    fixed = np.round(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 1, cv2.LINE_8, _SUBPIXEL_BITS)


def _object_frame(pose: Pose, origin: tuple[int, int], shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Object coordinates u, v, float32 (H, W), of the canvas pixels from `origin` (x, y) on."""
    inverse = np.linalg.inv(pose.matrix[:, :2])
    x = np.arange(origin[0], origin[0] + shape[1]) - pose.matrix[0, 2]
    y = np.arange(origin[1], origin[1] + shape[0])[:, None] - pose.matrix[1, 2]
    u = (inverse[0, 0] * x + inverse[0, 1] * y).astype(np.float32)
    v = (inverse[1, 0] * x + inverse[1, 1] * y).astype(np.float32)
    return u, v


def _shade(mask: NDArray[np.uint8], bulge: float, scale: float, light: Light) -> tuple[FloatArray, FloatArray]:
    """Diffuse and specular light, float32 (H, W), of a rounded body (Lambert and Blinn-Phong shading).

    The height of the body rises with the distance from its edge like a quarter of a sine wave.
    """
    padded = np.pad(mask, 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = np.asarray(distance, np.float32)[1:-1, 1:-1]
    rim = max(min(float(depth.max()), 0.5 * scale), 1.0)
    t = np.clip(depth / rim, 0.0, 1.0)
    height = (bulge * rim * np.sin(0.5 * np.pi * t)).astype(np.float32)
    blur = _odd(0.4 * rim)
    height = np.asarray(cv2.blur(height, (blur, blur)), np.float32)
    slope_y, slope_x = (np.asarray(slope, np.float32) for slope in np.gradient(np.pad(height, 1)))
    slope_y, slope_x = slope_y[1:-1, 1:-1], slope_x[1:-1, 1:-1]
    length = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    x, y, z = light.direction
    facing = np.clip((-slope_x * x - slope_y * y + z) / length, 0.0, 1.0)
    half = np.array([x, y, z + 1.0]) / np.linalg.norm([x, y, z + 1.0])
    specular = np.clip((-slope_x * half[0] - slope_y * half[1] + half[2]) / length, 0.0, 1.0)
    diffuse = light.ambient + (1.25 - light.ambient) * facing
    return np.asarray(diffuse, np.float32), np.asarray(light.gloss * specular**24, np.float32)
