"""Outlines of object parts: closed polygons, float64 (N, 2), corners (x, y) in object coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Point = tuple[float, float]


def ellipse(centre: Point, radii: Point, *, angle: float = 0.0, points: int = 48) -> Outline:
    """Ellipse with half axes `radii`, rotated clockwise by `angle` in radians."""
    t = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)


def smooth(corners: Sequence[Point] | Outline, *, rounds: int = 3) -> Outline:
    """Round the corners of a closed polygon by cutting them `rounds` times (Chaikin 1974)."""
    outline = np.asarray(corners, dtype=np.float64)
    for _ in range(rounds):
        following = np.roll(outline, -1, axis=0)
        pair = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], axis=1)
        outline = pair.reshape(-1, 2)
    return outline


def polygon(corners: Sequence[Point]) -> Outline:
    """Straight-sided polygon."""
    return np.asarray(corners, dtype=np.float64)


def regular(sides: int, radius: float, *, inner: float | None = None, turn: float = 0.0) -> Outline:
    """Regular polygon; a star if `inner`, the radius of the notches between its points, is given."""
    count = sides if inner is None else 2 * sides
    t = turn - 0.5 * np.pi + np.arange(count) * 2.0 * np.pi / count
    radii = np.full(count, radius)
    if inner is not None:
        radii[1::2] = inner
    return np.stack([radii * np.cos(t), radii * np.sin(t)], axis=1)


def ribbon(path: Sequence[Point], widths: Sequence[float], *, points: int = 32) -> Outline:
    """Band along a smooth path through `path` with round ends; its width is interpolated from `widths`."""
    corners = np.asarray(path, dtype=np.float64)
    knots = np.linspace(0.0, 1.0, len(corners))
    t = np.linspace(0.0, 1.0, points)
    degree = min(len(corners) - 1, 3)
    x, y = (np.polyval(np.polyfit(knots, corners[:, axis], degree), t) for axis in (0, 1))
    width = np.interp(t, np.linspace(0.0, 1.0, len(widths)), widths) / 2.0
    dx, dy = np.gradient(x), np.gradient(y)
    length = np.hypot(dx, dy)
    left = np.stack([x - dy / length * width, y + dx / length * width], axis=1)
    right = np.stack([x + dy / length * width, y - dx / length * width], axis=1)
    end, start = _cap(left[-1], right[-1]), _cap(right[0], left[0])
    return np.concatenate([left, end, right[::-1], start])


def wobble(rng: np.random.Generator, outline: Outline, strength: float) -> Outline:
    """Deform an outline with random smooth waves of relative amplitude `strength`."""
    centre = outline.mean(axis=0)
    offset = outline - centre
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    factor = np.ones(len(outline))
    for waves in (2, 3, 4, 5):
        factor += strength * rng.normal() / waves * np.sin(waves * angle + rng.uniform(0.0, 2.0 * np.pi))
    return np.asarray(centre + offset * factor[:, None])


def bend(outline: Outline, amount: float) -> Outline:
    """Bend an outline: move its points down by `amount` * x**2."""
    return np.stack([outline[:, 0], outline[:, 1] + amount * outline[:, 0] ** 2], axis=1)


def _cap(start: Outline, end: Outline) -> Outline:
    """Points of a half circle from `start` to `end`, both (2,), without these two."""
    centre, arm = (start + end) / 2.0, (start - end) / 2.0
    t = np.linspace(0.0, np.pi, 8)[1:-1, None]
    normal = np.array([arm[1], -arm[0]])
    return np.asarray(centre + np.cos(t) * arm + np.sin(t) * normal)
