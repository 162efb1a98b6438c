"""The demo's dataset: generated scenes with tags, and exact ground truth for evaluation.

Each image shows one to three objects of five classes (`CLASSES`) among stones, twigs and leaves of no class.
Training uses only the tags; the ground truth is known because the images are rendered.
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
from tag2mask.demo.backgrounds import make_clutter
from tag2mask.demo.compose import SceneObject, compose
from tag2mask.demo.objects import BUILDERS
from tag2mask.masks import mask_path, write_mask

CLASSES: tuple[str, ...] = tuple(BUILDERS)
"""Class names in the order of the class indices 1, 2, ..."""

SIZES = ((128, 128), (128, 160), (160, 128), (112, 144), (144, 144))
"""(height, width) of the images."""

SPLITS = ("train", "val")
"""Splits of the dataset, each a folder with `images`, `masks` and `tags.csv`."""

_RECIPE = "recipe.json"
_VERSION = 1  # increase it when rendering changes: the images of an older folder are then replaced
_MIN_VISIBLE = 0.7
_COMPANIONS = {"bird": "mushroom", "cat": "fish", "fish": "cat", "mushroom": "snail", "snail": "mushroom"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One image with its ground truth and tags.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        gt_mask: uint8 (H, W), class index of each pixel, 0 is background.
        tags: names of the classes in the image, in the order of `CLASSES`.
    """

    image: NDArray[np.uint8]
    gt_mask: NDArray[np.uint8]
    tags: tuple[str, ...]


def make_scene(rng: np.random.Generator, *, size: tuple[int, int] | None = None) -> Scene:
    """Render one scene of one to three objects of one to three classes.

    Args:
        rng: random generator; equal seeds give equal scenes.
        size: (height, width) in pixels; None draws one of `SIZES`.
    """
    while True:
        shape = size or SIZES[int(rng.integers(len(SIZES)))]
        rendered = compose(rng, shape, _draw_objects(rng), min_visible=_MIN_VISIBLE)
        tags = tags_of(rendered.gt_mask)
        if tags:
            return Scene(rendered.image, rendered.gt_mask, tags)


def tags_of(gt_mask: NDArray[np.uint8]) -> tuple[str, ...]:
    """Names of the classes in a ground-truth mask, uint8 (H, W), in the order of `CLASSES`."""
    return tuple(CLASSES[index - 1] for index in np.unique(gt_mask) if index != BACKGROUND)


def write_dataset(folder: Path, *, train: int, val: int, seed: int) -> None:
    """Write the demo's dataset: `classes.txt` and, for each split, `images`, `tags.csv` and `masks`.

    Equal arguments give equal files. The files of an interrupted call are kept; those of a call with other arguments
    are replaced.

    Args:
        folder: output folder, created if needed.
        train: number of training images.
        val: number of validation images.
        seed: random seed, at least 0.

    Raises:
        DataError: `folder` contains other files, or cannot be written to.
    """
    counts = {"train": train, "val": val}
    recipe = json.dumps({"version": _VERSION, "seed": seed, **counts})
    if _written_recipe(folder) != recipe:
        _remove_scenes(folder)
        write_text(folder / _RECIPE, recipe + "\n")
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in CLASSES))
    for number, split in enumerate(SPLITS):
        _write_split(folder / split, [(seed, number, index) for index in range(counts[split])])


def write_images(folder: Path, count: int, *, seed: int) -> None:
    """Write images alone, without tags and ground truth: the first training scenes of `write_dataset`.

    Args:
        folder: for the images, created if needed.
        count: number of images.
        seed: random seed, at least 0.

    Raises:
        DataError: the folder cannot be written to.
    """
    make_folder(folder)
    for index in range(count):
        scene = make_scene(np.random.default_rng((seed, 0, index)))
        _write_image(folder / f"{index:04d}.jpg", scene)


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
    """Write one scene unless its mask, which is written last, exists; return its tags."""
    mask_file = mask_path(folder / "masks", name)
    if mask_file.exists():
        with Image.open(mask_file) as mask:
            return tags_of(np.asarray(mask, np.uint8))
    scene = make_scene(np.random.default_rng(key))
    _write_image(folder / "images" / name, scene)
    write_mask(mask_file, scene.gt_mask, classes=len(CLASSES))
    return scene.tags


def _write_image(path: Path, scene: Scene) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(scene.image).save(temporary, format="JPEG", quality=93, subsampling=0)


def _written_recipe(folder: Path) -> str | None:
    recipe = folder / _RECIPE
    return recipe.read_text(encoding="utf-8").strip() if recipe.is_file() else None


def _remove_scenes(folder: Path) -> None:
    """Remove the scenes of another recipe; leave all files that were not written here."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / _RECIPE).is_file():
        raise DataError(f"{folder}: the folder holds other files; give a new or empty folder for the demo's dataset")
    for split in SPLITS:
        for pattern in ("images/*.jpg", "masks/*.png"):
            for file in (folder / split).glob(pattern):
                file.unlink()


def _draw_objects(rng: np.random.Generator) -> list[SceneObject]:
    """Draw the contents of a scene, from far to near: clutter, objects of classes, and a little clutter in front."""
    count = int(rng.choice((1, 2, 3), p=(0.45, 0.4, 0.15)))
    largest = {1: 0.52, 2: 0.42, 3: 0.36}[count]
    objects = [
        SceneObject(BUILDERS[name](rng), CLASSES.index(name) + 1, rng.uniform(0.68, 1.0) * largest)
        for name in _draw_names(rng, count)
    ]
    behind = [_clutter(rng, 0.08, 0.3) for _ in range(int(rng.integers(1, 6)))]
    before = [_clutter(rng, 0.06, 0.16) for _ in range(int(rng.integers(0, 3)))]
    return [*behind, *objects, *before]


def _draw_names(rng: np.random.Generator, count: int) -> list[str]:
    """Draw classes; some pairs occur together more often than others."""
    names = [CLASSES[int(rng.integers(len(CLASSES)))]]
    while len(names) < count:
        if rng.random() < 0.35:
            names.append(_COMPANIONS[names[-1]])
        else:
            names.append(CLASSES[int(rng.integers(len(CLASSES)))])
    return names


def _clutter(rng: np.random.Generator, smallest: float, largest: float) -> SceneObject:
    return SceneObject(make_clutter(rng), BACKGROUND, rng.uniform(smallest, largest))
