"""Shapes of the pretraining task: outlines in object coordinates, none of them a shape of the demo's classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tag2mask.demo.outlines import Outline, bend, ellipse, polygon, regular, ribbon, smooth

Outlines = tuple[list[Outline], list[Outline]]
"""(plain, textured) outlines of an object; the plain ones are drawn first."""

Shape = Callable[[np.random.Generator], Outlines]
"""Make the outlines of one object, which vary slightly."""


def _star(rng: np.random.Generator) -> Outlines:
    return [], [regular(5, 1.0, inner=rng.uniform(0.38, 0.5))]


def _triangle(rng: np.random.Generator) -> Outlines:
    return [], [regular(3, 1.0)]


def _hexagon(rng: np.random.Generator) -> Outlines:
    return [], [regular(6, 0.85)]


def _gear(rng: np.random.Generator) -> Outlines:
    return [], [regular(11, 0.95, inner=0.7)]


def _cross(rng: np.random.Generator) -> Outlines:
    a = rng.uniform(0.25, 0.36)
    return [], [polygon([(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1),
                         (-a, a), (-1, a), (-1, -a), (-a, -a)])]  # fmt: skip


def _heart(rng: np.random.Generator) -> Outlines:
    t = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [], [np.stack([16 * np.sin(t) ** 3, -y], axis=1) / 17.0]


def _crescent(rng: np.random.Generator) -> Outlines:
    t = np.linspace(0.35 * np.pi, 1.65 * np.pi, 28)
    outer = np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = np.stack([0.75 * np.cos(t) + 0.2, 0.82 * np.sin(t)], axis=1)
    return [], [np.concatenate([outer, inner[::-1]])]


def _arrow(rng: np.random.Generator) -> Outlines:
    a = rng.uniform(0.16, 0.24)
    return [], [polygon([(-1, -a), (0.2, -a), (0.2, -0.6), (1, 0), (0.2, 0.6), (0.2, a), (-1, a)])]


def _bottle(rng: np.random.Generator) -> Outlines:
    glass = smooth([(-0.15, -1), (0.15, -1), (0.15, -0.5), (0.4, -0.25), (0.4, 1), (-0.4, 1),
                    (-0.4, -0.25), (-0.15, -0.5)], rounds=2)  # fmt: skip
    return [glass], [polygon([(-0.4, 0.0), (0.4, 0.0), (0.4, 0.7), (-0.4, 0.7)])]


def _vase(rng: np.random.Generator) -> Outlines:
    rim = polygon([(-0.42, -0.95), (0.42, -0.95), (0.3, -0.7), (-0.3, -0.7)])
    body = smooth([(-0.2, -0.7), (0.2, -0.7), (0.75, 0.1), (0.3, 0.95), (-0.3, 0.95), (-0.75, 0.1)])
    return [rim], [body]


def _tree(rng: np.random.Generator) -> Outlines:
    trunk = ribbon([(0.0, 0.0), (0.0, 1.0)], (0.2, 0.3))
    return [trunk], [polygon([(0, -1), (0.75, 0.45), (-0.75, 0.45)])]


def _lamp(rng: np.random.Generator) -> Outlines:
    stand = [ribbon([(0.0, -0.2), (0.0, 0.85)], (0.14, 0.14)), ellipse((0.0, 0.88), (0.5, 0.13))]
    return stand, [polygon([(-0.35, -0.95), (0.35, -0.95), (0.7, -0.1), (-0.7, -0.1)])]


def _umbrella(rng: np.random.Generator) -> Outlines:
    handle = ribbon([(0.0, -0.3), (0.0, 0.5), (0.05, 0.85), (0.3, 0.75)], (0.1, 0.1))
    t = np.linspace(np.pi, 2.0 * np.pi, 24)
    dome = np.stack([np.cos(t), 0.85 * np.sin(t)], axis=1)
    return [handle], [np.concatenate([dome, polygon([(0.6, 0.14), (0.2, 0.0), (-0.2, 0.14), (-0.6, 0.0)])])]


def _cup(rng: np.random.Generator) -> Outlines:
    handle = ribbon([(0.5, -0.35), (1.15, -0.3), (1.1, 0.3), (0.45, 0.4)], (0.17, 0.17))
    return [handle], [polygon([(-0.7, -0.75), (0.6, -0.75), (0.45, 0.8), (-0.55, 0.8)])]


def _house(rng: np.random.Generator) -> Outlines:
    roof = polygon([(-0.95, -0.15), (0.0, -0.95), (0.95, -0.15)])
    return [roof], [polygon([(-0.72, -0.15), (0.72, -0.15), (0.72, 0.9), (-0.72, 0.9)])]


def _car(rng: np.random.Generator) -> Outlines:
    body = polygon([(-1.0, 0.3), (-0.95, -0.1), (-0.55, -0.15), (-0.3, -0.55), (0.35, -0.55),
                    (0.6, -0.12), (1.0, 0.0), (1.0, 0.3)])  # fmt: skip
    wheels = [ellipse((x, 0.32), (0.27, 0.27)) for x in (-0.55, 0.55)]
    return wheels, [body]


def _boat(rng: np.random.Generator) -> Outlines:
    hull = polygon([(-0.95, 0.4), (0.95, 0.4), (0.6, 0.85), (-0.65, 0.85)])
    mast = ribbon([(-0.05, -0.95), (-0.05, 0.45)], (0.09, 0.09))
    return [hull, mast], [polygon([(0.03, -0.9), (0.8, 0.25), (0.03, 0.25)])]


def _flower(rng: np.random.Generator) -> Outlines:
    stem = ribbon([(0.0, 0.0), (0.1, 0.5), (0.0, 1.05)], (0.12, 0.12))
    t = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    radius = 0.5 + 0.14 * np.cos(rng.integers(5, 8) * t)
    return [stem], [np.stack([radius * np.cos(t), radius * np.sin(t) - 0.4], axis=1)]


def _key(rng: np.random.Generator) -> Outlines:
    shaft = polygon([(-0.2, -0.1), (1, -0.1), (1, 0.35), (0.8, 0.35), (0.8, 0.1), (0.6, 0.1),
                     (0.6, 0.3), (0.42, 0.3), (0.42, 0.1), (-0.2, 0.1)])  # fmt: skip
    return [shaft], [ellipse((-0.55, 0.0), (0.42, 0.42))]


def _hourglass(rng: np.random.Generator) -> Outlines:
    return [], [polygon([(-0.65, -0.95), (0.65, -0.95), (0.12, 0.0), (0.65, 0.95), (-0.65, 0.95), (-0.12, 0.0)])]


def _worm(rng: np.random.Generator) -> Outlines:
    lift = rng.uniform(0.5, 1.0)
    return [], [ribbon([(-1.0, 0.3), (-0.35, -lift), (0.35, lift), (1.0, -0.3)], (0.3, 0.36, 0.22))]


def _banana(rng: np.random.Generator) -> Outlines:
    return [], [bend(ellipse((0.0, -0.2), (1.0, 0.26)), rng.uniform(0.45, 0.7))]


def _chair(rng: np.random.Generator) -> Outlines:
    legs = [polygon([(x, 0.2), (x + 0.13, 0.2), (x + 0.13, 1.0), (x, 1.0)]) for x in (-0.55, 0.42)]
    return legs, [polygon([(-0.55, -1.0), (-0.3, -1.0), (-0.3, 0.0), (0.55, 0.0), (0.55, 0.26), (-0.55, 0.26)])]


def _dumbbell(rng: np.random.Generator) -> Outlines:
    bar = polygon([(-0.6, -0.11), (0.6, -0.11), (0.6, 0.11), (-0.6, 0.11)])
    return [bar], [ellipse((x, 0.0), (0.34, 0.4)) for x in (-0.65, 0.65)]


SHAPES: dict[str, Shape] = {
    function.__name__[1:]: function
    for function in (
        _arrow, _banana, _boat, _bottle, _car, _chair, _crescent, _cross, _cup, _dumbbell, _flower, _gear,
        _heart, _hexagon, _hourglass, _house, _key, _lamp, _star, _tree, _triangle, _umbrella, _vase, _worm,
    )
}  # fmt: skip
