"""Time prediction with its dense CRF against the network's own forward pass, in one run.

    python benchmarks/bench_predict.py RUN IMAGES [--count 40]

Per image, alternating: the forward pass as configured (flip, scales), the same with gating and
upsampling, and the CRF. Last line: `predict with crf / forward 1.6`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from tag2mask.config.schema import CrfConfig
from tag2mask.data import list_images
from tag2mask.images.decode import read_image
from tag2mask.images.resize import scaled_size
from tag2mask.inference.predictor import Predictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    predictor = Predictor.load(args.run, device="cpu")
    settings = predictor.config.prediction
    without = settings.model_copy(update={"crf": CrfConfig(enabled=False)})
    images = [read_image(path) for path, _ in list_images(args.images)[: args.count]]
    predictor.predict(images[0])
    rows = []
    for image in images:
        pixels = predictor._upload(image)
        shape, side = (image.shape[0], image.shape[1]), predictor.config.data.image_size
        sizes = [scaled_size(shape, side * scale, multiple=32) for scale in settings.scales]
        started = time.perf_counter()
        for size in sizes:
            predictor._run(pixels, size, flip=settings.flip)
        forward = time.perf_counter() - started
        started = time.perf_counter()
        predictor.predict(image, settings=without)
        scored = time.perf_counter() - started
        started = time.perf_counter()
        predictor.predict(image, settings=settings)
        whole = time.perf_counter() - started
        rows.append((forward, scored, whole))
    forward, scored, whole = (1000 * statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{len(images)} images, medians: forward {forward:.1f} ms, scores {scored:.1f} ms, with CRF {whole:.1f} ms")
    ratio = statistics.median(row[2] / row[0] for row in rows)
    print(f"predict with crf / forward {ratio:.1f}")


if __name__ == "__main__":
    main()
