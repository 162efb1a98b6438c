"""Datasets made by a seed, of kinds that people bring: defects, tissue, leaves, aerial images, clothing, small parts.

    python benchmarks/made_collections.py OUT [--kind tissue]... [--train 240] [--val 80]

writes each into OUT/KIND with `train` and `val` (`images`, `masks`, `tags.csv`) and `classes.txt`. They are simple;
what they share with the real thing is how large, how frequent and how distinct things are.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from made_drawing import SIZE, Made, Rng, blob, clouds, cluttered, empty, filled, line, nuclei, plain, point, surface
from made_figures import FIGURE_NAMES, figures
from made_scenes import EVERYWHERE_NAMES, SMALL_NAMES, everywhere, small_objects


def rare_defects(rng: Rng) -> Made:
    """Grey surface, two thirds without a defect; else small pits or thin scratches. Seams and stains mean nothing."""
    image, mask = surface(rng), empty()
    if rng.random() < 0.5:
        row = int(rng.uniform(20, SIZE - 20))
        image[row : row + int(rng.uniform(6, 20))] += rng.uniform(-30, 30)
    for _ in range(rng.integers(0, 4)):
        image[blob(rng, 3, 10)] += rng.choice([-1, 1]) * rng.uniform(10, 25)
    kind = rng.random()
    if kind < 0.18:
        for _ in range(rng.integers(1, 3)):
            found = blob(rng, 5, 10)
            image[found] = image[found] * 0.3 + 20 + 25 * rng.random((found.sum(), 1))
            mask[found] = 1
    elif kind < 0.36:
        found = line(rng, 2, 4)
        image[found] += 70
        mask[found] = 2
    return image, mask


def surface_defects(rng: Rng) -> Made:
    """Grey surface, a defect in every image, of one or two of three kinds."""
    image, mask = surface(rng), empty()
    for kind in rng.choice(3, rng.integers(1, 3), replace=False).tolist():
        for _ in range(rng.integers(1, 4)):
            if kind == 0:
                found = blob(rng, 10, 33)
                image[found] -= rng.uniform(25, 50)
            elif kind == 1:
                found = line(rng, 2, 6)
                image[found] += rng.uniform(40, 70)
            else:
                found = blob(rng, 15, 30)
                image[found] += 45 * rng.normal(size=(found.sum(), 1))
            mask[found] = kind + 1
    return image, mask


def one_class(rng: Rng) -> Made:
    """Grey surface with one to three stains; no image without."""
    image, mask = surface(rng), empty()
    for _ in range(rng.integers(1, 4)):
        found = blob(rng, 10, 30)
        image[found] -= rng.uniform(35, 60)
        mask[found] = 1
    return image, mask


def leaves(rng: Rng) -> Made:
    """A leaf on plain ground; spots of two diseases on less than two thirds of them."""
    image, mask = plain(rng), empty()
    leaf = empty()
    centre = SIZE / 2 + rng.uniform(-20, 20, 2)
    axes = (int(rng.uniform(80, 115)), int(rng.uniform(40, 75)))
    cv2.ellipse(leaf, point(centre), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    inside = leaf > 0
    shade = 8 * rng.normal(size=(inside.sum(), 1)) + 12 * clouds(rng, 16)[inside][:, None]
    image[inside] = np.array([40, rng.uniform(100, 150), 50]) + shade
    for index, colour in enumerate(([120, 80, 40], [190, 180, 90])):
        if rng.random() < 0.4:
            for _ in range(rng.integers(3, 9)):
                found = blob(rng, 5, 13) & inside
                image[found] = np.array(colour) + 12 * rng.normal(size=(found.sum(), 1))
                mask[found] = index + 1
    return image, mask


def tissue(rng: Rng) -> Made:
    """Stained tissue: dense nuclei, and glands with a pale inside."""
    image = np.array([225, 175, 205], np.float32) + 6 * rng.normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    image += np.array([6, 10, 6], np.float32) * clouds(rng, 40)[..., None]
    mask = empty()
    nuclei(rng, image, np.ones((SIZE, SIZE), bool), 0.0015)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 3)):
            found = blob(rng, 35, 60)
            mask[found] = 1
            nuclei(rng, image, found, 0.03)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            found = blob(rng, 22, 40)
            mask[found] = 2
            image[found] = [240, 235, 240]
            inner = cv2.erode(found.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            nuclei(rng, image, found & ~inner, 0.05)
    return image, mask


def aerial(rng: Rng) -> Made:
    """Ground from above with buildings, trees and a road."""
    image, mask = plain(rng, [[95, 115, 70], [150, 140, 110], [110, 110, 100]][rng.integers(3)]), empty()
    if rng.random() < 0.5:
        turned = float(rng.uniform(0, 90))
        for _ in range(rng.integers(2, 6)):
            centre, sides = rng.uniform(30, SIZE - 30, 2), rng.uniform(18, 45, 2)
            box = cv2.boxPoints((centre.tolist(), sides.tolist(), turned))
            image[filled(box + 5)] *= 0.6
            found = filled(box)
            roof = [[170, 80, 60], [190, 190, 190], [120, 120, 130]][rng.integers(3)]
            image[found] = np.array(roof) + 4 * rng.normal(size=(found.sum(), 1))
            mask[found] = 1
    if rng.random() < 0.5:
        for _ in range(rng.integers(3, 12)):
            found = blob(rng, 8, 18)
            image[found] = np.array([40, 75, 40]) + 18 * rng.normal(size=(found.sum(), 1))
            mask[found] = 2
    if rng.random() < 0.4:
        found = line(rng, 10, 18)
        image[found] = np.array([90, 90, 95]) + 4 * rng.normal(size=(found.sum(), 1))
        mask[found] = 3
    return image, mask


def clothing(rng: Rng) -> Made:
    """A person with skin in 97 % of the images, who may wear a shirt, trousers and a hat."""
    image, mask = plain(rng), empty()
    for _ in range(rng.integers(0, 4)):
        row, column, height, width = rng.integers(0, SIZE, 2).tolist() + rng.integers(20, 80, 2).tolist()
        image[row : row + height, column : column + width] = rng.uniform(30, 240, 3)
    centre, scale, top = SIZE / 2 + rng.uniform(-30, 30), rng.uniform(0.8, 1.1), rng.uniform(10, 30)
    rows, columns = np.mgrid[:SIZE, :SIZE]

    def put(index: int, colour: NDArray[np.float64], *outlines: list[tuple[float, float]], stripes: float = 0) -> None:
        for outline in outlines:
            found = filled(np.array(outline) * scale + [centre, top])
            image[found] = colour + 5 * rng.normal(size=(found.sum(), 1))
            if stripes:
                image[found] += 20 * np.sin((columns + rows * (index == 3)) / stripes)[found][:, None]
            mask[found] = index

    def both(*outline: tuple[float, float]) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        return list(outline), [(-x, y) for x, y in outline]

    if rng.random() < 0.97:
        turns = np.linspace(0, 2 * np.pi, 20)
        head = [(20 * np.cos(turn), 35 + 24 * np.sin(turn)) for turn in turns.tolist()]
        arms, legs = both((28, 70), (38, 72), (48, 125), (40, 128)), both((4, 130), (20, 130), (18, 205), (6, 205))
        body = [(-25.0, 68.0), (25.0, 68.0), (22.0, 135.0), (-22.0, 135.0)]
        skin = np.array([[225, 180, 150], [150, 100, 70], [240, 200, 175]][rng.integers(3)], float)
        put(1, skin, head, [(-8, 55), (8, 55), (8, 75), (-8, 75)], *arms, body, *legs)
    if rng.random() < 0.6:
        sleeves = both((28, 68), (38, 72), (42, 98), (34, 100))
        put(2, rng.uniform(30, 230, 3), [(-30, 66), (30, 66), (26, 132), (-26, 132)], *sleeves, stripes=2.5)
    if rng.random() < 0.55:
        put(3, rng.uniform(20, 160, 3), *both((1, 128), (24, 128), (22, 190), (5, 190)), stripes=1.8)
    if rng.random() < 0.35:
        put(4, rng.uniform(20, 230, 3), [(-30, 20), (30, 20), (18, 14), (15, -2), (-15, -2), (-18, 14)])
    return image, mask


def shapes(rng: Rng) -> Made:
    """Stars, triangles and rings of any colour before blots and strokes of any colour."""
    image, mask = cluttered(rng), empty()
    for kind in rng.choice(3, rng.integers(0, 3), replace=False).tolist():
        radius = rng.uniform(28, 55)
        centre, turned = rng.uniform(radius, SIZE - radius, 2), rng.uniform(0, 6)
        drawn = empty()
        if kind == 2:
            cv2.circle(drawn, point(centre), int(radius), 1, -1)
            cv2.circle(drawn, point(centre), int(radius / 2), 0, -1)
        else:
            turns = np.linspace(0, 2 * np.pi, 40 if kind == 0 else 3, endpoint=False)
            lengths = np.where(np.arange(40) % 8 < 4, 1, 0.45) if kind == 0 else np.ones(3)
            ring = np.stack([lengths * np.cos(turns + turned), lengths * np.sin(turns + turned)], 1)
            cv2.fillPoly(drawn, [(centre + radius * ring).astype(np.int32)], 1)
        found = drawn > 0
        image[found] = rng.uniform(20, 235, 3) + 8 * rng.normal(size=(found.sum(), 1))
        mask[found] = kind + 1
    return image, mask


KINDS: dict[str, tuple[Callable[[Rng], Made], tuple[str, ...]]] = {
    "rare_defects": (rare_defects, ("pit", "scratch")),
    "surface_defects": (surface_defects, ("stain", "scratch", "rough")),
    "one_class": (one_class, ("stain",)),
    "leaves": (leaves, ("blight", "mildew")),
    "tissue": (tissue, ("dense", "gland")),
    "aerial": (aerial, ("building", "tree", "road")),
    "clothing": (clothing, ("skin", "shirt", "trousers", "hat")),
    "shapes": (shapes, ("star", "triangle", "ring")),
    "figures": (figures, FIGURE_NAMES),
    "everywhere": (everywhere, EVERYWHERE_NAMES),
    "small_objects": (small_objects, SMALL_NAMES),
}
"""How an image of each kind is made, and the classes."""


def write_collection(kind: str, out: Path, *, train: int = 240, val: int = 80, seed: int = 0) -> Path:
    """Write a dataset into `out`/kind, unless it is there; its folder."""
    make, names = KINDS[kind]
    folder = out / kind
    if (folder / "classes.txt").is_file():
        return folder
    for split, count, first in (("train", train, seed), ("val", val, seed + 1000)):
        rows = [("image", "tags")]
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image, mask = make(np.random.default_rng([first, number]))
            name = f"{number:04}.png"
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / split / "images" / name)
            Image.fromarray(mask).save(folder / split / "masks" / name)
            present = [names[index - 1] for index in np.unique(mask).tolist() if index]
            rows.append((name, " ".join(present) or "none"))
        with (folder / split / "tags.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="repeatable; default: all")
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--val", type=int, default=80)
    args = parser.parse_args()
    for kind in args.kind or KINDS:
        print(write_collection(kind, args.out, train=args.train, val=args.val))


if __name__ == "__main__":
    main()
