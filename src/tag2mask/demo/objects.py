"""The five classes of the demo: each object is a list of parts with a shape, a texture and random colours.

The part that distinguishes a class (shell, cap, head, wing) is smaller than the object, and the other parts (foot,
stem, belly, fins) are plain. So the most discriminative region, which class activation maps find, is not the whole
object.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tag2mask.demo.canvas import Part
from tag2mask.demo.outlines import bend, ellipse, polygon, ribbon, smooth, wobble
from tag2mask.demo.textures import Colour, feathers, hsv, mix, plain, scales, spiral, spots, tabby

Builder = Callable[[np.random.Generator], list[Part]]
"""Make one object of a class in object coordinates: within about [-1, 1], upright, facing right."""


def bird(rng: np.random.Generator) -> list[Part]:
    """Plump body and long tail, both plain, with a feathered wing, a round head and a beak."""
    coat = _coat(rng)
    body = plain(rng, coat)
    light, dark = _shift(rng, coat, 0.3), _shift(rng, coat, -0.35)
    tilt = rng.uniform(-0.2, 0.25)
    tail = polygon([(-0.45, 0.05), (-1.15, 0.05 - tilt), (-1.1, 0.33 - tilt), (-0.4, 0.4)])
    beak = polygon([(0.72, -0.52), (1.05, -0.4 + rng.uniform(-0.05, 0.05)), (0.72, -0.32)])
    head = ellipse((0.58, -0.45), (0.29, 0.27))
    wing = smooth([(0.35, -0.15), (0.2, 0.25), (-0.3, 0.3), (-0.95, 0.1), (-0.4, -0.2)])
    leg = hsv(rng.uniform(0.02, 0.13), 0.6, rng.uniform(0.35, 0.8))
    legs = [
        Part(ribbon([(x, 0.45), (x + 0.04, 0.72), (x + 0.14, 0.9)], (0.09, 0.08)), plain(rng, leg), 0.5)
        for x in (-0.1, 0.14)
    ]
    return [
        *legs,
        Part(tail, plain(rng, dark), 0.3),
        Part(wobble(rng, ellipse((0.05, 0.08), (0.66, 0.46), angle=-0.35), 0.03), body),
        Part(beak, plain(rng, leg), 0.5),
        Part(head, plain(rng, coat)),
        Part(wobble(rng, wing, 0.03), mix(feathers(rng.uniform(0.13, 0.18)), light, dark), 0.35),
        *_eye((0.68, -0.5), 0.07),
    ]


def cat(rng: np.random.Generator) -> list[Part]:
    """Sitting body with a long tail; a striped back, and a head with two ears and a face."""
    coat = _coat(rng)
    dark = _shift(rng, coat, -0.4)
    pale = _shift(rng, coat, 0.25)
    x, y = rng.uniform(-0.12, 0.22), rng.uniform(-0.62, -0.52)
    curl = rng.uniform(-0.5, 0.3)
    tail = ribbon([(-0.25, 0.75), (-0.8, 0.75), (-0.95, 0.3 + 0.3 * curl), (-0.75, curl)], (0.22, 0.16))
    body = smooth([(0.25, -0.45), (0.42, 0.1), (0.5, 0.9), (-0.62, 0.92), (-0.62, 0.4), (-0.25, -0.4)])
    paws = [Part(ellipse((px, 0.85), (0.17, 0.12)), plain(rng, pale)) for px in (0.12, 0.42)]
    ears = []
    for side in (-1.0, 1.0):
        corners = [(x + side * 0.4, y - 0.02), (x + side * 0.36, y - 0.48), (x + side * 0.05, y - 0.26)]
        ears.append(Part(polygon(corners), plain(rng, coat), 0.4))
    nose = polygon([(x - 0.07, y + 0.06), (x + 0.07, y + 0.06), (x, y + 0.14)])
    eye = hsv(rng.uniform(0.12, 0.5), 0.7, 0.9)
    return [
        Part(tail, plain(rng, coat)),
        Part(wobble(rng, body, 0.03), mix(tabby(rng, rng.uniform(2.2, 3.0), 1.2), coat, dark)),
        Part(smooth([(0.1, 0.1), (0.4, 0.15), (0.5, 0.9), (0.02, 0.9)]), plain(rng, pale), 0.5),
        *paws,
        *ears,
        Part(ellipse((x, y), (0.42, 0.36)), mix(tabby(rng, 2.6, 0.2), coat, dark)),
        Part(ellipse((x, y + 0.16), (0.2, 0.14)), plain(rng, pale), 0.5),
        Part(nose, plain(rng, (0.75, 0.42, 0.42)), 0.3),
        *_eye((x - 0.18, y - 0.06), 0.09, eye),
        *_eye((x + 0.18, y - 0.06), 0.09, eye),
    ]


def fish(rng: np.random.Generator) -> list[Part]:
    """Spindle with a scaly side; the head and all fins are plain."""
    coat = _coat(rng)
    dark = _shift(rng, coat, -0.38)
    fin = plain(rng, _shift(rng, coat, rng.uniform(-0.2, 0.2)))
    curve = rng.uniform(-0.18, 0.18)
    deep = rng.uniform(0.4, 0.52)
    body = bend(smooth([(0.95, 0.0), (0.45, -deep), (-0.4, -0.8 * deep), (-0.85, -0.06),
                        (-0.85, 0.08), (-0.4, 0.8 * deep), (0.45, deep)]), curve)  # fmt: skip
    side = bend(smooth([(0.42, -0.72 * deep), (-0.4, -0.6 * deep), (-0.75, 0.0), (-0.4, 0.6 * deep),
                        (0.42, 0.72 * deep), (0.3, 0.0)]), curve)  # fmt: skip
    tail = bend(polygon([(-0.66, 0.0), (-1.15, -0.48), (-1.0, 0.0), (-1.15, 0.48)]), curve)
    ridge = [(0.4, -0.65 * deep), (0.0, -deep - 0.22), (-0.5, -deep - 0.1), (-0.45, -0.5 * deep)]
    top = bend(polygon(ridge), curve)
    low = bend(polygon([(0.25, 0.65 * deep), (-0.12, deep + 0.2), (-0.3, 0.6 * deep)]), curve)
    rows = mix(scales(rng.uniform(0.14, 0.19)), _shift(rng, coat, 0.25), dark)
    return [
        Part(tail, fin, 0.25),
        Part(top, fin, 0.25),
        Part(low, fin, 0.25),
        Part(body, plain(rng, coat)),
        Part(wobble(rng, side, 0.02), rows, 0.5),
        *_eye((0.62, -0.12 + 0.4 * curve), 0.085),
    ]


def mushroom(rng: np.random.Generator) -> list[Part]:
    """Spotted cap, much smaller than the object, on a long plain stem."""
    coat = _coat(rng)
    stem = plain(rng, hsv(rng.uniform(0.05, 0.16), rng.uniform(0.05, 0.4), rng.uniform(0.55, 0.92)))
    lean, wide = rng.uniform(-0.2, 0.2), rng.uniform(0.66, 0.85)
    cap = smooth([(-wide, -0.12), (-0.85 * wide, -0.62), (-0.3, -0.98), (0.3, -0.98),
                  (0.85 * wide, -0.62), (wide, -0.12), (0.0, -0.26)])  # fmt: skip
    pale = _shift(rng, coat, 0.45)
    dots = spots(rng, 11, (0.08, 0.14))
    swap = rng.random() < 0.25
    paint = mix(dots, _shift(rng, coat, -0.2), pale) if not swap else mix(dots, pale, _shift(rng, coat, -0.3))
    foot = ribbon([(0.0, -0.35), (0.3 * lean, 0.3), (lean, 0.85)], (0.3, 0.34, rng.uniform(0.4, 0.55)))
    ring = ellipse((0.1 * lean, -0.02), (0.3, 0.1), angle=-0.2 * lean)
    parts = [Part(foot, stem)]
    if rng.random() < 0.6:
        parts.append(Part(ring, stem, 0.6))
    return [*parts, Part(wobble(rng, cap, 0.02), paint)]


def snail(rng: np.random.Generator) -> list[Part]:
    """Wound shell on a long plain foot with two feelers."""
    coat = _coat(rng)
    skin = plain(rng, hsv(rng.uniform(0.03, 0.2), rng.uniform(0.1, 0.45), rng.uniform(0.35, 0.85)))
    lift, reach = rng.uniform(-0.18, 0.1), rng.uniform(0.9, 1.1)
    foot = smooth([(-1.1, 0.72), (-0.5, 0.35), (0.4, 0.35), (0.6, lift - 0.15), (reach, lift - 0.15),
                   (reach + 0.02, lift + 0.3), (0.75, 0.78), (-0.6, 0.82)])  # fmt: skip
    feelers = [
        Part(ribbon([(reach - 0.2, lift - 0.05), (reach - d, lift - 0.5)], (0.1, 0.08)), skin, 0.5)
        for d in (0.28, 0.02)
    ]
    radius = rng.uniform(0.5, 0.6)
    shell = wobble(rng, ellipse((-0.18, -0.08), (radius * 1.05, radius)), 0.02)
    pattern = spiral(rng.uniform(2.2, 2.9), (-0.12, -0.02), radius)
    return [
        *feelers,
        Part(foot, skin),
        Part(shell, mix(pattern, _shift(rng, coat, -0.4), _shift(rng, coat, 0.2))),
    ]


BUILDERS: dict[str, Builder] = {"bird": bird, "cat": cat, "fish": fish, "mushroom": mushroom, "snail": snail}
"""Builder of each class, in the order of the class indices 1, 2, ..."""

CLASS_SHAPES = frozenset(BUILDERS)
"""Shapes of the demo's classes; the pretraining task must contain none of them."""

CLASS_TEXTURES = frozenset({"feathers", "tabby", "scales", "spots", "spiral"})
"""Textures of the demo's classes; the pretraining task must contain none of them."""


def _coat(rng: np.random.Generator) -> Colour:
    """Draw a main colour; all classes share this palette, so colour alone does not determine the class."""
    if rng.random() < 0.55:
        return hsv(rng.uniform(0.0, 0.14), rng.uniform(0.25, 0.85), rng.uniform(0.45, 0.9))
    return hsv(rng.random(), rng.uniform(0.1, 0.65), rng.uniform(0.45, 0.9))


def _shift(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """Lighten (`amount` > 0) or darken a colour by about `amount`."""
    amount *= rng.uniform(0.85, 1.15)
    target = 1.0 if amount > 0.0 else 0.0
    red, green, blue = (c + (target - c) * min(abs(amount) * 1.4, 1.0) for c in colour)
    return red, green, blue


def _eye(centre: tuple[float, float], radius: float, iris: Colour = (0.95, 0.93, 0.85)) -> list[Part]:
    black: Colour = (0.05, 0.04, 0.04)
    rng = np.random.default_rng(0)
    return [
        Part(ellipse(centre, (radius, radius), points=16), plain(rng, iris, 0.0), 0.0),
        Part(ellipse(centre, (0.55 * radius, 0.6 * radius), points=12), plain(rng, black, 0.0), 0.0),
    ]
