"""Does the review queue begin with the worst masks? Uncertainty against the error that human masks show.

    python benchmarks/bench_review.py RUN IMAGES TAGS MASKS [--with-tags]

Prints the rank correlation of each sign with the error of an image (1 - mean IoU of its classes), and the
error of the least certain tenth and fifth beside that of all and of the truly worst.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.data import load_dataset
from tag2mask.evaluation.metrics import confusion_matrix
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor, Request
from tag2mask.masks import read_mask


def image_error(mask: NDArray[np.uint8], human: NDArray[np.uint8], classes: int) -> float:
    """1 - mean IoU over background and the classes that either mask shows."""
    counts = confusion_matrix(mask, human, classes + 1).astype(float)
    union = counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
    return float(1 - (counts.diagonal()[union > 0] / union[union > 0]).mean())


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Rank correlation (no correction for ties, which are rare here)."""
    first, second = (values.argsort().argsort().astype(float) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained run")
    parser.add_argument("images", type=Path)
    parser.add_argument("tags", type=Path)
    parser.add_argument("masks", type=Path, help="folder of human masks")
    parser.add_argument("--with-tags", action="store_true", help="give the tags, as `tag2mask masks` does")
    args = parser.parse_args()
    if not args.masks.is_dir():
        print(f"{args.masks}: not here; nothing measured")
        return 0
    predictor = Predictor.load(args.run)
    items = load_dataset(args.images, args.tags, classes=predictor.classes, masks=args.masks).records

    def requests() -> Iterator[Request]:
        for item in items:
            tags = sorted(item.present) if args.with_tags else None
            yield Request(read_image(item.path), tags, sorted(item.unknown) if args.with_tags else ())

    rows = []
    for item, prediction in zip(items, predictor.predict_many(requests()), strict=True):
        assert item.gt_mask is not None
        wrong = image_error(prediction.mask, read_mask(item.gt_mask), len(predictor.classes))
        rows.append((wrong, *prediction.doubt, prediction.doubt.total))
    table = np.array(rows)
    error, total = table[:, 0], table[:, 4]
    for name, column in zip(("streams", "views", "tags", "all three"), table[:, 1:].T, strict=True):
        print(f"{name:<10} rank correlation with the error {spearman(column, error):+.2f}")
    print(f"error of all {len(error)} masks {error.mean():.3f}")
    for share in (0.1, 0.2):
        count = max(1, round(share * len(error)))
        chosen, worst = error[np.argsort(-total)[:count]].mean(), np.sort(error)[::-1][:count].mean()
        print(f"least certain {share:.0%}: error {chosen:.3f}; truly worst {share:.0%}: {worst:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
