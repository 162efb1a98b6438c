"""Time `tag2mask check` on 10,000 images: `python benchmarks/bench_check.py`.

The images are those of the animals benchmark, scaled to 500 x 375 and each time cut a little differently, or
painted clouds where it is absent; they lie in a temporary folder. The time is that of the command
as a whole, from its start to its exit, on the cores this process may use. The last line is
`check 10000 images N s`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tag2mask.core.machine import usable_cores

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT.parent / "shared" / "bench" / "voc_animals" / "train" / "images"
SIZE = (500, 375)
CLASSES = ("cat", "dog", "horse")


def make_image(number: int, sources: list[Path], folder: Path) -> None:
    """Image `number`: a source, cut by 6 to 20 % of its sides, flipped horizontally in every other round."""
    rng = np.random.default_rng(number)
    if sources:
        with Image.open(sources[number % len(sources)]) as opened:
            image = opened.convert("RGB")
        left, top, right, bottom = rng.uniform(0.03, 0.1, 4)
        width, height = image.size
        image = image.crop(
            (int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height))
        ).resize(SIZE)
        if number // len(sources) % 2:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    else:
        clouds = cv2.resize(rng.uniform(0, 255, (24, 32, 3)), SIZE, interpolation=cv2.INTER_CUBIC)
        image = Image.fromarray(np.clip(clouds + rng.normal(0, 8, clouds.shape), 0, 255).astype(np.uint8))
    image.save(folder / f"{number:06d}.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time `tag2mask check`.")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder of images to vary")
    options = parser.parse_args()
    sources = sorted(options.sources.glob("*.jpg"))
    print(f"{len(sources)} images to vary" if sources else f"{options.sources} is absent: painted clouds instead")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "images"
        folder.mkdir()
        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(make_image, range(options.images), repeat(sources), repeat(folder)))
        rows = (
            f"{k:06d}.jpg,{' '.join(c for b, c in enumerate(CLASSES) if k >> b & 1) or 'none'}\n"
            for k in range(options.images)
        )
        (root / "tags.csv").write_text("image,tags\n" + "".join(rows))
        command = [
            sys.executable,
            "-m",
            "tag2mask",
            "check",
            str(folder),
            "--tags",
            str(root / "tags.csv"),
            "--shown",
            "2",
        ]
        started = time.perf_counter()
        status = subprocess.run(command, check=False).returncode
        seconds = time.perf_counter() - started
    if status not in {0, 1}:
        raise SystemExit(f"the command ended with status {status}")
    print(f"{usable_cores()} cores, {options.images / seconds:.0f} images a second")
    print(f"check {options.images} images {seconds:.0f} s")


if __name__ == "__main__":
    main()
