"""Peak memory of `tag2mask predict` on large images, with and without `--max-memory`, and what the bound costs.

    python benchmarks/bench_memory.py RUN [--bound 2GiB] [--images 8]

Each line is a process of its own. The images are mosaics of images of the animals' validation split (`bench_tiles`).
Equal is the share of pixels with the same class as without a bound. The last line segments `--images` copies of the
largest one: memory must not grow with their number.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bench_tiles import IMAGES, mosaic
from tag2mask.masks import read_mask

SIZES = ((3222, 4811), (5774, 8660))
"""Height and width of 15.5 and 50 megapixels."""


class Measured(NamedTuple):
    """Peak resident memory in MiB and seconds of a command."""

    mebibytes: float
    seconds: float


def run(command: list[str]) -> Measured:
    """Run a command and measure it.

    Raises:
        SystemExit: it fails.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)}: exit status {child.returncode}\n{output.read().decode()}")
    return Measured(usage.ru_maxrss / 1024, time.perf_counter() - start)


def predict(network: Path, images: Path, out: Path, bound: str | None) -> Measured:
    """Run `tag2mask predict`."""
    limit = [] if bound is None else ["--max-memory", bound]
    return run([sys.executable, "-m", "tag2mask", "predict", str(network), str(images), "--out", str(out), *limit])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a trained network: folder or ONNX file")
    parser.add_argument("--bound", default="2GiB")
    parser.add_argument("--images", type=int, default=8, help="copies of the largest image in the last line")
    args = parser.parse_args()
    print("| images | megapixels | bound | peak, MiB | seconds | equal, % |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number, size in enumerate(SIZES):
            folder = root / f"images{number}"
            folder.mkdir()
            Image.fromarray(mosaic(IMAGES, size, piece=1200, seed=1)).save(folder / "a.jpg", quality=92)
            free = predict(args.run, folder, root / f"free{number}", None)
            bound = predict(args.run, folder, root / f"bound{number}", args.bound)
            masks = [read_mask(root / f"{name}{number}" / "a.png") for name in ("free", "bound")]
            equal = 100 * float(np.mean(masks[0] == masks[1]))
            megapixels = size[0] * size[1] / 1e6
            print(f"| 1 | {megapixels:.1f} | - | {free.mebibytes:.0f} | {free.seconds:.0f} | |", flush=True)
            print(
                f"| 1 | {megapixels:.1f} | {args.bound} | {bound.mebibytes:.0f} | {bound.seconds:.0f} | {equal:.2f} |",
                flush=True,
            )
        for number in range(1, args.images):
            os.link(folder / "a.jpg", folder / f"{number}.jpg")
        many = predict(args.run, folder, root / "many", args.bound)
        print(f"| {args.images} | {megapixels:.1f} | {args.bound} | {many.mebibytes:.0f} | {many.seconds:.0f} | |")


if __name__ == "__main__":
    main()
