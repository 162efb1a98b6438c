"""Large images: the same mask from tiles as without, and time and memory of 12,000 x 9,000 pixels.

    python benchmarks/bench_tiles.py RUN

Large images are mosaics of images of the animals' validation split, each enlarged, so that no two neighbours belong
together: harder than an aerial image. Agreement is counted away from tile borders (further than an eighth of a tile
from each) and everywhere.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.images.decode import IMAGE_SUFFIXES, read_image
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import read_mask
from tag2mask.method.tiling import tiles_of

IMAGES = Path(__file__).parents[2] / "shared/bench/voc_animals/val/images"


def mosaic(folder: Path, size: tuple[int, int], *, piece: int, seed: int) -> NDArray[np.uint8]:
    """An image (*size, 3) of others, each about `piece` pixels a side."""
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    image = np.zeros((*size, 3), dtype=np.uint8)
    for top in range(0, size[0], piece):
        for left in range(0, size[1], piece):
            height, width = min(piece, size[0] - top), min(piece, size[1] - left)
            part = Image.fromarray(read_image(paths[rng.integers(len(paths))]))
            image[top : top + height, left : left + width] = np.asarray(part.resize((piece, piece)))[:height, :width]
    return image


def agreement(segmenter: Segmenter, image: NDArray[np.uint8], side: int) -> tuple[float, float]:
    """Shares of pixels with the same class from tiles as without: away from inner tile borders, and of all."""
    settings = segmenter.config.prediction.model_copy(update={"image_size": 0})
    whole = segmenter.predict(image, settings=settings.model_copy(update={"tile": 0}))
    tiled = segmenter.predict(image, settings=settings.model_copy(update={"tile": side}))
    same = whole.mask == tiled.mask
    away = np.ones(same.shape, dtype=bool)
    for tile in tiles_of((image.shape[0], image.shape[1]), side, segmenter.backend.input_multiple):
        for axis, part in enumerate(tile):
            for edge in (part.start, part.stop):
                if 0 < edge < image.shape[axis]:
                    near = slice(edge - side // 8, edge + side // 8)
                    away[near if axis == 0 else slice(None), near if axis == 1 else slice(None)] = False
    return float(same[away].mean()), float(same.mean())


def large(run: Path, size: tuple[int, int]) -> tuple[float, float]:
    """Seconds and GiB of `tag2mask predict` on one image, as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        Image.fromarray(mosaic(IMAGES, size, piece=750, seed=1)).save(path, quality=90)
        started = time.perf_counter()
        command = [sys.executable, "-m", "tag2mask", "predict", str(run), str(path), "--out", f"{folder}/masks"]
        subprocess.run(
            [*command, "--image-size", "0", "--confidence", f"{folder}/confidence"], check=True, env=os.environ
        )
        seconds = time.perf_counter() - started
        assert read_mask(Path(folder) / "masks/large.png").shape == size
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained run")
    parser.add_argument("--size", type=int, nargs=2, default=(9000, 12000), help="height and width of the large image")
    args = parser.parse_args()
    if not IMAGES.is_dir():
        print(f"{IMAGES}: the benchmark images are not here; nothing measured")
        return 0
    seconds, memory = large(args.run, tuple(args.size))
    print(
        f"{args.size[1]} x {args.size[0]}, every pixel seen: {seconds:.0f} s, peak memory {memory:.2f} GiB", flush=True
    )
    segmenter = Segmenter.from_pretrained(args.run)
    worst = 1.0
    for seed in range(3):
        image = mosaic(IMAGES, (1536, 2048), piece=512, seed=seed)
        for side in (512, 1024):
            away, everywhere = agreement(segmenter, image, side)
            worst = min(worst, away)
            print(
                f"seed {seed}, tiles of {side}: same {away:.2%} away from borders, {everywhere:.2%} of all", flush=True
            )
    print(f"tiles {memory:.2f} GiB {seconds:.0f} s same {worst:.2%}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
