"""Score settings of prediction on a trained run, without tags or with them given.

    python benchmarks/bench_prediction.py RUN IMAGES MASKS [--tags CSV] [--try "prediction.gate=0.1 ..."]...

Each `--try` is one row: settings that differ from the run's own (those of `masks` count for `prior_weight`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tag2mask.cli.common import parse_settings
from tag2mask.data import list_images, load_dataset
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor, Request
from tag2mask.masks import mask_path, read_mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--tags", type=Path, help="give the network these tags")
    parser.add_argument("--try", dest="tries", action="append")
    args = parser.parse_args()
    base = Predictor.load(args.run)
    jobs = list_images(args.images)
    photographs = [read_image(path) for path, _ in jobs]
    tags: dict[str, list[str]] = {}
    if args.tags:
        collection = load_dataset(args.images, args.tags, classes=base.classes)
        tags = {item.name: sorted(item.present) for item in collection.records}
    targets = [read_mask(mask_path(args.masks, name)) for _, name in jobs]
    print(f"{len(jobs)} images; mIoU, foreground against that of the human masks, IoU by class")
    for text in ["", *(args.tries or [])]:
        predictor = Predictor(base.network, base.classes, base.config.override(parse_settings(text.split())))
        confusion = np.zeros((len(base.classes) + 1,) * 2, dtype=np.int64)
        requests = [Request(image, tags.get(name)) for image, (_, name) in zip(photographs, jobs, strict=True)]
        predictions = predictor.predict_many(requests)
        for prediction, target in zip(predictions, targets, strict=True):
            confusion += confusion_matrix(prediction.mask, target, len(confusion))
        size = confusion[:, 1:].sum() / confusion[1:].sum()
        classes = " ".join(f"{100 * value:.0f}" for value in iou_per_class(confusion))
        print(f"{text or 'as trained':<60} {100 * mean_iou(confusion):5.1f} {size:.2f}  [{classes}]", flush=True)


if __name__ == "__main__":
    main()
