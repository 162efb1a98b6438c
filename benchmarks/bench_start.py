"""Time how the product starts, and how fast it goes on: the command line, imports, first use, and many images.

    python benchmarks/bench_start.py [RUN] [IMAGES] [--count 100] [--repeat 7]

Each start is a new process: the least and the median of `--repeat` (of what takes seconds, of three), with the kernels
of the CRF compiled before. The shares are each package's own time in imports (`python -X importtime`), the largest
first. Then `predict` on at most `--count` images in this process, beside what it is made of. Without RUN an untrained
ResNet-50 with the default settings, without IMAGES 20 images of noise and patches: their masks mean nothing.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

SHARES = 4
FIRST_CRF = """
import numpy as np
from tag2mask.crf import dense_crf
rng = np.random.default_rng(0)
image = rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)
probs = rng.dirichlet((1, 1), (375, 500)).transpose(2, 0, 1).astype(np.float32)
dense_crf(image, np.ascontiguousarray(probs))
"""
FIRST_MASK = """
import sys
from tag2mask import Segmenter
Segmenter.from_pretrained(sys.argv[1], device="cpu").predict(sys.argv[2])
"""


def main() -> None:
    """Print the table of starts, then that of many images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    with TemporaryDirectory(prefix="bench-start-") as name:
        folder = Path(name)
        run = args.run or _untrained(folder / "run")
        images = _images(args.images, args.count) or _made(folder / "images")
        _starts(run, images[0], args.repeat)
        _steady(run, images, folder)


def _starts(run: Path, image: Path, repeat: int) -> None:
    python = sys.executable
    cases: tuple[tuple[str, list[str], int], ...] = (
        ("python, nothing imported", ["-c", "pass"], repeat),
        ("tag2mask --help", ["-m", "tag2mask", "--help"], repeat),
        ("tag2mask predict --help", ["-m", "tag2mask", "predict", "--help"], repeat),
        ("import tag2mask", ["-c", "import tag2mask"], repeat),
        ("import tag2mask.crf", ["-c", "import tag2mask.crf"], repeat),
        ("first dense CRF, 500 x 375, K=2", ["-c", FIRST_CRF], min(3, repeat)),
        ("from_pretrained, first mask", ["-c", FIRST_MASK, str(run), str(image)], min(3, repeat)),
    )
    table = Table("start", "least s", "median s", "largest shares of its imports, s", show_edge=False)
    for name, words, count in cases:
        _seconds([python, *words])  # files in memory, kernels compiled
        taken = [_seconds([python, *words]) for _ in range(count)]
        shares = ", ".join(f"{package} {seconds:.2f}" for package, seconds in _shares([python, *words]))
        table.add_row(name, f"{min(taken):.2f}", f"{statistics.median(taken):.2f}", shares)
    Console().print(table)


def _seconds(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - started


def _shares(words: list[str]) -> list[tuple[str, float]]:
    """The packages whose modules take longest to import, without what they import, in seconds."""
    shown = subprocess.run(
        [words[0], "-X", "importtime", *words[1:]], check=True, capture_output=True, text=True
    ).stderr
    own: Counter[str] = Counter()
    for line in shown.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            own[parts[2].strip().split(".")[0]] += int(parts[0])
    return [(package, micro / 1e6) for package, micro in own.most_common(SHARES) if micro >= 5000]


def _steady(run: Path, images: list[Path], folder: Path) -> None:
    from tag2mask.images.decode import read_image
    from tag2mask.inference.segmenter import Segmenter
    from tag2mask.inference.views import run_views
    from tag2mask.masks import write_mask
    from tag2mask.method.refine import refine

    segmenter = Segmenter.from_pretrained(run, device="cpu")
    settings, classes = segmenter.config.prediction, len(segmenter.classes)
    side = settings.image_size or segmenter.config.data.image_size
    segmenter.predict(images[0])
    spent: dict[str, float] = {}

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent[what] = spent.get(what, 0.0) + time.perf_counter() - started

    for path in images:
        with timed("decoding"):
            pixels = read_image(path)
        with timed("network"):
            run_views(segmenter.backend, pixels, side=side, scales=settings.scales, flip=settings.flip)
        with timed("network and class scores"):
            evidence = segmenter.evidence(pixels)
        with timed("class scores at the image's size"):
            scores = evidence.probs((pixels.shape[0], pixels.shape[1]))
        with timed(f"dense CRF, {settings.crf.iterations} iterations" if settings.crf.enabled else "no CRF"):
            refine(pixels, scores, settings.crf, pixel_scale=max(pixels.shape[:2]) / side)
        with timed("writing"):
            write_mask(folder / "mask.png", np.zeros(pixels.shape[:2], np.uint8), classes=classes)
    whole = _whole(lambda: segmenter.predict_folder(folder / "all", folder / "masks", progress=False), images, folder)
    table = Table(f"{len(images)} images", "ms an image", "of the network", show_edge=False)
    for name, seconds in (*spent.items(), ("predict, all of it, images side by side", whole)):
        table.add_row(name, f"{1000 * seconds / len(images):.1f}", f"{seconds / spent['network']:.2f}")
    Console().print(table)
    speed = f"{len(images) / whole:.1f} images a second, {segmenter.threads} threads"
    print(f"{speed}; predict / network {whole / spent['network']:.2f}")


def _whole(predict: Callable[[], object], images: list[Path], folder: Path) -> float:
    (folder / "all").mkdir()
    for k, path in enumerate(images):
        shutil.copy(path, folder / "all" / f"{k:04d}{path.suffix}")
    started = time.perf_counter()
    predict()
    return time.perf_counter() - started


def _images(folder: Path | None, count: int) -> list[Path]:
    from tag2mask.data import list_images

    return [] if folder is None else [path for path, _ in list_images(folder)[:count]]


def _made(folder: Path, count: int = 20) -> list[Path]:
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for k in range(count):
        pixels = np.kron(rng.integers(0, 256, (15, 20, 3)), np.ones((25, 25, 1))) + rng.normal(0, 12, (375, 500, 3))
        paths.append(folder / f"{k:03d}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def _untrained(folder: Path) -> Path:
    from tag2mask.config.schema import Config
    from tag2mask.models import build_network
    from tag2mask.models.checkpoint import RunFolder, save_model

    classes = ("first", "second", "third")
    config = Config()
    folder.mkdir()
    save_model(RunFolder(folder), build_network(config, len(classes), pretrained=False), classes, config)
    return folder


if __name__ == "__main__":
    main()
