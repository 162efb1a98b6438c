"""The demo's collection: generated scenes with tags, and exact masks for scoring.

Five classes (`CLASSES`) stand, several to a picture, among stones, twigs and leaves that belong to
no class. Tags are all that training may use; the masks are known because the scenes are painted.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.constants import BACKGROUND
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.demo.compose import Thing, compose
from tag2mask.demo.grounds import make_clutter
from tag2mask.demo.objects import BUILDERS
from tag2mask.masks import mask_path, write_mask

CLASSES: tuple[str, ...] = tuple(BUILDERS)
"""Class names; the class index in a mask is the place here, from 1."""

SIZES = ((128, 128), (128, 160), (160, 128), (112, 144), (144, 144))
"""(height, width) of the pictures."""

SPLITS = ("train", "val")
"""Splits of the collection, each a folder with `images`, `masks` and `tags.csv`."""

_RECIPE = "recipe.json"
_VERSION = 1  # raise it when the painting changes: an older folder is then painted anew
_MIN_VISIBLE = 0.7
_COMPANIONS = {"bird": "mushroom", "cat": "fish", "fish": "cat", "mushroom": "snail", "snail": "mushroom"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture with what is known of it.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        mask: uint8 (H, W), class index of each pixel, 0 background.
        tags: names of the classes in sight, in the order of `CLASSES`.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    tags: tuple[str, ...]


def make_scene(rng: np.random.Generator, *, size: tuple[int, int] | None = None) -> Scene:
    """Paint one scene of one to three objects of one to three classes.

    Args:
        rng: source of all that varies.
        size: (height, width) in pixels; None draws one of `SIZES`.
    """
    while True:
        shape = size or SIZES[int(rng.integers(len(SIZES)))]
        picture = compose(rng, shape, _draw_things(rng), min_visible=_MIN_VISIBLE)
        tags = tags_of(picture.mask)
        if tags:
            return Scene(picture.image, picture.mask, tags)


def tags_of(mask: NDArray[np.uint8]) -> tuple[str, ...]:
    """Names of the classes in a mask (H, W), in the order of `CLASSES`."""
    return tuple(CLASSES[index - 1] for index in np.unique(mask) if index != BACKGROUND)


def write_collection(folder: Path, *, train: int, val: int, seed: int) -> None:
    """Write the demo's collection: `classes.txt` and, per split, `images`, `tags.csv` and `masks`.

    The same arguments give the same files. What an interrupted run has written is kept; a folder
    painted with another seed is painted anew.

    Args:
        folder: is made where needed.
        train: number of training scenes.
        val: number of validation scenes.
        seed: of the random numbers, 0 or more.

    Raises:
        DataError: the folder holds something else, or cannot be written to.
    """
    counts = {"train": train, "val": val}
    recipe = json.dumps({"version": _VERSION, "seed": seed, **counts})
    if _written_recipe(folder) != recipe:
        _remove_scenes(folder)
        write_text(folder / _RECIPE, recipe + "\n")
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in CLASSES))
    for number, split in enumerate(SPLITS):
        _write_split(folder / split, [(seed, number, index) for index in range(counts[split])])


def _write_split(folder: Path, keys: list[tuple[int, int, int]]) -> None:
    for name in ("images", "masks"):
        make_folder(folder / name)
    names = [f"{key[-1]:04d}.jpg" for key in keys]
    tags = [_write_scene(folder, name, key) for name, key in zip(names, keys, strict=True)]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("image", "tags"))
    writer.writerows((name, " ".join(words)) for name, words in zip(names, tags, strict=True))
    write_text(folder / "tags.csv", table.getvalue())


def _write_scene(folder: Path, name: str, key: tuple[int, int, int]) -> tuple[str, ...]:
    """Write one scene unless it is there, the mask last; return its tags."""
    mask_file = mask_path(folder / "masks", name)
    if mask_file.exists():
        with Image.open(mask_file) as mask:
            return tags_of(np.asarray(mask, np.uint8))
    scene = make_scene(np.random.default_rng(key))
    with atomic_path(folder / "images" / name) as temporary:
        Image.fromarray(scene.image).save(temporary, format="JPEG", quality=93, subsampling=0)
    write_mask(mask_file, scene.mask, classes=len(CLASSES))
    return scene.tags


def _written_recipe(folder: Path) -> str | None:
    recipe = folder / _RECIPE
    return recipe.read_text(encoding="utf-8").strip() if recipe.is_file() else None


def _remove_scenes(folder: Path) -> None:
    """Remove the scenes of another recipe; touch nothing that was not written here."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / _RECIPE).is_file():
        raise DataError(
            f"{folder}: this folder holds other files; give a new or empty folder for the demo's collection"
        )
    for split in SPLITS:
        for pattern in ("images/*.jpg", "masks/*.png"):
            for file in (folder / split).glob(pattern):
                file.unlink()


def _draw_things(rng: np.random.Generator) -> list[Thing]:
    """Draw what a scene holds, far to near: clutter, objects, and a little clutter before them."""
    count = int(rng.choice((1, 2, 3), p=(0.45, 0.4, 0.15)))
    largest = {1: 0.52, 2: 0.42, 3: 0.36}[count]
    objects = [
        Thing(BUILDERS[name](rng), CLASSES.index(name) + 1, rng.uniform(0.68, 1.0) * largest)
        for name in _draw_names(rng, count)
    ]
    behind = [_clutter(rng, 0.08, 0.3) for _ in range(int(rng.integers(1, 6)))]
    before = [_clutter(rng, 0.06, 0.16) for _ in range(int(rng.integers(0, 3)))]
    return [*behind, *objects, *before]


def _draw_names(rng: np.random.Generator, count: int) -> list[str]:
    """Draw classes that prefer company: some are seen together more often than others."""
    names = [CLASSES[int(rng.integers(len(CLASSES)))]]
    while len(names) < count:
        if rng.random() < 0.35:
            names.append(_COMPANIONS[names[-1]])
        else:
            names.append(CLASSES[int(rng.integers(len(CLASSES)))])
    return names


def _clutter(rng: np.random.Generator, smallest: float, largest: float) -> Thing:
    return Thing(make_clutter(rng), BACKGROUND, rng.uniform(smallest, largest))
