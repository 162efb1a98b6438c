"""Textures of objects: pure functions of object coordinates.

A pattern maps coordinates `u` (right) and `v` (down), float32 (H, W), within about [-1, 1] on the object, to values
float32 (H, W) in [0, 1]. A paint maps them to colours.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Colour = tuple[float, float, float]
"""RGB, each in [0, 1]."""
Pattern = Callable[[FloatArray, FloatArray], FloatArray]
"""(u, v) -> values in [0, 1], all of one shape (H, W)."""
Paint = Callable[[FloatArray, FloatArray], FloatArray]
"""(u, v), both (H, W) -> RGB (H, W, 3) in [0, 1]."""


def smoothstep(low: float, high: float, x: FloatArray) -> FloatArray:
    """Cubic step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def value_noise(rng: np.random.Generator, frequency: float) -> Pattern:
    """Make value noise: smooth random values in [0, 1] with about `frequency` extrema per unit of length."""
    side = 32
    grid = rng.random((side, side), dtype=np.float32)

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        x = np.asarray(u * np.float32(frequency) + np.float32(7.3), np.float32)
        y = np.asarray(v * np.float32(frequency) + np.float32(3.1), np.float32)
        return np.asarray(cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), dtype=np.float32)

    return pattern


def fractal_noise(rng: np.random.Generator, frequency: float, octaves: int = 3) -> Pattern:
    """Make a sum of octaves of value noise, each with half the amplitude and twice the frequency of the one before."""
    layers = [value_noise(rng, frequency * 2.0**octave) for octave in range(octaves)]
    total = sum(0.5**octave for octave in range(octaves))

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        values = np.zeros_like(u)
        for octave, layer in enumerate(layers):
            values += 0.5**octave * layer(u, v)
        return np.asarray(values / total, dtype=np.float32)

    return pattern


# Patterns of the demo's classes.


def scales(size: float) -> Pattern:
    """Make rows of overlapping discs of radius `size`, the front ones on top, dark at the rim: fish scales."""

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        distance, _ = _overlapping_discs(u / size, v / size)
        return smoothstep(0.35, 1.0, distance)

    return pattern


def spiral(turns: float, centre: tuple[float, float], radius: float) -> Pattern:
    """Make one dark groove that winds `turns` times around `centre`: the shell of a snail."""

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        x, y = u - centre[0], v - centre[1]
        distance = np.hypot(x, y) / radius
        phase = turns * np.sqrt(distance + 1e-6) - np.arctan2(y, x) / (2.0 * np.pi)
        groove = np.abs(np.mod(phase, 1.0) - 0.5) * 2.0
        return smoothstep(0.15, 0.75, groove.astype(np.float32))

    return pattern


def tabby(rng: np.random.Generator, frequency: float, angle: float) -> Pattern:
    """Make wavy bands of uneven width with gaps: the coat of a cat."""
    warp, gaps = fractal_noise(rng, 1.6, 2), fractal_noise(rng, 2.5, 2)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        along = u * cos + v * sin + 0.35 * (warp(u, v) - 0.5)
        bands = np.sin(along * frequency * 2.0 * np.pi) + 1.2 * (gaps(u, v) - 0.5)
        return smoothstep(-0.1, 0.5, bands.astype(np.float32))

    return pattern


def spots(rng: np.random.Generator, count: int, size: tuple[float, float]) -> Pattern:
    """Make round spots with radii in the range `size`, in the upper half: the cap of a mushroom."""
    centres = np.empty((0, 2))
    for _ in range(count * 12):
        candidate = rng.uniform((-0.9, -1.0), (0.9, -0.1))
        if len(centres) < count and np.all(np.hypot(*(centres - candidate).T) > 2.1 * size[1]):
            centres = np.vstack([centres, candidate])
    radii = rng.uniform(*size, len(centres))

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        values = np.zeros_like(u)
        for (x, y), radius in zip(centres, radii, strict=True):
            offset = np.hypot(u - x, v - y) / radius
            np.maximum(values, 1.0 - smoothstep(0.8, 1.05, offset.astype(np.float32)), out=values)
        return values

    return pattern


def feathers(size: float) -> Pattern:
    """Make rows of long lobes, the front ones on top, each with a quill: the wing of a bird."""

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        distance, across = _overlapping_discs(u / (2.4 * size), v / size)
        quill = 1.0 - smoothstep(0.1, 0.25, np.abs(across))
        return np.asarray(np.maximum(0.6 * quill, smoothstep(0.6, 1.0, distance)), dtype=np.float32)

    return pattern


def _overlapping_discs(u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance from the centre of the frontmost unit disc, and the offset along `v` from it, at each point.

    The discs are in rows across `u`, every other row shifted by half a step; discs with greater `u` are in front.
    """
    pitch, step = 0.85, 1.5
    distance, height = np.ones_like(u), np.ones_like(u)
    free = np.ones(u.shape, dtype=bool)
    for ahead in (2.0, 1.0, 0.0):
        row = np.floor(u / pitch) + ahead
        across = (np.mod(v / step + 0.5 * np.mod(row, 2.0), 1.0) - 0.5) * step
        offset = np.hypot(u - row * pitch, across)
        here = free & (offset < 1.0)
        distance[here], height[here] = offset[here], across[here]
        free &= ~here
    return distance, height


# Paints.


def mix(pattern: Pattern, low: Colour, high: Colour) -> Paint:
    """Make a paint with colour `low` where the pattern is 0 and `high` where it is 1."""
    first, second = np.asarray(low, np.float32), np.asarray(high, np.float32)

    def paint(u: FloatArray, v: FloatArray) -> FloatArray:
        weight = pattern(u, v)[..., None]
        return np.asarray(first + (second - first) * weight, dtype=np.float32)

    return paint


def plain(rng: np.random.Generator, colour: Colour, strength: float = 0.12) -> Paint:
    """Make a paint of one colour with slight noise in brightness, +-`strength`."""
    noise = fractal_noise(rng, 4.0)
    base = np.asarray(colour, np.float32)

    def paint(u: FloatArray, v: FloatArray) -> FloatArray:
        mottle = 1.0 + strength * 2.0 * (noise(u, v) - 0.5)
        return np.asarray(np.clip(base * mottle[..., None], 0.0, 1.0), dtype=np.float32)

    return paint


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Convert to RGB in [0, 1]: hue is any real number with period 1, saturation and value are clipped to [0, 1]."""
    saturation, value = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    channels = [
        value * (1.0 - saturation * min(max(min(k, 4.0 - k), 0.0), 1.0))
        for k in ((offset + hue * 6.0) % 6.0 for offset in (5.0, 3.0, 1.0))
    ]
    return channels[0], channels[1], channels[2]
