"""Does the review queue begin with the worst masks? Uncertainty against the error that the ground truth shows.

    python benchmarks/bench_review.py RUN IMAGES TAGS MASKS [--with-tags]

Prints the rank correlation of each sign with the error of an image (1 - mean IoU of its classes), and the
error of the least certain tenth and fifth beside that of all and of the truly worst.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation.correlation import rank_correlation
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import read_mask
from tag2mask.method.uncertainty import Uncertainty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained run")
    parser.add_argument("images", type=Path)
    parser.add_argument("tags", type=Path)
    parser.add_argument("masks", type=Path, help="folder of ground truth")
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument("--with-tags", action="store_true", help="give the tags, as `tag2mask masks` does")
    args = parser.parse_args()
    if not args.masks.is_dir():
        print(f"{args.masks}: not here; nothing measured")
        return 0
    segmenter = Segmenter.from_pretrained(args.run)
    records = Dataset.load(args.images, args.tags, classes=segmenter.classes, masks=args.masks).records[: args.limit]
    pairs: list[tuple[Path, ImageRecord | None]] = [
        (record.path, record if args.with_tags else None) for record in records
    ]
    rows = []
    for record, prediction in zip(records, segmenter.predict_many(pairs), strict=True):
        assert record.gt_mask is not None
        confusion = confusion_matrix(prediction.mask, read_mask(record.gt_mask), len(segmenter.classes) + 1)
        rows.append((1 - mean_iou(confusion), *prediction.uncertainty, prediction.uncertainty.total))
    table = np.array(rows)
    error, total = table[:, 0], table[:, -1]
    for name, column in zip((*Uncertainty._fields, "all"), table[:, 1:].T, strict=True):
        print(f"{name:<10} rank correlation with the error {rank_correlation(column, error):+.2f}")
    print(f"error of all {len(error)} masks {error.mean():.3f}")
    for share in (0.1, 0.2):
        count = max(1, round(share * len(error)))
        chosen, worst = error[np.argsort(-total)[:count]].mean(), np.sort(error)[::-1][:count].mean()
        print(f"least certain {share:.0%}: error {chosen:.3f}; truly worst {share:.0%}: {worst:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
