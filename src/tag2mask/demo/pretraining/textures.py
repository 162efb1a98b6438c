"""Textures of the pretraining task: patterns in object coordinates, none of them a texture of the demo's classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tag2mask.demo.textures import FloatArray, Pattern, fractal_noise, smoothstep, value_noise

Texture = Callable[[np.random.Generator], Pattern]
"""Make one pattern of a texture, with random scale, angle and details."""


def _turned(rng: np.random.Generator, size: tuple[float, float], wave: Pattern) -> Pattern:
    """Rotate a pattern of period 1 by a random angle, and scale it to a period drawn from `size`."""
    angle, scale = rng.uniform(0.0, np.pi), 1.0 / rng.uniform(*size)
    cos, sin = float(np.cos(angle) * scale), float(np.sin(angle) * scale)
    shift = rng.random(2)

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        x = np.asarray(u * cos + v * sin + shift[0], np.float32)
        y = np.asarray(v * cos - u * sin + shift[1], np.float32)
        return wave(x, y)

    return pattern


def _line(x: FloatArray, width: float) -> FloatArray:
    """1 on lines of relative width `width` with period 1, 0 between them."""
    return 1.0 - smoothstep(width - 0.08, width + 0.08, np.asarray(np.abs(np.mod(x, 1.0) - 0.5) * 2.0, np.float32))


def _square(x: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.mod(x, 1.0) < 0.5, 1.0, -1.0), np.float32)


def _stripes(rng: np.random.Generator) -> Pattern:
    width = rng.uniform(0.35, 0.65)
    return _turned(rng, (0.25, 0.45), lambda x, y: _line(x, width))


def _checker(rng: np.random.Generator) -> Pattern:
    return _turned(rng, (0.4, 0.65), lambda x, y: 0.5 + 0.5 * _square(x) * _square(y))


def _plaid(rng: np.random.Generator) -> Pattern:
    width = rng.uniform(0.35, 0.55)
    return _turned(rng, (0.4, 0.6), lambda x, y: 0.5 * (_line(x, width) + _line(y, width)))


def _zigzag(rng: np.random.Generator) -> Pattern:
    height = rng.uniform(0.5, 0.8)

    def wave(x: FloatArray, y: FloatArray) -> FloatArray:
        return _line(np.asarray(x + height * np.abs(np.mod(y, 1.0) - 0.5), np.float32), 0.5)

    return _turned(rng, (0.3, 0.42), wave)


def _bricks(rng: np.random.Generator) -> Pattern:
    def wave(x: FloatArray, y: FloatArray) -> FloatArray:
        row = np.floor(y * 2.0)
        across = np.asarray(x + 0.5 * np.mod(row, 2.0), np.float32)
        return np.asarray(np.maximum(_line(across, 0.15), _line(y * np.float32(2.0), 0.25)), np.float32)

    return _turned(rng, (0.5, 0.7), wave)


def _hatch(rng: np.random.Generator) -> Pattern:
    return _turned(rng, (0.22, 0.34), lambda x, y: np.maximum(_line(x, 0.2), _line(y, 0.2)))


def _triangles(rng: np.random.Generator) -> Pattern:
    def wave(x: FloatArray, y: FloatArray) -> FloatArray:
        row = np.floor(y)
        across = np.abs(np.mod(x + 0.5 * np.mod(row, 2.0), 1.0) - 0.5) * 2.0
        return smoothstep(-0.1, 0.1, np.asarray(np.mod(y, 1.0) - across, np.float32))

    return _turned(rng, (0.4, 0.55), wave)


def _marble(rng: np.random.Generator) -> Pattern:
    noise = fractal_noise(rng, 2.0, 4)

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        vein = np.abs(noise(u, v) - 0.5) * 2.0
        return 1.0 - smoothstep(0.02, 0.22, np.asarray(vein, np.float32))

    return pattern


def _cells(rng: np.random.Generator) -> Pattern:
    sites = rng.uniform(-1.2, 1.2, (26, 2)).astype(np.float32)

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        first, second = np.full_like(u, 9.0), np.full_like(u, 9.0)
        for x, y in sites:
            distance = np.hypot(u - x, v - y)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
        return smoothstep(0.03, 0.12, np.asarray(second - first, np.float32))

    return pattern


def _rays(rng: np.random.Generator) -> Pattern:
    count, x, y = int(rng.integers(6, 11)), rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25)

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        return smoothstep(-0.3, 0.3, np.asarray(np.sin(count * np.arctan2(v - y, u - x)), np.float32))

    return pattern


def _rice(rng: np.random.Generator) -> Pattern:
    lengths = rng.uniform(0.1, 0.2, 40)
    grains = np.column_stack([rng.uniform(-1.0, 1.0, (40, 2)), rng.uniform(0.0, np.pi, 40), lengths])

    def pattern(u: FloatArray, v: FloatArray) -> FloatArray:
        values = np.zeros_like(u)
        for x, y, angle, length in grains.tolist():
            cos, sin = float(np.cos(angle)), float(np.sin(angle))
            along, across = (u - x) * cos + (v - y) * sin, (v - y) * cos - (u - x) * sin
            offset = np.hypot(along / length, across / 0.045)
            np.maximum(values, 1.0 - smoothstep(0.8, 1.1, np.asarray(offset, np.float32)), out=values)
        return values

    return pattern


def _camouflage(rng: np.random.Generator) -> Pattern:
    noise = value_noise(rng, rng.uniform(3.0, 4.5))
    return lambda u, v: smoothstep(0.46, 0.54, noise(u, v))


TEXTURES: dict[str, Texture] = {
    "bricks": _bricks,
    "camouflage": _camouflage,
    "cells": _cells,
    "checker": _checker,
    "hatch": _hatch,
    "marble": _marble,
    "plaid": _plaid,
    "rays": _rays,
    "rice": _rice,
    "stripes": _stripes,
    "triangles": _triangles,
    "zigzag": _zigzag,
}
"""Textures by name."""
