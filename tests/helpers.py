"""Tiny generated collections whose answer is known, and files that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.masks import write_mask

SHAPES = ("disc", "square")
_COLOURS = {"disc": (210, 60, 50), "square": (50, 90, 210)}


@dataclass(frozen=True)
class TinyDataset:
    """Files of a generated collection: `images/`, `tags.csv`, `masks/`, `classes.txt` below `root`."""

    root: Path
    classes: tuple[str, ...]

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def tags(self) -> Path:
        return self.root / "tags.csv"

    @property
    def masks(self) -> Path:
        return self.root / "masks"

    @property
    def class_file(self) -> Path:
        return self.root / "classes.txt"


def draw_shapes(
    tags: Iterable[str], *, size: tuple[int, int] = (48, 64), seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A textured grey picture with one coloured shape per tag.

    Returns:
        image uint8 (H, W, 3) RGB and its exact mask uint8 (H, W): 1 disc, 2 square.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    image = rng.integers(90, 160, (height, width, 1)).repeat(3, axis=2).astype(np.uint8)
    mask = np.zeros(size, np.uint8)
    y, x = np.mgrid[:height, :width]
    for k, name in enumerate(SHAPES):
        if name not in set(tags):
            continue
        radius = int(rng.integers(min(size) // 6, min(size) // 4))
        half = width // 2  # each shape keeps to its half of the picture, so that none is hidden
        cy = int(rng.integers(radius, height - radius))
        cx = int(rng.integers(radius, half - radius)) + half * k
        dy, dx = np.abs(y - cy), np.abs(x - cx)
        inside = dy * dy + dx * dx <= radius * radius if name == "disc" else np.maximum(dy, dx) <= radius
        mask[inside] = k + 1
        noise = rng.integers(-20, 21, (int(inside.sum()), 1))
        image[inside] = np.clip(np.array(_COLOURS[name]) + noise, 0, 255).astype(np.uint8)
    return image, mask


def write_shapes(root: Path, count: int = 12, *, size: tuple[int, int] = (48, 64), seed: int = 0) -> TinyDataset:
    """Write `count` pictures of shapes: in turn a disc, a square, both, none."""
    rows: dict[str, str] = {}
    for k in range(count):
        tags = [("disc",), ("square",), SHAPES, ()][k % 4]
        image, mask = draw_shapes(tags, size=size, seed=seed + k)
        write_image(root / "images" / f"shape_{k:03d}.png", image)
        write_mask(root / "masks" / f"shape_{k:03d}.png", mask, classes=len(SHAPES))
        rows[f"shape_{k:03d}.png"] = " ".join(tags) or "none"
    write_tags(root / "tags.csv", rows)
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in SHAPES))
    return TinyDataset(root, SHAPES)


def write_image(path: Path, image: NDArray[np.uint8] | None = None, *, seed: int = 0) -> Path:
    """Write an array, or a picture of 6 x 8 pixels of noise; folders are made."""
    if image is None:
        image = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_images(folder: Path, names: Sequence[str]) -> Path:
    """Write a small picture for each name and return the folder."""
    for seed, name in enumerate(names):
        write_image(folder / name, seed=seed)
    return folder


def write_tags(path: Path, rows: Mapping[str, str], *, header: str = "image,tags") -> Path:
    """Write a table of names and tags; cells with commas are quoted."""
    lines = [
        header,
        *(f'{name},"{tags}"' if "," in tags else f"{name},{tags}" for name, tags in rows.items()),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def bench_folder(name: str) -> Path | None:
    """Folder of a benchmark beside the repository, or None where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "bench" / name
    return folder if folder.is_dir() else None


needs_rasterio = pytest.mark.skipif(find_spec("rasterio") is None, reason="needs rasterio: pip install 'tag2mask[geo]'")
