"""Painting objects: outlines filled with a paint, shaded as rounded bodies, with exact masks.

A scene is painted at `SUPERSAMPLING` times its size and reduced at the end, so that edges are as
smooth as in a photograph while the mask still says exactly which object a pixel shows.
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
    """One piece of an object, painted over the pieces before it.

    Attributes:
        outline: corners (N, 2) of a closed polygon, (right, down), in the object's frame.
        paint: its colours as a function of the object's frame.
        bulge: 0 for a flat piece, 1 for a round one; sets the shading at its edge.
    """

    outline: NDArray[np.float64]
    paint: Paint
    bulge: float = 0.8


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an object stands: matrix (2, 3) from its frame to pixels of the painted canvas."""

    matrix: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Pixels of the canvas per unit of the object's frame."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def to_canvas(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (N, 2) from the object's frame to the canvas."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])


@dataclass(frozen=True, slots=True)
class Light:
    """One lamp for the whole scene: `direction` (right, down, towards the viewer), unit length."""

    direction: tuple[float, float, float]
    ambient: float
    gloss: float


class Canvas:
    """The painted picture and which layer each of its pixels shows.

    Attributes:
        colours: float32 (H, W, 3), RGB in [0, 1], at the supersampled size.
        layers: int32 (H, W): 0 where the ground shows, else the number given to `draw`.
    """

    def __init__(self, ground: FloatArray, light: Light) -> None:
        self.colours = ground.copy()
        self.layers: NDArray[np.int32] = np.zeros(ground.shape[:2], np.int32)
        self._light = light

    def draw(self, parts: list[Part], pose: Pose, layer: int, *, shadow: float = 0.45) -> None:
        """Paint an object of several parts over what is there and mark its pixels with `layer`."""
        if shadow > 0.0:
            self._cast_shadow(parts, pose, shadow)
        for part in parts:
            self._draw_part(part, pose, layer)

    def coverage(self, parts: list[Part], pose: Pose) -> NDArray[np.bool_]:
        """Tell which pixels (H, W) of the canvas the object would cover."""
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
            diffuse, glint = _shade(mask, part.bulge, pose.scale, self._light)
            colours = colours * diffuse[..., None] + glint[..., None]
        inside = mask > 0
        self.colours[box][inside] = np.clip(colours, 0.0, 1.0)[inside]
        self.layers[box][inside] = layer


def reduce_colours(colours: FloatArray) -> FloatArray:
    """Average blocks of `SUPERSAMPLING` pixels: (H*s, W*s, 3) -> (H, W, 3)."""
    height, width = colours.shape[0] // SUPERSAMPLING, colours.shape[1] // SUPERSAMPLING
    reduced = cv2.resize(colours, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.float32)


def reduce_classes(classes: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Give each pixel the class index that covers most of it; a tie goes to the lowest.

    Args:
        classes: class index of each painted pixel (H*s, W*s), in 0..count - 1.
        count: number of class indices.
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
    """Coordinates u, v (H, W) in the object's frame of the canvas pixels from `origin` on."""
    inverse = np.linalg.inv(pose.matrix[:, :2])
    x = np.arange(origin[0], origin[0] + shape[1]) - pose.matrix[0, 2]
    y = np.arange(origin[1], origin[1] + shape[0])[:, None] - pose.matrix[1, 2]
    u = (inverse[0, 0] * x + inverse[0, 1] * y).astype(np.float32)
    v = (inverse[1, 0] * x + inverse[1, 1] * y).astype(np.float32)
    return u, v


def _shade(mask: NDArray[np.uint8], bulge: float, scale: float, light: Light) -> tuple[FloatArray, FloatArray]:
    """Brightness and glint (H, W) of a rounded body under `light` (Lambert and Blinn-Phong).

    The body's height rises with the distance from its edge like a quarter of a sine wave.
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
    mirror = np.clip((-slope_x * half[0] - slope_y * half[1] + half[2]) / length, 0.0, 1.0)
    diffuse = light.ambient + (1.25 - light.ambient) * facing
    return np.asarray(diffuse, np.float32), np.asarray(light.gloss * mirror**24, np.float32)
