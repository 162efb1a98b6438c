"""Time the dense CRF against pydensecrf: `python benchmarks/bench_crf.py`.

Both run in one process and one thread, on one core, alternating image by image, on the same images of about
500 x 375 pixels and the same class probabilities. The time covers everything from probabilities to marginals,
including all that depends on the image. It is the processor time of the thread, so that other work on the
machine matters less. A ratio is that of the two times for one image; the table has medians over the images.
Rows of four settings are for `dense_crf`; those of `crf_cases` for the drop-in interface. The last line is for the
parameters of pydensecrf's own examples (80, 13, 10), and `worst` for the smallest ratio of all rows.

Needs `pip install pydensecrf2` (which needs a compiler) and a folder of images.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from crf_cases import CASES, Run
from tag2mask.crf import dense_crf, dense_crf_batch

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT.parent / "shared" / "bench" / "voc_animals" / "val" / "images"
SETTINGS = ((80.0, 13.0, 10.0), (50.0, 10.0, 5.0), (67.0, 3.0, 4.0), (60.0, 5.0, 4.0))
"""Standard deviations of the bilateral term in pixels and in grey levels, and its weight."""
CLASSES = (2, 3, 5, 21)
PRUNE = 0.001
FLOOR = 1e-5


def load_images(folder: Path, count: int) -> list[Image]:
    """The first `count` images of about 500 x 375 or 375 x 500 pixels."""
    images = []
    for path in sorted(folder.glob("*")):
        with PilImage.open(path) as opened:
            if abs(opened.width * opened.height - 187_500) < 15_000:
                images.append(np.array(opened.convert("RGB")))
        if len(images) == count:
            break
    return images


def class_probabilities(shape: tuple[int, int], classes: int, seed: int) -> Floats:
    """Probabilities like those of a network with output stride 8: a few classes present, the others improbable."""
    random = np.random.default_rng(seed)
    height, width = shape
    rows, columns = height // 8 + 2, width // 8 + 2
    present = min(classes, 4)
    logits = random.normal(-4.0, 0.5, (classes, rows, columns))
    y, x = np.mgrid[:rows, :columns]
    for k in range(present):
        bumps = np.zeros((rows, columns))
        for _ in range(3):
            cy, cx, r = random.uniform(0, rows), random.uniform(0, columns), random.uniform(4, 14)
            bumps = np.maximum(bumps, np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * r * r)))
        logits[k] = 4 * bumps + random.normal(0, 0.7, (rows, columns))
    planes = [np.asarray(PilImage.fromarray(p.astype(np.float32)).resize((width, height), 2)) for p in logits]
    odds = np.exp(np.stack(planes))
    return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


def peer(image: Image, probs: Floats, setting: tuple[float, float, float]) -> Floats:
    """Marginals of pydensecrf."""
    from pydensecrf.densecrf import DenseCRF2D

    classes, height, width = probs.shape
    crf = DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(-np.log(np.clip(probs, FLOOR, 1.0)).reshape(classes, -1))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=setting[0], srgb=setting[1], rgbim=image, compat=setting[2])
    return np.asarray(crf.inference(10), dtype=np.float32).reshape(probs.shape)


def ours(image: Image, probs: Floats, setting: tuple[float, float, float], **options: Any) -> Floats:
    """Marginals of this package."""
    xy, rgb, weight = setting
    return dense_crf(image, probs, bilateral_xy=xy, bilateral_rgb=rgb, bilateral_weight=weight, **options)


def timed(run: Callable[[], Floats]) -> tuple[float, Floats]:
    """Processor time of the calling thread in seconds, and the result."""
    start = time.thread_time()
    result = run()
    return time.thread_time() - start, result


def compare_case(images: list[Image], run: Run, classes: int, repeats: int) -> dict[str, float]:
    """Medians over the images of times, ratio and agreement, both packages through pydensecrf's interface."""
    import pydensecrf.densecrf
    import pydensecrf.utils

    import tag2mask.crf.pydensecrf.densecrf
    import tag2mask.crf.pydensecrf.utils

    us = tag2mask.crf.pydensecrf.densecrf, tag2mask.crf.pydensecrf.utils
    them = pydensecrf.densecrf, pydensecrf.utils
    return _table(
        images,
        classes,
        repeats,
        lambda image, probs: run(*us, image, probs),
        lambda image, probs: run(*them, image, probs),
    )


def compare(
    images: list[Image], classes: int, setting: tuple[float, float, float], repeats: int, **options: Any
) -> dict[str, float]:
    """Medians over the images of times, ratio and agreement."""
    return _table(
        images,
        classes,
        repeats,
        lambda image, probs: ours(image, probs, setting, **options),
        lambda image, probs: peer(image, probs, setting),
    )


def _table(
    images: list[Image],
    classes: int,
    repeats: int,
    us: Callable[[Image, Floats], Floats],
    them: Callable[[Image, Floats], Floats],
) -> dict[str, float]:
    """Medians over the images of the times of two functions, their ratio and the agreement of their classes."""
    rows = []
    for seed, image in enumerate(images):
        probs = class_probabilities(image.shape[:2], classes, seed)
        mine, theirs, same = [], [], 0.0
        for _ in range(repeats):
            a, first = timed(lambda: us(image, probs))  # noqa: B023
            b, second = timed(lambda: them(image, probs))  # noqa: B023
            mine.append(a)
            theirs.append(b)
            same = 100 * float((first.argmax(0) == second.argmax(0)).mean())
        rows.append((1e3 * min(mine), 1e3 * min(theirs), min(theirs) / min(mine), same))
    table = np.array(rows)
    middle = np.median(table, axis=0)
    return {
        "ours": middle[0],
        "peer": middle[1],
        "ratio": middle[2],
        "agree": middle[3],
        "worst": table[:, 3].min(),
    }


def two_threads(images: list[Image], classes: int) -> float:
    """Speed-up of two threads over one, for a batch of all images twice."""
    images = images * 2
    probs = [class_probabilities(image.shape[:2], classes, i) for i, image in enumerate(images)]
    ratios = []
    for _ in range(5):
        times = []
        for threads in (1, 2):
            start = time.perf_counter()
            dense_crf_batch(images, probs, threads=threads)
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


def peak_memory(which: str, classes: int) -> float:
    """Peak memory in MB that one image adds in a new process, after a small image."""
    command = [sys.executable, __file__, "--measure", which, "--classes", str(classes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(which: str, classes: int) -> None:
    """Print the number that `peak_memory` reads."""
    run = ours if which == "ours" else peer
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image = np.array(PilImage.fromarray(noise).resize((500, 375)))
    run(image[:40, :40].copy(), class_probabilities((40, 40), classes, 0), SETTINGS[0])
    probs = class_probabilities((375, 500), classes, 0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _memory("VmRSS")
    run(image, probs, SETTINGS[0])
    print(_memory("VmHWM") - before)


def _memory(entry: str) -> float:
    """An entry of the memory statistics of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(entry)).split()[1]) / 1024


def first_use() -> tuple[float, float]:
    """Seconds from the start of Python to the first marginals, with an empty and with a filled kernel cache."""
    script = (
        "import numpy as np; from tag2mask.crf import dense_crf; "
        "dense_crf(np.zeros((30, 40, 3), np.uint8), np.full((3, 30, 40), 1 / 3, np.float32))"
    )
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", script],
                check=True,
                capture_output=True,
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
            )
            times.append(time.perf_counter() - start)
    return times[0], times[1]


def stages(images: list[Image], repeats: int) -> None:
    """Print the time of each kernel of `dense_crf` in ms, of the fastest run of an image, medians over the images."""
    from tag2mask.crf import grouping, layout, norms, planar, reduction, update, vertices

    kernels = {
        grouping: ("group_pixels",),
        vertices: ("find_vertices", "find_chains"),
        planar: ("gather_positions",),
        norms: ("splat_ones_grouped", "normalise_grouped", "slice_grouped"),
        layout: ("inspect", "pack", "unpack"),
        update: ("sweep", "blur"),
        reduction: ("rest_of", "keep_unary", "keep_values", "share_out"),
    }
    spent: dict[str, float] = {}

    def clocked(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            start = time.thread_time()
            result = kernel(*args)
            spent[name] = spent.get(name, 0.0) + 1e3 * (time.thread_time() - start)
            return result

        return run

    for module, names in kernels.items():
        for name in names:
            setattr(module, name, clocked(name, getattr(module, name)))
    for setting in (SETTINGS[0], SETTINGS[-1]):
        for classes in (2, 3, 21, 81):
            fastest = []
            for seed, image in enumerate(images):
                probs = class_probabilities(image.shape[:2], classes, seed)
                runs = []
                for _ in range(repeats + 1):
                    spent.clear()
                    seconds, _ = timed(lambda: ours(image, probs, setting))  # noqa: B023
                    runs.append({"all": 1e3 * seconds, **spent})
                fastest.append(min(runs, key=lambda run: run["all"]))
            middle = {name: float(np.median([run.get(name, 0.0) for run in fastest])) for name in fastest[0]}
            label = ", ".join(f"{value:g}" for value in setting)
            print(f"{label} K={classes}: " + ", ".join(f"{name} {value:.1f}" for name, value in middle.items()))


def shown(label: str, name: str, row: dict[str, float]) -> dict[str, float]:
    """Print a row of the table, and return it."""
    print(
        f"{label:>21} {name:>9} {row['ours']:8.1f} {row['peer']:11.1f} {row['ratio']:7.2f} "
        f"{row['agree']:9.3f} {row['worst']:9.3f}",
        flush=True,
    )
    return row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of images")
    parser.add_argument("--count", type=int, default=12, help="number of images")
    parser.add_argument("--repeats", type=int, default=2, help="runs per image; the fastest counts")
    parser.add_argument("--stages", action="store_true", help="time of each kernel instead")
    parser.add_argument("--measure", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--classes", type=int, default=21, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the comparison; the exit status is 2 if it cannot run."""
    options = _options()
    if options.measure:
        measure(options.measure, options.classes)
        return 0
    images = load_images(options.images, options.count)
    if not images:
        print(f"{options.images}: no images of about 500 x 375 pixels here; give another folder with --images")
        return 2
    if options.stages:
        stages(images, options.repeats)
        return 0
    try:
        import pydensecrf  # noqa: F401
    except ImportError:
        print("pydensecrf is not installed; `pip install pydensecrf2` builds it where there is a compiler")
        return 2
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(everywhere)})
    print(f"{len(images)} images, 10 iterations, one thread; medians; times in ms\n")
    print(f"{'case':>21} {'K':>9} {'ours':>8} {'pydensecrf':>11} {'ratio':>7} {'agree %':>9} {'worst %':>9}")
    results: dict[tuple[str, str], dict[str, float]] = {}
    for setting in SETTINGS:
        for name, classes, extra in [
            *((str(k), k, {}) for k in CLASSES),
            ("21 pruned", 21, {"prune": PRUNE}),
            ("21 half", 21, {"scale": 0.5}),
        ]:
            label = ", ".join(f"{value:g}" for value in setting)
            results[label, name] = shown(label, name, compare(images, classes, setting, options.repeats, **extra))
    cases = []
    for label, (run, numbers) in CASES.items():
        for classes in numbers:
            few = images[: max(1, min(options.count, 60 // classes))]
            cases.append(shown(label, str(classes), compare_case(few, run, classes, options.repeats)))
    for classes in (2, 21):
        mine, theirs = peak_memory("ours", classes), peak_memory("peer", classes)
        print(f"memory for one image of 500 x 375, K={classes}: {mine:.0f} MB, pydensecrf {theirs:.0f} MB")
    os.sched_setaffinity(0, everywhere)
    if len(everywhere) > 1:
        print(f"two threads on a batch, K=3: {two_threads(images, 3):.2f} times as fast as one")
    first, later = first_use()
    print(f"a new process, kernels not compiled yet: {first:.1f} s; compiled: {later:.1f} s")
    usual, product = ("80, 13, 10", "60, 5, 4")
    worst = min(row["ratio"] for row in [*results.values(), *cases])
    print(
        f"with the settings of the presets ({product}): K=3 {results[product, '3']['ratio']:.1f} "
        f"K=21 {results[product, '21']['ratio']:.1f}"
    )
    print(
        f"crf x pydensecrf K=2 {results[usual, '2']['ratio']:.1f} K=3 {results[usual, '3']['ratio']:.1f} "
        f"K=21 {results[usual, '21']['ratio']:.1f} pruned {results[usual, '21 pruned']['ratio']:.1f} "
        f"worst {worst:.1f} agree {results[usual, '21']['agree']:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
