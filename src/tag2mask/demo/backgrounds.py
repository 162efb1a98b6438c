"""Textured backgrounds, and clutter: objects that belong to no class."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from tag2mask.demo.canvas import Part
from tag2mask.demo.outlines import bend, ellipse, polygon, ribbon, smooth, wobble
from tag2mask.demo.textures import Colour, FloatArray, fractal_noise, hsv, mix, plain, smoothstep

Size = tuple[int, int]
"""(height, width) in pixels."""
Background = Callable[[np.random.Generator, Size], FloatArray]
"""Render a background, float32 (H, W, 3), RGB in [0, 1]."""


def make_background(rng: np.random.Generator, size: Size) -> FloatArray:
    """Render a random background, float32 (H, W, 3), RGB in [0, 1].

    Some consist of two backgrounds that meet at a horizon, and some are blurred.
    """
    image = _any_background(rng, size)
    if rng.random() < 0.35:
        image = _join_at_horizon(rng, image, _any_background(rng, size))
    if rng.random() < 0.35:
        sigma = rng.uniform(0.5, 3.0)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    return np.asarray(np.clip(image, 0.0, 1.0), np.float32)


def grass(rng: np.random.Generator, size: Size) -> FloatArray:
    """Upright streaks of one hue in many shades."""
    y, x = _grid(size)
    lean = rng.uniform(-0.3, 0.3)
    streaks = fractal_noise(rng, 1.0)
    patches = fractal_noise(rng, 1.5)
    fine = streaks(np.asarray((x + lean * y) * rng.uniform(22, 34), np.float32), y * rng.uniform(3.0, 5.0))
    hue = rng.uniform(0.16, 0.36)
    low = hsv(hue, rng.uniform(0.4, 0.7), rng.uniform(0.15, 0.3))
    high = hsv(hue - 0.03, rng.uniform(0.3, 0.6), rng.uniform(0.5, 0.75))
    return _blend(low, high, _stretch(0.7 * fine + 0.3 * patches(x, y)))


def sand(rng: np.random.Generator, size: Size) -> FloatArray:
    """Fine grains over soft ripples: sand, soil, snow."""
    y, x = _grid(size)
    ripples = fractal_noise(rng, 1.0)(x * 2.0, y * rng.uniform(5.0, 9.0))
    grains = cv2.GaussianBlur(rng.random(size, dtype=np.float32), (0, 0), 0.9)
    hue, saturation = rng.uniform(0.05, 0.14), rng.uniform(0.05, 0.5)
    value = rng.uniform(0.55, 0.95)
    low, high = hsv(hue, saturation, value - 0.35), hsv(hue, 0.8 * saturation, value)
    return _blend(low, high, 0.5 * _stretch(ripples) + 0.5 * _stretch(np.asarray(grains, np.float32)))


def water(rng: np.random.Generator, size: Size) -> FloatArray:
    """Horizontal highlights on a dark surface."""
    y, x = _grid(size)
    warp = fractal_noise(rng, 2.0)(x, y)
    waves = fractal_noise(rng, 1.0)(x * rng.uniform(2.0, 4.0) + 0.6 * warp, y * rng.uniform(9.0, 15.0))
    highlights = smoothstep(0.55, 0.85, _stretch(waves))
    hue = rng.uniform(0.44, 0.64)
    low = hsv(hue, rng.uniform(0.4, 0.8), rng.uniform(0.25, 0.5))
    high = hsv(hue - 0.04, rng.uniform(0.15, 0.4), rng.uniform(0.7, 0.95))
    return _blend(low, high, np.asarray(0.35 * _stretch(waves) + 0.5 * highlights, np.float32))


def pebbles(rng: np.random.Generator, size: Size) -> FloatArray:
    """Rounded stones in shades of grey and brown, dark between them (Voronoi cells)."""
    height, width = size
    count = int(rng.integers(60, 220))
    sites = rng.uniform((0, 0), (height, width), (count, 2))
    seeds = np.ones(size, np.uint8)
    seeds[sites[:, 0].astype(int), sites[:, 1].astype(int)] = 0
    distance, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    hue, saturation = rng.uniform(0.0, 0.16), rng.uniform(0.05, 0.35)
    tints = [
        hsv(hue + rng.normal() * 0.03, saturation * rng.random() * 2.0, rng.uniform(0.35, 0.8))
        for _ in range(int(cells.max()) + 1)
    ]
    typical = np.sqrt(height * width / count)
    roundness = 1.1 - 0.75 * smoothstep(0.25, 0.85, np.asarray(distance / typical, np.float32))
    return np.asarray(
        cv2.GaussianBlur(np.asarray(tints, np.float32)[cells] * roundness[..., None], (0, 0), 1.0), np.float32
    )


def foliage(rng: np.random.Generator, size: Size) -> FloatArray:
    """Leaves at all angles over a dark background."""
    height, width = size
    hue, saturation = rng.uniform(0.05, 0.4), rng.uniform(0.3, 0.7)
    image = np.full((height, width, 3), hsv(hue, saturation, 0.15), np.float32)
    shapes = smooth([(-1.0, 0.0), (0.0, -0.5), (1.0, 0.0), (0.0, 0.5)], rounds=2)
    longest = rng.uniform(14.0, 34.0)
    for brightness in np.sort(rng.uniform(0.18, 0.75, 170)):
        angle, length = rng.uniform(0.0, 2.0 * np.pi), longest * rng.uniform(0.5, 1.0)
        turn = length * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = shapes @ turn.T + rng.uniform((0, 0), (width, height))
        colour = hsv(hue + rng.normal() * 0.025, saturation, brightness + rng.normal() * 0.05)
        cv2.fillPoly(image, [np.round(corners).astype(np.int32)], colour)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.float32)


def planks(rng: np.random.Generator, size: Size) -> FloatArray:
    """Boards with a long grain and dark joints: a table, a floor, a fence."""
    y, x = _grid(size)
    if rng.random() < 0.5:
        x, y = y, x
    boards = rng.integers(2, 6)
    board = np.floor(y * boards)
    shade = rng.uniform(-0.12, 0.12, 16).astype(np.float32)[board.astype(int)]
    warp = fractal_noise(rng, 1.5)(x, y + board)
    grain = fractal_noise(rng, 1.0)(x * 2.0 + 5.0 * board, y * 30.0 + 3.0 * warp)
    hue, saturation, value = rng.uniform(0.04, 0.12), rng.uniform(0.2, 0.65), rng.uniform(0.4, 0.9)
    image = _blend(hsv(hue, saturation, 0.6 * value), hsv(hue, 0.8 * saturation, value), _stretch(grain))
    joint = smoothstep(0.0, 0.06, np.asarray(0.5 - np.abs(np.mod(y * boards, 1.0) - 0.5), np.float32))
    return np.asarray((image + shade[..., None]) * (0.35 + 0.65 * joint[..., None]), np.float32)


def haze(rng: np.random.Generator, size: Size) -> FloatArray:
    """Soft colours without detail: sky, a wall, a scene out of focus."""
    y, x = _grid(size)
    clouds = _stretch(fractal_noise(rng, rng.uniform(1.0, 3.0))(x, y))
    hue = rng.random()
    low = hsv(hue, rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.8))
    high = hsv(hue + rng.normal() * 0.08, rng.uniform(0.05, 0.4), rng.uniform(0.6, 0.97))
    return _blend(low, high, np.asarray(0.6 * y / y.max() + 0.4 * clouds, np.float32))


BACKGROUNDS: dict[str, Background] = {
    "foliage": foliage,
    "grass": grass,
    "haze": haze,
    "pebbles": pebbles,
    "planks": planks,
    "sand": sand,
    "water": water,
}


def make_clutter(rng: np.random.Generator) -> list[Part]:
    """Make one object of no class: stone, twig, leaf, grass, puddle or board."""
    kinds = (_stone, _twig, _leaf, _blade, _puddle, _board)
    return kinds[int(rng.integers(len(kinds)))](rng)


def _stone(rng: np.random.Generator) -> list[Part]:
    colour = hsv(rng.random(), rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.85))
    outline = ellipse((0.0, 0.0), (0.8, rng.uniform(0.4, 0.75)), points=24)
    return [Part(wobble(rng, outline, 0.12), plain(rng, colour, 0.35), 0.9)]


def _twig(rng: np.random.Generator) -> list[Part]:
    bark = plain(rng, hsv(rng.uniform(0.04, 0.1), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.6)), 0.3)
    curve = rng.uniform(-0.4, 0.4)
    parts = [Part(ribbon([(-1.2, 0.0), (0.0, curve), (1.2, 0.0)], (0.2, 0.1)), bark)]
    if rng.random() < 0.6:
        parts.append(Part(ribbon([(0.1, curve), (0.7, curve - 0.6)], (0.11, 0.06)), bark))
    return parts


def _leaf(rng: np.random.Generator) -> list[Part]:
    hue = rng.uniform(0.03, 0.38)
    colour = hsv(hue, rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.8))
    vein = hsv(hue, 0.4, rng.uniform(0.5, 0.9))
    curve = rng.uniform(-0.3, 0.3)
    blade = bend(smooth([(-1.0, 0.0), (-0.2, -rng.uniform(0.4, 0.7)), (1.0, 0.0), (-0.2, 0.5)]), curve)
    rib = ribbon([(-1.15, 1.3 * curve), (0.0, 0.0), (0.8, 0.64 * curve)], (0.09, 0.03))
    return [Part(blade, plain(rng, colour, 0.25), 0.3), Part(rib, plain(rng, vein), 0.2)]


def _blade(rng: np.random.Generator) -> list[Part]:
    colour = hsv(rng.uniform(0.15, 0.36), rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.75))
    blades = []
    for _ in range(int(rng.integers(2, 6))):
        x, lean = rng.uniform(-0.4, 0.4), rng.uniform(-0.8, 0.8)
        path = [(x, 1.0), (x + 0.3 * lean, 0.1), (x + lean, rng.uniform(-1.2, -0.5))]
        blades.append(Part(ribbon(path, (0.16, 0.03), points=16), plain(rng, colour, 0.3), 0.4))
    return blades


def _puddle(rng: np.random.Generator) -> list[Part]:
    low = hsv(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.6))
    high = hsv(rng.random(), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.9))
    outline = wobble(rng, ellipse((0.0, 0.0), (1.0, rng.uniform(0.4, 0.7))), 0.15)
    return [Part(outline, mix(fractal_noise(rng, 2.5), low, high), 0.0)]


def _board(rng: np.random.Generator) -> list[Part]:
    colour = hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.85))
    half = rng.uniform(0.25, 0.6)
    corners = [(-0.9, -half), (0.9, -half * rng.uniform(0.7, 1.0)), (0.9, half), (-0.9, half)]
    return [Part(polygon(corners), plain(rng, colour, 0.3), 0.2)]


def _any_background(rng: np.random.Generator, size: Size) -> FloatArray:
    names = sorted(BACKGROUNDS)
    return BACKGROUNDS[names[int(rng.integers(len(names)))]](rng, size)


def _join_at_horizon(rng: np.random.Generator, near: FloatArray, far: FloatArray) -> FloatArray:
    height, width = near.shape[:2]
    y, x = _grid((height, width))
    line = rng.uniform(0.2, 0.6) + rng.uniform(-0.1, 0.1) * x
    line += rng.uniform(0.0, 0.15) * (fractal_noise(rng, 2.0)(x, np.zeros_like(x)) - 0.5)
    weight = smoothstep(-0.01, 0.01, np.asarray(y - line, np.float32))[..., None]
    soft = cv2.GaussianBlur(far, (0, 0), rng.uniform(0.5, 4.0))
    return np.asarray(near * weight + np.asarray(soft, np.float32) * (1.0 - weight), np.float32)


def _grid(size: Size) -> tuple[FloatArray, FloatArray]:
    """Coordinates y, x (H, W) in units of the longer side."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    return y, x


def _stretch(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(high - low, 1e-6), np.float32)


def _blend(low: Colour, high: Colour, weight: FloatArray) -> FloatArray:
    first, second = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return np.asarray(first + (second - first) * weight[..., None], np.float32)
