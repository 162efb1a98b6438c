"""Time prediction with its dense CRF against the network's own forward pass, in one run.

    python benchmarks/bench_predict.py RUN IMAGES [--count 40]

Per image, alternating: the forward pass as configured (flip, scales), the prediction without the CRF, and the
prediction as configured. Last line: `predict with crf / forward 1.6`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from tag2mask.config.schema import CrfConfig
from tag2mask.data import list_images
from tag2mask.images.decode import read_image
from tag2mask.inference.segmenter import Segmenter
from tag2mask.inference.views import run_views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    segmenter = Segmenter.from_pretrained(args.run, device="cpu")
    settings = segmenter.config.prediction
    side = segmenter.config.data.image_size
    without = settings.model_copy(update={"crf": CrfConfig(enabled=False)})
    images = [read_image(path) for path, _ in list_images(args.images)[: args.count]]
    segmenter.predict(images[0])
    rows = []
    for image in images:
        started = time.perf_counter()
        run_views(segmenter.backend, image, side=side, scales=settings.scales, flip=settings.flip)
        forward = time.perf_counter() - started
        started = time.perf_counter()
        segmenter.predict(image, settings=without)
        unrefined = time.perf_counter() - started
        started = time.perf_counter()
        segmenter.predict(image, settings=settings)
        whole = time.perf_counter() - started
        rows.append((forward, unrefined, whole))
    forward, unrefined, whole = (1000 * statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"{len(images)} images, medians: forward {forward:.1f} ms, without CRF {unrefined:.1f} ms, with {whole:.1f} ms"
    )
    ratio = statistics.median(row[2] / row[0] for row in rows)
    print(f"predict with crf / forward {ratio:.1f}")


if __name__ == "__main__":
    main()
