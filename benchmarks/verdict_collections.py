"""Collections whose worth is known: useful ones, and each kind from which no masks can be learned.

Images are generated, 96 pixels a side, for `bench_verdict.py`. A collection is a list of images with their tags, and
the settings that differ from those of the demo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.demo.backgrounds import make_clutter
from tag2mask.demo.compose import SceneObject, compose
from tag2mask.demo.objects import BUILDERS
from tag2mask.demo.textures import fractal_noise

SIDE = 96
NAMES = ("cat", "fish", "bird")

Tagged = tuple[NDArray[np.uint8], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Collection:
    """Images with tags.

    Attributes:
        images: with their tags.
        settings: by dotted name, on top of the demo's.
    """

    images: list[Tagged]
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the images and `tags.csv`; returns the folder of images and the table."""
        images = folder / "images"
        images.mkdir(parents=True)
        lines = ["image,tags"]
        for k, (image, tags) in enumerate(self.images):
            Image.fromarray(image).save(images / f"{k:03d}.png")
            lines.append(f"{k:03d}.png,{' '.join(tags) or 'none'}")
        (folder / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return images, folder / "tags.csv"


Maker = Callable[[np.random.Generator], Collection]


def scene(rng: np.random.Generator, names: Sequence[str], side: int = SIDE) -> NDArray[np.uint8]:
    """An image with one object of each name among clutter, uint8 (side, side, 3)."""
    size = 0.42 if len(names) < 2 else 0.34
    objects = [SceneObject(make_clutter(rng), 0, rng.uniform(0.08, 0.25)) for _ in range(3)]
    objects += [SceneObject(BUILDERS[name](rng), 1, size * rng.uniform(0.75, 1.0)) for name in names]
    return compose(rng, (side, side), objects, min_visible=0.7).image


def tagged_scenes(rng: np.random.Generator, tags: Sequence[Sequence[str]]) -> list[Tagged]:
    """A scene for each list of names."""
    return [(scene(rng, names), tuple(names)) for names in tags]


def mixed(rng: np.random.Generator, count: int, *, none: float = 0.2, names: Sequence[str] = NAMES) -> list[Tagged]:
    """Scenes of one or two classes, and a share `none` with no class."""
    tags = []
    for _ in range(count):
        number = 0 if rng.random() < none else 1 + int(rng.random() < 0.3)
        tags.append([str(name) for name in rng.permutation(names)[:number]])
    return tagged_scenes(rng, tags)


def texture(
    rng: np.random.Generator, *, grain: float, hue: tuple[int, int, int], side: int = SIDE
) -> NDArray[np.uint8]:
    """A texture of one kind that fills the image."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    values = fractal_noise(rng, grain)(x * 12, y * 12)[..., None]
    cells = np.zeros((side, side), np.float32)
    for cy, cx in rng.integers(0, side, (60, 2)).tolist():
        cv2.circle(cells, (cx, cy), int(rng.integers(2, 4)), 1.0, -1)
    colours = np.array(hue, np.float32) * (0.7 + 0.5 * values) - 70 * cells[..., None]
    return np.clip(colours + rng.normal(0, 6, (side, side, 3)), 0, 255).astype(np.uint8)


def shuffled(rng: np.random.Generator, images: list[Tagged]) -> list[Tagged]:
    """The images with the tags of others."""
    order = rng.permutation(len(images)).tolist()
    return [(image, images[k][1]) for (image, _), k in zip(images, order, strict=True)]


def useful_scenes(rng: np.random.Generator, *, none: float = 0.2, **settings: Any) -> Collection:
    """Three classes, one or two an image."""
    return Collection(mixed(rng, 150, none=none), {name.replace("__", "."): value for name, value in settings.items()})


def one_class(rng: np.random.Generator, *, negatives: int) -> Collection:
    """Cats, and so many images without."""
    return Collection(tagged_scenes(rng, [["cat"]] * 70 + [[]] * negatives))


def two_alone(rng: np.random.Generator) -> Collection:
    """Class folders: cats and fish, one an image."""
    return Collection(tagged_scenes(rng, [["cat"], ["fish"]] * 40))


def together(rng: np.random.Generator, *, apart: int) -> Collection:
    """Cats with fish, birds alone; `apart` cats and as many fish alone."""
    alone: list[list[str]] = [["cat"]] * apart + [["fish"]] * apart
    return Collection(tagged_scenes(rng, [["cat", "fish"]] * 40 + [["bird"]] * 30 + alone + [[]] * 20))


def flat(rng: np.random.Generator, *, value: int | None) -> Collection:
    """Images of one colour: all the same, or a colour for each class."""
    images: list[Tagged] = []
    for k in range(60):
        names = ("cat",) if k % 2 else ("fish",) if k % 3 else ()
        level = value if value is not None else 60 + 120 * (k % 2)
        images.append((np.full((SIDE, SIDE, 3), level, np.uint8), names))
    return Collection(images)


def pixels(rng: np.random.Generator) -> Collection:
    """Images of 1 x 1 pixel."""
    return Collection([(image[40:41, 40:41], names) for image, names in mixed(rng, 60)])


def repeated(rng: np.random.Generator, *, scenes: int, times: int, jitter: bool = False) -> Collection:
    """A few images, each several times, exactly or with a little noise."""
    few = tagged_scenes(rng, [[NAMES[k % 2]] if k % 3 < 2 else [] for k in range(scenes)])
    images: list[Tagged] = []
    for image, names in few * times:
        noisy = image + rng.normal(0, 3, image.shape) if jitter else image
        images.append((np.clip(noisy, 0, 255).astype(np.uint8), names))
    return Collection(images)


def three_images(rng: np.random.Generator) -> Collection:
    """Two cats and an image without; with fewer than two images of a class, training refuses."""
    return Collection(tagged_scenes(rng, [["cat"], ["cat"], []]))


def tissue(rng: np.random.Generator, *, everywhere: bool) -> Collection:
    """Two textures that fill the images: one of them a class (or each one of its own)."""
    images: list[Tagged] = []
    for k in range(80):
        ill = bool(k % 2)
        image = texture(rng, grain=0.4 if ill else 1.4, hue=(150, 70, 140) if ill else (225, 150, 190))
        images.append((image, ("tumour",) if ill else ("stroma",) if everywhere else ()))
    return Collection(images)


def sources(rng: np.random.Generator) -> Collection:
    """The class comes from one camera, with a frame around its images, and the others from another, without."""
    images: list[Tagged] = []
    for k, image in enumerate(tagged_scenes(rng, [[]] * 80)):
        pixels = image[0].copy()
        if k % 2:
            pixels[:6], pixels[-6:], pixels[:, :6], pixels[:, -6:] = 0, 0, 0, 0
        images.append((pixels, ("cat",) * (k % 2)))
    return Collection(images)


def frequent(rng: np.random.Generator, *, share: float) -> Collection:
    """A class in nearly every image beside two others."""
    tags: list[list[str]] = []
    for _ in range(120):
        names = ["cat"] if rng.random() < share else []
        names += [name for name in ("fish", "bird") if rng.random() < 0.35]
        tags.append(names)
    return Collection(tagged_scenes(rng, tags))


def wrong_class(rng: np.random.Generator) -> Collection:
    """One class tagged on random images."""
    images = mixed(rng, 120)
    moved = rng.permutation([("cat" in names) for _, names in images]).tolist()
    return Collection(
        [
            (image, tuple(name for name in names if name != "cat") + ("cat",) * here)
            for (image, names), here in zip(images, moved, strict=True)
        ]
    )


def rare(rng: np.random.Generator) -> Collection:
    """A class in 5 images of many."""
    images = mixed(rng, 145, names=("fish", "bird"))
    return Collection(images + tagged_scenes(rng, [["cat"]] * 5))


def noise(rng: np.random.Generator) -> Collection:
    """White noise with random tags."""
    images = [rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(80)]
    return Collection(
        [(image, ("cat",) if rng.random() < 0.4 else ("fish",) * (rng.random() < 0.5)) for image in images]
    )


def faint(rng: np.random.Generator) -> Collection:
    """Noise with a spot of the class so faint that nobody sees it."""
    images: list[Tagged] = []
    for k in range(80):
        image = rng.normal(128, 40, (SIDE, SIDE, 3))
        y, x = rng.integers(20, 76, 2).tolist()
        if k % 2:
            image[y - 8 : y + 8, x - 8 : x + 8] += 4
        images.append((np.clip(image, 0, 255).astype(np.uint8), ("spot",) * (k % 2)))
    return Collection(images)


def nothing_there(rng: np.random.Generator) -> Collection:
    """Backgrounds alone, with tags of objects."""
    return Collection([(scene(rng, []), ("cat",) if rng.random() < 0.4 else ()) for _ in range(80)])


def mistagged(rng: np.random.Generator, *, share: float) -> Collection:
    """A share of the images has the tags of others."""
    images = mixed(rng, 150)
    count = round(share * len(images))
    return Collection(shuffled(rng, images[:count]) + images[count:])


USEFUL: dict[str, Maker] = {
    "three classes": useful_scenes,
    "three classes, one in every image": partial(useful_scenes, none=0.0),
    "one class with negatives": partial(one_class, negatives=60),
    "two classes often together": partial(together, apart=25),
}

USELESS: dict[str, Maker] = {
    "one class, no negatives": partial(one_class, negatives=0),
    "class folders of two classes": two_alone,
    "two classes always together": partial(together, apart=0),
    "two classes nearly always together": partial(together, apart=1),
    "black images": partial(flat, value=0),
    "images of one colour": partial(flat, value=None),
    "1 x 1 images": pixels,
    "4 images ten times each": partial(repeated, scenes=4, times=10),
    "6 images with noise": partial(repeated, scenes=6, times=10, jitter=True),
    "one image": partial(repeated, scenes=1, times=40),
    "soft_threshold 0.95": partial(useful_scenes, masks__soft_threshold=0.95),
    "soft_threshold 0.01": partial(useful_scenes, masks__soft_threshold=0.01),
    "tissue that fills the image": partial(tissue, everywhere=False),
    "two tissues that fill the image": partial(tissue, everywhere=True),
    "random weights": partial(useful_scenes, model__weights="none"),
    "3 images": three_images,
    "12 images": partial(repeated, scenes=12, times=1),
    "a class in 97 % of the images": partial(frequent, share=0.97),
    "shuffled tags": lambda rng: Collection(shuffled(rng, mixed(rng, 120))),
    "one class on wrong images": wrong_class,
    "a class with 5 images": rare,
    "noise": noise,
    "a class too faint to see": faint,
    "a class on one side of the split of sources": sources,
    "nothing but background": nothing_there,
    "half of the tags wrong": partial(mistagged, share=0.6),
}
