from __future__ import annotations

import numpy as np
import pytest

from tag2mask.demo.canvas import SUPERSAMPLING, Canvas, Light, Part, Pose, reduce_classes, reduce_colours
from tag2mask.demo.compose import MIN_VISIBLE, SceneObject, compose
from tag2mask.demo.outlines import ellipse, polygon, ribbon, smooth
from tag2mask.demo.textures import Colour, hsv, plain, scales

LIGHT = Light((0.0, 0.0, 1.0), 1.0, 0.0)


def flat(colour: Colour, corners: list[tuple[float, float]]) -> Part:
    return Part(polygon(corners), plain(np.random.default_rng(0), colour, 0.0), 0.0)


def square(colour: Colour) -> Part:
    return flat(colour, [(-1, -1), (1, -1), (1, 1), (-1, 1)])


def pose(size: float, x: float, y: float) -> Pose:
    return Pose(np.array([[size, 0.0, x], [0.0, size, y]]) * SUPERSAMPLING)


def empty_canvas(height: int, width: int) -> Canvas:
    return Canvas(np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING, 3), np.float32), LIGHT)


def test_a_square_is_drawn_and_masked_at_its_exact_position() -> None:
    canvas = empty_canvas(20, 30)
    canvas.draw([square((1.0, 0.5, 0.0))], pose(3.75, 9.75, 7.75), 3, shadow=0.0)
    expected = np.zeros((20, 30), np.uint8)
    expected[4:12, 6:14] = 3
    mask = reduce_classes(canvas.layers.astype(np.uint8), 4)
    np.testing.assert_array_equal(mask, expected)
    colours = reduce_colours(canvas.colours)
    np.testing.assert_allclose(colours[expected == 3], np.tile([1.0, 0.5, 0.0], (64, 1)), atol=1e-6)
    assert colours[expected == 0].max() == 0.0


def test_later_objects_occlude_earlier_ones() -> None:
    canvas = empty_canvas(20, 20)
    canvas.draw([square((1.0, 0.0, 0.0))], pose(3.75, 7.75, 7.75), 1, shadow=0.0)
    canvas.draw([square((0.0, 1.0, 0.0))], pose(1.75, 7.75, 7.75), 2, shadow=0.0)
    assert (canvas.layers == 2).sum() == 64
    assert (canvas.layers == 1).sum() == 256 - 64


def test_a_shadow_darkens_the_background_but_is_not_in_the_mask() -> None:
    canvas = Canvas(np.ones((80, 80, 3), np.float32), LIGHT)
    canvas.draw([square((1.0, 1.0, 1.0))], pose(8.0, 20.0, 20.0), 1, shadow=0.5)
    assert canvas.colours[canvas.layers == 0].min() < 0.9
    assert canvas.colours[canvas.layers == 1].min() == 1.0


def test_an_object_outside_the_image_changes_nothing() -> None:
    canvas = empty_canvas(10, 10)
    canvas.draw([square((1.0, 1.0, 1.0))], pose(3.0, -50.0, 5.0), 1)
    assert canvas.colours.max() == 0.0 and not canvas.layers.any()


def test_reduce_classes_takes_the_majority_and_the_lowest_of_a_tie() -> None:
    classes = np.array([[1, 1, 2, 0, 2, 2], [1, 0, 0, 2, 2, 2]], np.uint8)
    np.testing.assert_array_equal(reduce_classes(classes, 3), [[1, 0, 2]])


def test_compose_keeps_every_object_visible() -> None:
    rng = np.random.default_rng(3)
    objects = [SceneObject([square((1.0, 0.0, 0.0))], 1, 0.25), SceneObject([square((0.0, 1.0, 0.0))], 2, 0.25)]
    objects += [SceneObject([square((0.0, 0.0, 1.0))], 0, 0.25) for _ in range(4)]
    full = 4 * 0.25**2 * 96 * 96
    for _ in range(8):
        mask = compose(rng, (96, 96), objects).gt_mask
        for index in np.unique(mask[mask > 0]):
            assert (mask == index).sum() >= (0.95 * MIN_VISIBLE) * full


def test_areas_of_outlines_agree_with_geometry() -> None:
    def area(outline: np.ndarray) -> float:
        x, y = outline.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    assert area(ellipse((0.3, 0.1), (0.5, 0.2), angle=0.4, points=200)) == pytest.approx(np.pi * 0.1, rel=1e-3)
    assert area(ribbon([(0.0, 0.0), (1.0, 0.0)], (0.2, 0.2))) == pytest.approx(0.2 + np.pi * 0.01, rel=0.03)
    assert area(smooth([(-1, -1), (1, -1), (1, 1), (-1, 1)])) < 4.0


def test_hsv_agrees_with_the_standard_library() -> None:
    import colorsys

    for hue, saturation, value in np.random.default_rng(0).random((50, 3)).tolist():
        assert hsv(hue, saturation, value) == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, value))


def test_scales_repeat_and_stay_in_range() -> None:
    v, u = np.mgrid[-1:1:0.01, -1:1:0.01].astype(np.float32)
    values = scales(0.2)(u, v)
    assert values.min() >= 0.0 and values.max() <= 1.0
    moved = scales(0.2)(u, v + np.float32(0.3))
    assert np.mean(np.abs(values - moved) > 0.02) < 0.005, "rows repeat every 1.5 radii, up to rounding"
