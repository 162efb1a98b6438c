"""One class nearly everywhere with small things against it; and small objects on large images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from made_drawing import SIZE, Made, Picture, Region, Rng, blob, clouds, empty, filled, line

EVERYWHERE_NAMES = ("soil", "plant", "stone", "root", "fungus")
SOIL, PLANT, STONE, ROOT, FUNGUS = range(1, 6)

SMALL_NAMES = ("nut", "washer", "screw", "spring", "clip")
SMALL_SIZE = (480, 640)
"""Height and width of images of small objects."""
LEAST, MOST = 0.001, 0.05
"""Share of the image that a small object has."""

Outline = NDArray[Any]

_EARTHS = ((95, 70, 50), (70, 60, 55), (130, 100, 70), (120, 75, 50), (105, 100, 95))


def everywhere(rng: Rng) -> Made:
    """A bed of soil in 95 % of the images, with plants, stones, roots and fungi in and around it."""
    image, mask = _yard(rng), empty()
    soil = np.zeros((SIZE, SIZE), bool)
    if rng.random() < 0.95:
        soil = _bed(rng)
        image[soil] = _clods(rng, np.array(_EARTHS[rng.integers(len(_EARTHS))]))[soil]
        mask[soil] = SOIL
    for index, draw, chance in (
        (ROOT, _root, 0.4),
        (STONE, _stone, 0.45),
        (PLANT, _plant, 0.5),
        (FUNGUS, _fungus, 0.35),
    ):
        if rng.random() < (chance if soil.any() else 0.5 * chance):
            for _ in range(rng.integers(1, 5)):
                draw(rng, image, mask, index, _spot(rng, soil))
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    light = 1 + rng.uniform(-0.3, 0.3) * columns + rng.uniform(-0.3, 0.3) * rows
    return (image * light[..., None]).astype(np.float32), mask


def small_objects(rng: Rng) -> Made:
    """Small metal and plastic parts on a rough ground, mostly one to three; also things that are none of them."""
    height, width = SMALL_SIZE
    image, mask = _ground(rng), np.zeros(SMALL_SIZE, np.uint8)
    taken = np.zeros(SMALL_SIZE, bool)
    wanted = [(0, _OTHERS[rng.integers(len(_OTHERS))]) for _ in range(rng.integers(0, 5))]
    count = 0 if rng.random() < 0.15 else int(rng.choice([1, 2, 3, 5], p=[0.4, 0.3, 0.2, 0.1]))
    wanted += [(int(index) + 1, _PARTS[index]) for index in rng.integers(0, len(_PARTS), count)]
    for index, outline in wanted:
        area = float(np.exp(rng.uniform(np.log(LEAST), np.log(MOST)))) * height * width
        for _ in range(20):  # until it lies free
            region = _placed(rng, outline(rng), area)
            if not (region & taken).any():
                break
        else:
            continue
        taken |= cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        _lay(rng, image, region)
        mask[region] = index
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    return (blurred + rng.uniform(2, 6) * rng.normal(size=image.shape)).astype(np.float32), mask


def _spot(rng: Rng, soil: Region) -> NDArray[np.float64]:
    """A position (x, y): mostly in the soil, else anywhere."""
    if soil.any() and rng.random() < 0.8:
        rows, columns = np.nonzero(soil)
        chosen = rng.integers(len(rows))
        return np.array([columns[chosen], rows[chosen]], float)
    return rng.uniform(15, SIZE - 15, 2)


def _yard(rng: Rng) -> Picture:
    """Ground around the bed: paving, boards, lawn or gravel, in colours that soil has too; on it blots and strokes."""
    earth = np.array(_EARTHS[rng.integers(len(_EARTHS))], float)
    colour = earth * rng.uniform(0.8, 1.5) if rng.random() < 0.6 else rng.uniform(60, 200, 3)
    image: NDArray[Any] = colour + 10 * clouds(rng, 32)[..., None]
    kind = int(rng.integers(4))
    if kind == 0:
        step, shift = int(rng.integers(28, 60)), rng.integers(0, 28, 2)
        image[shift[0] :: step] *= 0.5
        image[:, shift[1] :: step] *= 0.5
        image += 4 * rng.normal(size=(SIZE, SIZE, 1))
    elif kind == 1:
        image += 40 * cv2.blur(rng.standard_normal((SIZE, SIZE), np.float32), (31, 1))[..., None]
        image[int(rng.integers(0, 30)) :: int(rng.integers(30, 60))] *= 0.4
    elif kind == 2:
        image += (
            np.array([0, 25, 0], np.float32)
            + 60 * cv2.blur(rng.standard_normal((SIZE, SIZE), np.float32), (2, 9))[..., None]
        )
    else:
        image += 45 * cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE), np.float32), (0, 0), 1.3)[..., None]
    for _ in range(rng.integers(0, 5)):
        found = blob(rng, 4, 22) if rng.random() < 0.6 else line(rng, 2, 6)
        image[found] = rng.uniform(40, 220, 3) + 5 * rng.normal(size=(int(found.sum()), 1))
    return image.astype(np.float32)


def _bed(rng: Rng) -> Region:
    """An uneven region of a fifth to two thirds of the image, often cut by its edge."""
    radius = rng.uniform(0.28, 0.5) * SIZE
    centre = rng.uniform(0.3, 0.7, 2) * SIZE
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = rng.uniform(0.35, 1)  # from an oval to a box
    x, y = np.cos(turns + 0.01), np.sin(turns + 0.01)
    ring = np.stack([np.sign(x) * abs(x) ** power * rng.uniform(0.8, 1.4), np.sign(y) * abs(y) ** power], 1)
    uneven = 1 + rng.uniform(0.01, 0.07) * rng.normal(size=(40, 1))
    turned = rng.uniform(-0.5, 0.5)
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    return filled(centre + radius * (ring * uneven) @ turn)


def _clods(rng: Rng, colour: NDArray[Any]) -> Picture:
    """Crumbs of all sizes, light above and dark below."""
    height = sum(
        (
            scale * cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE), np.float32), (0, 0), scale)
            for scale in (1.2, 2.5, 5)
        ),
        np.zeros((SIZE, SIZE), np.float32),
    )
    slope = height - np.roll(height, 2, axis=0)
    image = colour * rng.uniform(0.7, 1.2) + 45 * slope[..., None] + 14 * height[..., None]
    return image.astype(np.float32)


def _put(image: Picture, mask: NDArray[np.uint8], index: int, found: Region, colour: NDArray[Any]) -> None:
    """Cover a region with a colour, and the soil below it with a shadow."""
    shadow = np.roll(found, (3, 2), axis=(0, 1)) & ~found
    image[shadow] *= 0.65
    depth = cv2.distanceTransform(found.astype(np.uint8), cv2.DIST_L2, 3)[found]
    light = 0.65 + 0.35 * np.minimum(1, depth / max(2.0, float(depth.max(initial=0.0))))
    image[found] = colour * light[:, None]
    mask[found] = index


def _plant(rng: Rng, image: Picture, mask: NDArray[np.uint8], index: int, centre: NDArray[np.float64]) -> None:
    """A rosette of pointed leaves, green to red."""
    size, leaves = rng.uniform(9, 30), int(rng.integers(4, 9))
    colour = np.array([[70, 130, 50], [110, 150, 60], [45, 95, 60], [120, 60, 75]][rng.integers(4)]) + rng.normal(
        0, 12, 3
    )
    for turned in np.linspace(0, 2 * np.pi, leaves, endpoint=False) + rng.uniform(0, 6):
        along = np.array([np.cos(turned), np.sin(turned)])
        side = np.array([-along[1], along[0]])
        long, wide = size * rng.uniform(0.7, 1.1), size * rng.uniform(0.15, 0.3)
        ends = np.array([0 * along, 0.45 * long * along + wide * side, long * along, 0.45 * long * along - wide * side])
        _put(image, mask, index, filled(centre + ends), colour + rng.normal(0, 8))


def _stone(rng: Rng, image: Picture, mask: NDArray[np.uint8], index: int, centre: NDArray[np.float64]) -> None:
    """A rounded polygon, grey to brown."""
    turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(6, 10))))
    size = rng.uniform(6, 24)
    ring = np.stack([size * rng.uniform(0.8, 1.3) * np.cos(turns), size * np.sin(turns)], 1)
    drawn = cv2.blur(filled(centre + ring).astype(np.float32), (5, 5)) > 0.5
    colour = np.array([130, 125, 120]) * rng.uniform(0.6, 1.5) + rng.normal(0, 10, 3)
    if drawn.any():
        _put(image, mask, index, drawn, colour)


def _root(rng: Rng, image: Picture, mask: NDArray[np.uint8], index: int, centre: NDArray[np.float64]) -> None:
    """A bent, forked strand."""
    drawn, turned = empty(), rng.uniform(0, 2 * np.pi)
    for width in (rng.integers(3, 7), rng.integers(2, 4)):
        point, heading, points = centre.copy(), turned + rng.normal(0, 0.8), []
        for _ in range(int(rng.integers(6, 14))):
            points.append(point)
            heading += 0.45 * rng.normal()
            point = point + 7 * np.array([np.cos(heading), np.sin(heading)])
        cv2.polylines(drawn, [np.array(points).astype(np.int32)], False, 1, int(width))
    colour = np.array([[170, 140, 105], [215, 195, 165], [110, 80, 60]][rng.integers(3)]) + rng.normal(0, 10, 3)
    _put(image, mask, index, drawn > 0, colour)


def _fungus(rng: Rng, image: Picture, mask: NDArray[np.uint8], index: int, centre: NDArray[np.float64]) -> None:
    """A cap on a stalk, seen from the side."""
    size, lean = rng.uniform(7, 20), rng.normal(0, 0.25)
    foot = centre + size * np.array([1.6 * lean, 1.5])
    top, low = np.array([0.28 * size, 0]), np.array([0.33 * size, 0])
    stalk = np.stack([centre - top, centre + top, foot + low, foot - low])
    pale = np.array([225, 215, 195]) * rng.uniform(0.75, 1.05)
    _put(image, mask, index, filled(stalk), pale)
    turns = np.linspace(np.pi, 2 * np.pi, 20)
    cap = centre + size * np.stack(
        [np.cos(turns) * rng.uniform(1, 1.4), np.sin(turns) * rng.uniform(0.6, 1.2) + 0.15], 1
    )
    colour = [[170, 50, 40], [190, 150, 100], [230, 220, 205], [110, 80, 65]][rng.integers(4)]
    _put(image, mask, index, filled(cap), np.array(colour) + rng.normal(0, 12, 3))


def _ground(rng: Rng) -> Picture:
    """Cloth, boards, stone or paint with scratches, (480, 640, 3), of any colour."""
    height, width = SMALL_SIZE
    grain = rng.standard_normal(SMALL_SIZE, np.float32)
    kind = int(rng.integers(4))
    if kind == 0:
        rows, columns = np.arange(height)[:, None], np.arange(width)[None]
        step = 2 * np.pi / rng.uniform(4, 9)
        rough = 12 * np.sin(step * columns) * np.sin(step * rows) + 5 * grain
    elif kind == 1:
        rough = 60 * cv2.blur(grain, (61, 1)) + 30 * cv2.blur(grain, (15, 3))
    elif kind == 2:
        rough = 50 * cv2.GaussianBlur(grain, (0, 0), 2) + 90 * cv2.GaussianBlur(grain[::-1], (0, 0), 5)
    else:
        rough = 5 * grain
        for _ in range(int(rng.integers(5, 30))):
            ends = np.concatenate([rng.uniform(0, width, 2), rng.uniform(0, height, 2)]).astype(int).tolist()
            cv2.line(rough, (ends[0], ends[2]), (ends[1], ends[3]), float(rng.uniform(-25, 25)), 1)
    uneven = cv2.resize(rng.standard_normal((6, 8), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    tint = rng.normal(0, 18, 3) if rng.random() < 0.6 else rng.normal(0, 50, 3)
    return np.asarray(rng.uniform(70, 190) + tint + (rough + 14 * uneven)[..., None], np.float32)


def _placed(rng: Rng, outlines: list[Outline], area: float) -> Region:
    """The outlines, the first filled and the rest cut out, turned and put somewhere, with an area in pixels."""
    height, width = SMALL_SIZE
    size = 100.0  # drawn large first, to learn how much of a square it fills
    drawn = np.zeros((600, 600), np.uint8)
    for k, outline in enumerate(outlines):
        cv2.fillPoly(drawn, [np.round(300 + size * outline).astype(np.int32)], int(k == 0))
    scale = np.sqrt(area / float(drawn.sum())) * size
    turned = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    reach = scale * max(float(np.abs(outline @ turn).max()) for outline in outlines)
    low, high = min(reach, 0.45 * height), np.array([width, height]) - min(reach, 0.45 * height)
    centre = rng.uniform(low, high)
    fine = 4  # thin parts keep their width
    region = np.zeros((height * fine, width * fine), np.uint8)
    for k, outline in enumerate(outlines):
        cv2.fillPoly(region, [np.round(fine * (centre + scale * outline @ turn)).astype(np.int32)], int(k == 0))
    return cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA) > 0


def _lay(rng: Rng, image: Picture, region: Region) -> None:
    """Lay a thing of any colour, mostly grey, onto the ground, with its shadow."""
    shift = rng.integers(2, 6, 2).tolist()
    image[np.roll(region, shift, axis=(0, 1)) & ~region] *= rng.uniform(0.55, 0.85)
    colour = rng.uniform(60, 220) + rng.normal(0, 10, 3) if rng.random() < 0.6 else rng.uniform(30, 230, 3)
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 3)[region]
    light = 0.75 + 0.35 * depth / max(2.0, float(depth.max(initial=0.0)))
    image[region] = colour * light[:, None]


def _ring(corners: int, *, power: float = 1) -> Outline:
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(turns), power * np.sin(turns)], 1)


def _band(points: Outline, width: float) -> Outline:
    """The outline of a stroke through points."""
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(1e-6, np.hypot(*along.T))[:, None]
    return np.concatenate([points + width * normal, (points - width * normal)[::-1]])


def _nut(rng: Rng) -> list[Outline]:
    return [_ring(6), rng.uniform(0.4, 0.6) * _ring(30)]


def _washer(rng: Rng) -> list[Outline]:
    return [_ring(60), rng.uniform(0.45, 0.75) * _ring(40)]


def _screw(rng: Rng) -> list[Outline]:
    wide, head = rng.uniform(0.1, 0.17), rng.uniform(0.24, 0.36)
    tip = np.array([[1, 0], [0.8, wide]])
    thread = [[x, wide + (0.035 if k % 2 else -0.02)] for k, x in enumerate(np.linspace(0.78, -0.5, 18).tolist())]
    half = np.concatenate([tip, thread, [[-0.55, wide], [-0.62, head], [-0.85, head]]])
    return [np.concatenate([half, (half * [1, -1])[::-1]])]


def _spring(rng: Rng) -> list[Outline]:
    x = np.linspace(-1, 1, 120)
    return [_band(np.stack([x, rng.uniform(0.25, 0.45) * np.sin(np.pi * rng.integers(4, 8) * x)], 1), 0.05)]


def _clip(rng: Rng) -> list[Outline]:
    """A paper clip: a strand that turns three times."""
    short = rng.uniform(0.5, 0.7)

    def bend(x: float, y: float, radius: float, first: float, last: float) -> Outline:
        turns = np.linspace(first, last, 14)
        return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1)

    half = np.pi / 2
    strand = [
        np.array([[-0.6, 0.3]]),
        bend(0.7, 0, 0.3, half, -half),
        bend(-0.7, -0.05, 0.25, -half, -3 * half),
        bend(short - 0.1, 0.0, 0.2, half, -half),
        np.array([[-0.4, -0.2]]),
    ]
    return [_band(np.concatenate(strand), 0.045)]


def _coin(rng: Rng) -> list[Outline]:
    return [_ring(60, power=rng.uniform(0.7, 1))]


def _bar(rng: Rng) -> list[Outline]:
    wide = rng.uniform(0.06, 0.35)
    return [np.array([[-1, -wide], [1, -wide], [1, wide], [-1, wide]])]


def _flake(rng: Rng) -> list[Outline]:
    return [_ring(int(rng.integers(3, 6))) * rng.uniform(0.5, 1, 2)]


def _wire(rng: Rng) -> list[Outline]:
    x = np.linspace(-1, 1, 60)
    return [_band(np.stack([x, rng.uniform(0.1, 0.4) * np.sin(rng.uniform(1, 4) * x)], 1), 0.045)]


_PARTS: tuple[Callable[[Rng], list[Outline]], ...] = (_nut, _washer, _screw, _spring, _clip)
_OTHERS: tuple[Callable[[Rng], list[Outline]], ...] = (_coin, _bar, _flake, _wire)
