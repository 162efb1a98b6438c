"""Score the very first masks: of a pretrained network whose tag classifier is fitted, and nothing trained yet.

    python benchmarks/bench_first_masks.py BENCH/voc_animals --weights FOLDER [--size 160 --size 320]
    python benchmarks/bench_first_masks.py demo

Fits the classifier to tags of `train` (the first --limit images after a shuffle with seed 0) and makes masks
of `val`, the tags given. For each size and setting: mIoU after the CRF, and the foreground of the masks divided by
that of the ground truth. Takes no training, so it shows in minutes whether settings carry over from one size, network
or dataset to another. `demo` writes its scenes into a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench_masks import Seen, every_nth, look, score
from tag2mask.cli.common import parse_settings
from tag2mask.config.schema import Config
from tag2mask.data import Dataset
from tag2mask.demo import BACKBONE, demo_weights, write_dataset
from tag2mask.evaluation.metrics import iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models import build_network
from tag2mask.training.probe import start_classifier
from tag2mask.training.pseudo_masks import PseudoMaskFiles

DEFAULT = [
    f"masks.prior_layers={layers} masks.soft_threshold={threshold}"
    for layers in ("[-1]", "[-2,-1]")
    for threshold in ("auto", "0.25", "0.35", "0.45", "otsu")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="folder with train, val and classes.txt, or 'demo'")
    parser.add_argument("--weights", default="hub", help="folder with a file of the backbone, file, or 'hub'")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, action="append", help="data.image_size; repeatable; default 160 and 320")
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--every", type=int, default=2, help="take every n-th image of val")
    parser.add_argument("--set", action="append", help="any setting, name=value; repeatable")
    parser.add_argument("--try", dest="tries", action="append", help="settings of one row; repeatable")
    args = parser.parse_args()
    settings: dict[str, Any] = {"model.weights": args.weights, "model.backbone": args.backbone}
    settings["masks.scales"] = [1.0]  # at which `look` sees them, so that 'auto' is measured there
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.dataset)
        if args.dataset == "demo":
            folder = Path(temporary) / "demo"
            write_dataset(folder, train=200, val=100, seed=0)
            settings |= {"model.weights": str(demo_weights()), "model.backbone": BACKBONE, "model.output_stride": 8}
        for size in args.size or ([160] if args.dataset == "demo" else [160, 320]):
            config = Config().override({"data.image_size": size, **settings, **parse_settings(args.set or [])})
            report(folder, config, args.limit, args.every, args.tries or DEFAULT)


def report(folder: Path, config: Config, limit: int, every: int, tries: list[str]) -> None:
    """Print a row for each setting."""
    train = _split(folder, "train").subset(first=limit)
    val = every_nth(_split(folder, "val"), every)
    network = build_network(config, len(train.classes))
    start_classifier(TorchBackend(network, train.classes, config, device="cpu"), train, read_image)
    print(f"{config.model.backbone}, {config.data.image_size} pixels, {len(val)} images of {folder.name}", flush=True)
    seen: dict[tuple[int, ...], list[Seen]] = {}
    for text in tries:
        chosen = config.override(parse_settings(text.split()))
        backend = TorchBackend(network, train.classes, chosen, device="cpu")
        layers = chosen.masks.prior_layers
        if layers not in seen:
            seen[layers] = look(backend, val)
        if chosen.masks.soft_threshold == "auto":
            measured = PseudoMaskFiles(train, Path()).measure(backend)
            assert measured is not None, "no image of `train` has a tag"
            chosen = chosen.with_threshold(measured.threshold, measured.spread)
            text += f" ({measured.threshold})"
        _, after = score(seen[layers], chosen, len(train.classes) + 1)
        share = after[:, 1:].sum() / after[1:].sum()
        by_class = " ".join(f"{100 * value:.0f}" for value in iou_per_class(after))
        print(f"{text:<62} {100 * mean_iou(after):5.1f}  foreground {share:.2f}  [{by_class}]", flush=True)


def _split(folder: Path, split: str) -> Dataset:
    """`train` or `val` of a benchmark's folder."""
    part = folder / split
    return Dataset.load(part / "images", part / "tags.csv", masks=part / "masks", classes=folder / "classes.txt")


if __name__ == "__main__":
    main()
