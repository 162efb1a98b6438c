"""Score settings of prediction on a trained run, without tags or with them given.

    python benchmarks/bench_prediction.py RUN IMAGES MASKS [--tags CSV] [--try "prediction.gate=0.1 ..."]...

Each `--try` is one row: settings that differ from the run's own (those of `masks` count for `prior_weight`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tag2mask.cli.common import parse_settings
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset, list_images
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask
from tag2mask.models.checkpoint import RunFolder, load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path, help="folder of ground truth")
    parser.add_argument("--tags", type=Path, help="give the network these tags")
    parser.add_argument("--try", dest="tries", action="append")
    args = parser.parse_args()
    network, classes, config = load_model(RunFolder(args.run))
    found = list_images(args.images)
    images = [read_image(path) for path, _ in found]
    tagged: dict[str, ImageRecord] = {}
    if args.tags:
        tagged = {record.name: record for record in Dataset.load(args.images, args.tags, classes=classes).records}
    targets = [read_mask(mask_path(args.masks, name)) for _, name in found]
    print(f"{len(found)} images; mIoU, foreground divided by that of the ground truth, IoU by class")
    for text in ["", *(args.tries or [])]:
        backend = TorchBackend(network, classes, config.override(parse_settings(text.split())))
        confusion = np.zeros((len(classes) + 1,) * 2, dtype=np.int64)
        pairs = ((image, tagged.get(name)) for image, (_, name) in zip(images, found, strict=True))
        for prediction, target in zip(Segmenter(backend).predict_many(pairs), targets, strict=True):
            confusion += confusion_matrix(prediction.mask, target, len(confusion))
        share = confusion[:, 1:].sum() / confusion[1:].sum()
        by_class = " ".join(f"{100 * value:.0f}" for value in iou_per_class(confusion))
        print(f"{text or 'as trained':<60} {100 * mean_iou(confusion):5.1f} {share:.2f}  [{by_class}]", flush=True)


if __name__ == "__main__":
    main()
