"""Which working size is chosen for datasets of small and of large things; one row a dataset.

    python benchmarks/bench_working_size.py --weights resnet18.safetensors [--bench DIR] [--name tiny_pits]...

DIR holds datasets with `train`, `val` and `classes.txt`. For each dataset: the median long side of its images, the size
of the preset, the size that was chosen, the held-out AUC at each size with the standard error of its gain, the cells of
the preset's grid that stand out, and the seconds it took.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import made_collections
import made_scenes
from made_collections import KINDS, shapes, write_collection
from made_drawing import Made, Rng
from tag2mask.config.load import on_preset
from tag2mask.data import Dataset
from tag2mask.images.decode import image_size
from tag2mask.training.working_size import WorkingSize, choose_working_size

PLATE = 1024
"""Side of the plates."""

LARGE_SIZE = (1200, 1600)
"""Height and width of the large images of small objects."""

_BENCHES = ("voc_animals", "steel_defects")


def _plate(rng: Rng) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Brushed metal in uneven light, (PLATE, PLATE, 3) grey."""
    grain = rng.normal(size=(2, PLATE, PLATE)).astype(np.float32)
    length = int(rng.integers(9, 25))
    grey = rng.uniform(90, 170) + 6 * grain[0] + 5 * np.sqrt(length) * cv2.blur(grain[1], (length, 1))
    for cells, strength in ((4, 14), (PLATE // 8, 6)):
        coarse = rng.normal(size=(cells, cells)).astype(np.float32)
        grey += strength * cv2.resize(coarse, (PLATE, PLATE), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:PLATE, :PLATE] / PLATE
    grey = grey + rng.uniform(-25, 25) * columns + rng.uniform(-25, 25) * rows
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def tiny_pits(rng: Rng) -> Made:
    """Plates with pits of 3 to 6 pixels' radius and scratches of 2 or 3 pixels' width, each in half of the images."""
    image, mask = _plate(rng), np.zeros((PLATE, PLATE), np.uint8)
    for kind in (1, 2):
        for _ in range(rng.integers(1, 4) if rng.random() < 0.5 else 0):
            drawn = np.zeros((PLATE, PLATE), np.uint8)
            if kind == 1:
                column, row = rng.integers(20, PLATE - 20, 2).tolist()
                cv2.circle(drawn, (column, row), int(rng.integers(3, 7)), 1, -1)
                image[drawn > 0] = image[drawn > 0] * 0.35 + 15
            else:
                start, turned = rng.integers(160, PLATE - 160, 2), rng.uniform(0, np.pi)
                end = start + rng.uniform(40, 150) * np.array([np.cos(turned), np.sin(turned)])
                ends = np.stack([start, end]).astype(np.int32)
                cv2.polylines(drawn, [ends], False, 1, int(rng.integers(2, 4)))
                image[drawn > 0] += 70
            mask[drawn > 0] = kind
    return image, mask


def large_stains(rng: Rng) -> Made:
    """Plates with dark and with rough stains of 70 to 170 pixels' radius, each in half of the images."""
    image, mask = _plate(rng), np.zeros((PLATE, PLATE), np.uint8)
    for kind in (1, 2):
        for _ in range(rng.integers(1, 3) if rng.random() < 0.5 else 0):
            radius = rng.uniform(70, 170)
            centre, turns = rng.uniform(radius, PLATE - radius, 2), np.linspace(0, 2 * np.pi, 24, endpoint=False)
            lengths = np.clip(radius * (1 + 0.35 * np.cumsum(rng.normal(size=24)) / 6), 0.5 * radius, 1.6 * radius)
            outline = centre + lengths[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
            drawn = np.zeros((PLATE, PLATE), np.uint8)
            cv2.fillPoly(drawn, [outline.astype(np.int32)], 1)
            if kind == 1:
                image[drawn > 0] -= rng.uniform(35, 60)
            else:
                rough = cv2.GaussianBlur(rng.normal(size=(PLATE, PLATE)).astype(np.float32), (0, 0), 3)
                image[drawn > 0] += 270 * rough[drawn > 0][:, None]
            mask[drawn > 0] = kind
    return image, mask


def large_shapes(rng: Rng) -> Made:
    """The made shapes, four times as large."""
    image, mask = shapes(rng)
    large = cv2.resize(image.astype(np.float32), (PLATE, PLATE), interpolation=cv2.INTER_CUBIC)
    noise = 4 * rng.normal(size=(PLATE, PLATE, 1))
    return (large + noise).astype(np.float32), np.asarray(
        cv2.resize(mask, (PLATE, PLATE), interpolation=cv2.INTER_NEAREST), np.uint8
    )


def small_on_large(rng: Rng) -> Made:
    """The made small objects on images of 1200 x 1600 pixels."""
    usual = made_scenes.SMALL_SIZE
    made_scenes.SMALL_SIZE = LARGE_SIZE
    try:
        return made_scenes.small_objects(rng)
    finally:
        made_scenes.SMALL_SIZE = usual


made_collections.KINDS |= {
    "tiny_pits": (tiny_pits, ("pit", "scratch")),
    "large_stains": (large_stains, ("stain", "rough")),
    "large_shapes": (large_shapes, made_collections.KINDS["shapes"][1]),
    "small_on_large": (small_on_large, made_scenes.SMALL_NAMES),
}

ROWS = {
    "rare_defects": "frozen-surfaces",
    "surface_defects": "frozen-surfaces",
    "tiny_pits": "frozen-surfaces",
    "large_stains": "frozen-surfaces",
    "steel_defects": "frozen-surfaces",
    "small_objects": "frozen",
    "small_on_large": "frozen",
    "large_shapes": "frozen",
    "voc_animals": "frozen",
}
"""Datasets, and the preset whose size is compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="safetensors file of resnet18, or 'hub'")
    parser.add_argument("--bench", type=Path, help="folder of datasets with train, val and classes.txt")
    parser.add_argument("--name", action="append", choices=list(ROWS), help="repeatable; default: all")
    parser.add_argument("--size", type=int, help="compare with this size, not with the preset's")
    parser.add_argument("--train", type=int, default=120, help="images of a made dataset")
    parser.add_argument("--out", type=Path, default=Path("runs/working-size"))
    args = parser.parse_args()
    print(f"{'dataset':<16} {'native':>6} {'preset':>6} {'chosen':>6}  {'AUC at each size':<60} cells  seconds")
    for name in args.name or [one for one in ROWS if args.bench or one not in _BENCHES]:
        if name in KINDS:
            folder = write_collection(name, args.out / "data", train=args.train, val=20)
        elif args.bench is None:
            parser.error(f"{name}: give --bench, the folder that it lies in")
        else:
            folder = args.bench / name
        # Images of voc_animals are made smaller in `train`; those of `val` have their own size.
        part = folder / ("val" if name == "voc_animals" else "train")
        dataset = Dataset.load(part / "images", part / "tags.csv", classes=folder / "classes.txt")
        model = {"backbone": "resnet18", "weights": args.weights, "companions": []}
        config = on_preset(ROWS[name], {"model": model})
        config = config.override({"data.image_size": args.size}) if args.size else config
        started = time.monotonic()
        chosen = choose_working_size(dataset, config)
        print(_row(name, dataset, config.data.image_size, chosen, time.monotonic() - started), flush=True)


def _row(name: str, dataset: Dataset, usual: int, chosen: WorkingSize, seconds: float) -> str:
    native = int(np.median([max(image_size(record.path)) for record in dataset.records]))
    aucs = ", ".join(f"{one.size}: {one.auc:.3f} ± {one.error:.3f}" for one in chosen.signs if one.auc is not None)
    last = chosen.signs[-1] if chosen.signs else None
    cells = "-" if last is None or last.share is None else f"{last.share * chosen.signs[0].grid:.1f}"
    sizes = f"{name:<16} {native:>6} {usual:>6} {chosen.image_size:>6}"
    return f"{sizes}  {aucs or chosen.reason:<60} {cells:>5} {seconds:>8.0f}"


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
