"""Figures made of many classes that lie on and against each other, before clutter of the same fabrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from made_drawing import SIZE, Made, Picture, Region, Rng

FIGURE_NAMES = ("skin", "hair", "shirt", "trousers", "skirt", "shoes", "hat", "bag")
SKIN, HAIR, SHIRT, TROUSERS, SKIRT, SHOES, HAT, BAG = range(1, 9)

Point = NDArray[Any]

_FINE = 2  # images are drawn so many times as large
_SIDE = _FINE * SIZE
_ROWS, _COLUMNS = np.arange(SIZE, dtype=np.float32)[:, None], np.arange(SIZE, dtype=np.float32)[None]
_SKINS = ((238, 205, 180), (225, 180, 150), (196, 146, 110), (150, 100, 70), (95, 65, 50))


def figures(rng: Rng) -> Made:
    """One figure or two, with skin in nine images of ten; else clothes that lie there, or nothing."""
    scene = Scene(_room(rng))
    kind = rng.random()
    if kind < 0.92:
        for _ in range(1 + int(rng.random() < 0.2)):
            _dress(rng, scene, _pose(rng))
    elif kind < 0.97:
        _lay_out(rng, scene)
    if rng.random() < 0.25:  # something stands before it all
        scene.put(0, scene.box(rng, 20, 90), fabric(rng))
    return scene.done(rng)


@dataclass
class Scene:
    """An image and its mask, drawn `_FINE` times as large as they come out."""

    image: Picture
    mask: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((_SIDE, _SIDE), np.uint8))

    def put(self, index: int, region: Region, texture: Picture) -> None:
        """Cover a region with a texture, darker towards its edge as a round thing is."""
        depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 3)[region]
        light = 0.7 + 0.3 * np.minimum(1, depth / max(4.0, 0.8 * float(depth.max(initial=0.0))))
        self.image[region] = texture[region] * light[:, None]
        self.mask[region] = index

    @staticmethod
    def box(rng: Rng, least: float, most: float) -> Region:
        """A turned box with sides between the two, in pixels of the image that comes out."""
        centre, sides = rng.uniform(0, _SIDE, 2), _FINE * rng.uniform(least, most, 2)
        return polygon(cv2.boxPoints((centre.tolist(), sides.tolist(), float(rng.uniform(-20, 20)))))

    def done(self, rng: Rng) -> Made:
        """Image and mask at their size, in uneven light."""
        rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
        light = 1 + rng.uniform(-0.35, 0.35) * columns + rng.uniform(-0.35, 0.35) * rows
        image = cv2.resize(self.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) * light[..., None]
        image += 4 * rng.normal(size=image.shape)
        return image.astype(np.float32), self.mask[::_FINE, ::_FINE].copy()


@dataclass(frozen=True)
class Figure:
    """Joints of a figure in pixels of the canvas.

    Attributes:
        unit: its height.
        up: direction from pelvis to head.
        neck, pelvis, head: points (x, y).
        arms, legs: (shoulder, elbow, hand) and (hip, knee, foot) of both sides.
    """

    unit: float
    up: Point
    neck: Point
    pelvis: Point
    head: Point
    arms: Sequence[tuple[Point, Point, Point]]
    legs: Sequence[tuple[Point, Point, Point]]

    @property
    def across(self) -> Point:
        """Direction to the figure's side."""
        return np.array([-self.up[1], self.up[0]])

    def at(self, origin: Point, across: float, up: float) -> Point:
        """A point so many heights beside and above another one."""
        return origin + self.unit * (across * self.across + up * self.up)


def _pose(rng: Rng) -> Figure:
    """A figure of any size and place; of large ones a part lies outside."""
    unit = _SIDE * float(rng.uniform(0.5, 1.5))
    lean = np.radians(rng.normal(0, 12))
    up = np.array([np.sin(lean), -np.cos(lean)])
    across = np.array([-up[1], up[0]])
    middle = 0.5 if unit < 0.9 * _SIDE else 0.5 + 0.28 * (unit / _SIDE - 0.7)  # of large ones the head is seen
    pelvis = _SIDE * np.array([rng.uniform(0.25, 0.75), rng.normal(middle, 0.06)])
    neck = pelvis + 0.31 * unit * up

    def limb(start: Point, turned: float, bent: float, first: float, second: float) -> tuple[Point, Point, Point]:
        def along(angle: float) -> Point:
            return np.array(np.sin(angle) * across - np.cos(angle) * up)

        joint = start + first * unit * along(turned)
        return start, joint, joint + second * unit * along(turned + bent)

    arms, legs = [], []
    for side in (-1, 1):
        turned = np.radians(abs(rng.normal(15, 35)))
        bent = np.radians(rng.uniform(-20, 110))
        arms.append(limb(neck + side * 0.1 * unit * across - 0.02 * unit * up, side * turned, side * bent, 0.155, 0.15))
        turned, bent = np.radians(rng.normal(9, 14)), np.radians(rng.normal(-8, 16))
        legs.append(limb(pelvis + side * 0.052 * unit * across, side * turned, side * bent, 0.235, 0.23))
    head = neck + unit * (0.1 * up + rng.normal(0, 0.008) * across)
    return Figure(unit, up, neck, pelvis, head, arms, legs)


def _dress(rng: Rng, scene: Scene, body: Figure) -> None:
    """Draw a figure: skin, and over it what it wears."""
    unit, worn = body.unit, rng.random(7)
    bag_behind = rng.random() < 0.4
    if worn[6] < 0.4 and bag_behind:
        scene.put(BAG, _outline(body, body.neck, _BACKPACK), fabric(rng))
    _skin(rng, scene, body)
    if worn[2] < 0.6:
        leather, high = flat(rng, rng.uniform(10, 230, 3), 6), rng.uniform(0.02, 0.3)
        for _, knee, foot in body.legs:
            toe = foot + unit * (0.045 * np.sign(rng.normal()) * body.across - 0.012 * body.up)
            shaft = capsule(foot, foot + high * (knee - foot), 0.024 * unit, 0.024 * unit, round_end=False)
            scene.put(SHOES, shaft | capsule(foot, toe, 0.024 * unit, 0.019 * unit), leather)
    over = rng.random() < 0.5  # the shirt hangs over what is below
    for below in (True, False) if over else (False, True):
        if below and worn[0] < 0.5:
            _trousers(rng, scene, body)
        elif below and worn[0] < 0.75:
            flare, length = rng.uniform(0.1, 0.22), rng.uniform(0.16, 0.42)
            hem = ((-0.075, 0.03), (0.075, 0.03), (flare, -length), (-flare, -length - rng.uniform(-0.02, 0.02)))
            scene.put(SKIRT, _outline(body, body.pelvis, hem), fabric(rng))
        elif not below and worn[1] < 0.7:
            _shirt(rng, scene, body)
    if worn[4] < 0.75:
        _hair(rng, scene, body)
    if worn[5] < 0.35:
        _hat(rng, scene, body)
    if worn[6] < 0.4 and not bag_behind:
        _bag(rng, scene, body)


def _skin(rng: Rng, scene: Scene, body: Figure) -> None:
    unit = body.unit
    tone = np.array(_SKINS[rng.integers(len(_SKINS))]) + rng.normal(0, 8, 3)
    texture = flat(rng, tone, 5)
    for hip, knee, foot in body.legs:
        scene.put(
            SKIN,
            capsule(hip, knee, 0.045 * unit, 0.033 * unit) | capsule(knee, foot, 0.033 * unit, 0.02 * unit),
            texture,
        )
    trunk = ((-0.1, 0), (0.1, 0), (0.078, -0.18), (0.085, -0.34), (-0.085, -0.34), (-0.078, -0.18))
    scene.put(SKIN, _outline(body, body.neck, trunk), texture)
    for shoulder, elbow, hand in body.arms:
        palm = capsule(hand, hand, 0.024 * unit, 0.024 * unit)
        arm = capsule(shoulder, elbow, 0.03 * unit, 0.023 * unit) | capsule(elbow, hand, 0.023 * unit, 0.017 * unit)
        scene.put(SKIN, arm | palm, texture)
    face = _disc(body.head, 0.052 * unit, 0.068 * unit, body.up)
    scene.put(SKIN, capsule(body.neck, body.head, 0.03 * unit, 0.03 * unit) | face, texture)
    for side in (-1, 1):  # eyes and mouth belong to the skin
        scene.put(
            SKIN, _disc(body.at(body.head, side * 0.02, 0.01), 0.006 * unit, 0.005 * unit, body.up), 0.3 * texture
        )
    mouth = body.at(body.head, 0, -0.033)
    scene.put(SKIN, _disc(mouth, 0.017 * unit, 0.005 * unit, body.up), texture * np.array([0.85, 0.5, 0.5], np.float32))


def _trousers(rng: Rng, scene: Scene, body: Figure) -> None:
    unit, length, wide = body.unit, rng.uniform(0.3, 1), rng.uniform(0.024, 0.05)
    region = _outline(body, body.pelvis, ((-0.085, 0.03), (0.085, 0.03), (0.095, -0.05), (-0.095, -0.05)))
    for hip, knee, foot in body.legs:
        region |= capsule(hip, knee, 0.053 * unit, 0.042 * unit)
        if length > 0.5:
            end = knee + (2 * length - 1.05) * (foot - knee)
            region |= capsule(knee, end, 0.042 * unit, wide * unit, round_end=False)
    scene.put(TROUSERS, region, fabric(rng))


def _shirt(rng: Rng, scene: Scene, body: Figure) -> None:
    unit, length, hem = body.unit, rng.uniform(0, 1), rng.uniform(0.28, 0.42)
    trunk = ((-0.05, 0.012), (0.05, 0.012), (0.112, -0.015), (0.092, -0.18), (0.1, -hem), (-0.1, -hem), (-0.092, -0.18))
    region = _outline(body, body.neck, (*trunk, (-0.112, -0.015)))
    for shoulder, elbow, hand in body.arms:
        if length > 0.2:
            region |= capsule(shoulder, elbow, 0.041 * unit, 0.034 * unit, round_end=length > 0.5)
        if length > 0.5:
            region |= capsule(
                elbow, elbow + (1.9 * length - 0.95) * (hand - elbow), 0.033 * unit, 0.026 * unit, round_end=False
            )
    scene.put(SHIRT, region, fabric(rng))


def _hair(rng: Rng, scene: Scene, body: Figure) -> None:
    unit = body.unit
    colour = np.array([[30, 25, 20], [95, 60, 35], [205, 170, 100], [160, 80, 45], [150, 150, 155]][rng.integers(5)])
    cap = _disc(body.at(body.head, 0, 0.02), 0.062 * unit, 0.066 * unit, body.up)
    face = _disc(body.at(body.head, rng.uniform(-0.012, 0.012), -0.018), 0.043 * unit, 0.062 * unit, body.up)
    length = rng.uniform(-0.02, 0.2)
    if length > 0.03:
        for side in (-1, 1):
            strand = body.at(body.head, side * 0.052, 0.02)
            cap |= capsule(strand, body.at(strand, side * rng.uniform(0, 0.03), -length), 0.02 * unit, 0.024 * unit)
    scene.put(HAIR, cap & ~face, _strands(rng, colour + rng.normal(0, 10, 3)))


def _hat(rng: Rng, scene: Scene, body: Figure) -> None:
    brim, high, narrow = rng.uniform(0.055, 0.14), rng.uniform(0.04, 0.11), rng.uniform(0.03, 0.062)
    crown = ((-0.062, 0.03), (0.062, 0.03), (narrow, 0.03 + high), (-narrow, 0.03 + high))
    region = _outline(body, body.head, crown)
    region |= _disc(body.at(body.head, rng.uniform(-0.03, 0.03), 0.033), brim * body.unit, 0.013 * body.unit, body.up)
    scene.put(HAT, region, fabric(rng))


def _bag(rng: Rng, scene: Scene, body: Figure) -> None:
    """A bag that hangs from a hand, or beside the hip on a strap."""
    unit, texture = body.unit, fabric(rng)
    side = int(rng.integers(2))
    wide, high = rng.uniform(0.04, 0.08), rng.uniform(0.08, 0.16)
    if rng.random() < 0.5:
        top = body.arms[side][2] + np.array([0, 0.05 * unit])
        half = np.array([0.6 * wide * unit, 0])
        strap = [top - half, body.arms[side][2], top + half]
    else:
        top = body.at(body.pelvis, (-1, 1)[side] * 0.12, 0.03)
        strap = [top, body.at(body.neck, (1, -1)[side] * 0.07, 0)]
    drawn = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.polylines(drawn, [np.array(strap).astype(np.int32)], False, 1, max(2, int(0.012 * unit)))
    corners = np.array([[-0.8 * wide, 0], [0.8 * wide, 0], [wide, high], [-wide, high]])
    scene.put(BAG, (drawn > 0) | polygon(top + unit * corners), texture)


_BACKPACK = ((-0.16, 0.0), (0.16, 0.0), (0.17, -0.26), (-0.17, -0.26))


def _lay_out(rng: Rng, scene: Scene) -> None:
    """Clothes without a figure, each laid down by itself."""
    garments = (_shirt, _trousers, _hat, _bag)
    for chosen in rng.permutation(len(garments))[: rng.integers(1, 4)].tolist():
        garments[chosen](rng, scene, _pose(rng))


def _room(rng: Rng) -> Picture:
    """A wall, perhaps a floor, and boxes, blots and bars of the same fabrics and colours as figures have."""
    image = fabric(rng, calm=True)
    if rng.random() < 0.6:
        line = int(_SIDE * rng.uniform(0.55, 0.9))
        image[line:] = fabric(rng, calm=True)[line:]
    scene = Scene(image)
    for _ in range(rng.integers(2, 8)):
        kind = rng.random()
        texture = fabric(rng) if rng.random() < 0.75 else flat(rng, np.array(_SKINS[rng.integers(len(_SKINS))]), 6)
        if kind < 0.5:
            region = Scene.box(rng, 15, 110)
        elif kind < 0.8:
            ends = rng.uniform(0, _SIDE, (2, 2))
            region = capsule(ends[0], ends[0] + 0.5 * (ends[1] - ends[0]), *(_FINE * rng.uniform(3, 16, 2)).tolist())
        else:
            wide, high = (_FINE * rng.uniform(8, 45, 2)).tolist()
            region = _disc(rng.uniform(0, _SIDE, 2), wide, high, np.array([0.0, -1.0]))
        scene.put(0, region, texture)
    return scene.image


def fabric(rng: Rng, *, calm: bool = False) -> Picture:
    """A woven or printed ground that fills the canvas; calm ones, of walls, differ less in themselves."""
    colour = rng.uniform(15, 240, 3)
    other = colour + rng.normal(0, 25, 3) if calm else rng.uniform(15, 240, 3)
    kind, turned, share = rng.random(), rng.uniform(0, np.pi), rng.uniform(-0.5, 0.7)
    step = 2 * np.pi / rng.uniform(3, 14)
    if kind > 0.6:
        return flat(rng, colour, 4)
    along = np.sin(step * (np.cos(turned) * _COLUMNS + np.sin(turned) * _ROWS))
    over = np.sin(step * (np.cos(turned) * _ROWS - np.sin(turned) * _COLUMNS))
    if kind < 0.25:
        pattern = along > share
    elif kind < 0.4:
        pattern = (along > 0.3) ^ (over > 0.3)
    elif kind < 0.5:
        pattern = along * over > 0.4
    else:
        pattern = _noise(rng, 6) > 0.5
    return flat(rng, np.where(pattern[..., None], other, colour), 4)


def flat(rng: Rng, colour: NDArray[Any], grain: float) -> Picture:
    """Colours (3,) or (SIZE, SIZE, 3) with folds and grain, on the canvas."""
    shade = grain * rng.standard_normal((SIZE, SIZE), np.float32) + rng.uniform(4, 16) * _noise(rng, 12)
    return _enlarged(shade[..., None] + colour)


def _strands(rng: Rng, colour: NDArray[Any]) -> Picture:
    """Hair that hangs down."""
    grain = cv2.blur(rng.standard_normal((SIZE, SIZE), np.float32), (1, 12))
    return _enlarged(60 * grain[..., None] + colour)


def _noise(rng: Rng, cells: int) -> NDArray[Any]:
    """Smooth noise (SIZE, SIZE) of so many humps a side."""
    return cv2.resize(rng.standard_normal((cells, cells), np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _enlarged(image: NDArray[Any]) -> Picture:
    return np.asarray(cv2.resize(image.astype(np.float32), (_SIDE, _SIDE)), np.float32)


def polygon(outline: NDArray[Any]) -> Region:
    """The pixels of the canvas inside an outline (N, 2)."""
    drawn = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillPoly(drawn, [np.round(outline).astype(np.int32)], 1)
    return drawn > 0


def capsule(start: Point, end: Point, first: float, last: float, *, round_end: bool = True) -> Region:
    """A limb from one point to another, with the radii at its ends."""
    along = end - start
    normal = np.array([-along[1], along[0]]) / max(1e-6, float(np.hypot(*along)))
    sides = np.array([start + first * normal, end + last * normal, end - last * normal, start - first * normal])
    drawn = polygon(sides).astype(np.uint8)
    for centre, radius, rounded in ((start, first, True), (end, last, round_end)):
        if rounded:
            cv2.circle(drawn, np.round(centre).astype(int).tolist(), max(1, round(radius)), 1, -1)
    return drawn > 0


def _disc(centre: Point, wide: float, high: float, up: Point) -> Region:
    """An ellipse whose height lies along a direction."""
    drawn = np.zeros((_SIDE, _SIDE), np.uint8)
    turned = float(np.degrees(np.arctan2(up[0], -up[1])))
    axes = (max(1, round(wide)), max(1, round(high)))
    cv2.ellipse(drawn, np.round(centre).astype(int).tolist(), axes, turned, 0, 360, 1, -1)
    return drawn > 0


def _outline(body: Figure, origin: Point, points: Sequence[tuple[float, float]]) -> Region:
    """A polygon by points so many heights beside and above an origin of the figure."""
    return polygon(np.array([body.at(origin, across, up) for across, up in points]))
