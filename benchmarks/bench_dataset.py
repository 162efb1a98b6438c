"""Train on the tags of a benchmark dataset and compare the result with the fully supervised upper bound ("ceiling").

    python benchmarks/bench_dataset.py voc_animals --bench DIR --weights FOLDER [--limit 800] [--seed 0]

The folder holds `train` and `val` with `images`, `masks` and `tags.csv`, `classes.txt`, and an independent `score.py`.
Training sees images and tags; the ground truth of `train` scores the pseudo masks and trains the ceiling: the same
network, epochs and settings. Last line: `tag/ceiling 0.83 mIoU 47.1 minutes 4.6`, the minutes from tags to network.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tag2mask.cli.common import parse_settings
from tag2mask.config import Config, load_config
from tag2mask.data import Dataset
from tag2mask.evaluation.average_precision import evaluate_tags
from tag2mask.evaluation.baselines import thresholded_cam
from tag2mask.evaluation.folders import evaluate
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.train import train

Scores = dict[str, Any]  # of score.py, or of `Evaluation.to_dict`


def main() -> int:
    args = _arguments()
    logging.basicConfig(format="  %(message)s", stream=sys.stdout)
    logging.getLogger("tag2mask").setLevel(logging.INFO)
    folder = args.bench / args.name
    if not folder.is_dir():
        print(f"skipped: {folder} is not here; give --bench")
        return 0
    started = time.monotonic()
    config = load_config(args.config) if args.config else Config()
    settings = {"model.weights": str(args.weights), "training.seed": args.seed, **parse_settings(args.set or [])}
    config = config.override(settings)
    out: Path = args.out or Path("runs") / f"bench-{args.name}-{args.limit or 'all'}-seed{args.seed}"
    shutil.rmtree(out / "ceiling" if args.ceiling_only else out, ignore_errors=True)
    dataset = _split(folder, "train", limit=args.limit)
    if args.ceiling_only:
        top = _ceiling(dataset, folder, out, config)
        print(f"ceiling, seed {args.seed}: mIoU {100 * top['mIoU']:.1f}; {_by_class(top)}")
        return 0
    print("training from tags", flush=True)
    segmenter = train(dataset, out / "tags", config=config, make_masks=not args.no_pseudo, progress=False)
    run = RunFolder(out / "tags")
    minutes_from_tags = (time.monotonic() - started) / 60
    share = _pseudo_mask_share(run.metrics)
    print(
        f"trained from tags in {minutes_from_tags:.1f} min; pseudo masks took {share:.0%} of the joint epochs",
        flush=True,
    )
    tag = _score(segmenter, folder, out / "val-tags")
    print(f"from tags: mIoU {100 * tag['mIoU']:.1f}; {_by_class(tag)}", flush=True)
    val = _split(folder, "val")
    print(f"tags of val: {evaluate_tags(segmenter, val).summary()}", flush=True)
    print(f"val by object size: {_by_size(out / 'val-tags', folder)}", flush=True)
    cam, threshold = (None, None) if args.no_cam else thresholded_cam(segmenter, val)
    ceiling = None if args.no_ceiling else _ceiling(dataset, folder, out, config)
    pseudo = None if args.no_pseudo else json.loads(run.result.read_text(encoding="utf-8"))["score"]
    _print_table(tag, ceiling, pseudo)
    if cam is not None:
        print(f"thresholded CAM on val, tags given, best threshold {threshold}: mIoU {100 * cam:.1f}\n")
    minutes = (time.monotonic() - started) / 60
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{minutes:.1f} min in all, peak memory of the process {memory:.1f} GiB, seed {args.seed}, run in {out}")
    ratio = f"{tag['mIoU'] / ceiling['mIoU']:.2f}" if ceiling else "-"
    print(f"tag/ceiling {ratio} mIoU {100 * tag['mIoU']:.1f} minutes {minutes_from_tags:.1f}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="folder of the dataset inside --bench")
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument(
        "--weights",
        required=True,
        help="folder with a file of each backbone, safetensors file, 'hub', 'package' or 'none'",
    )
    parser.add_argument("--limit", type=int, help="train on the first so many images after a shuffle with seed 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", help="YAML file or preset")
    parser.add_argument("--set", action="append", help="any setting, name=value; repeatable")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--no-ceiling", action="store_true")
    parser.add_argument("--no-pseudo", action="store_true", help="do not predict masks of the training images")
    parser.add_argument("--no-cam", action="store_true", help="do not score thresholded class maps")
    parser.add_argument("--ceiling-only", action="store_true")
    return parser.parse_args()


def _split(folder: Path, split: str, *, limit: int | None = None) -> Dataset:
    """`train` or `val` of the benchmark's folder, its images decoded once, so that `limit` counts readable ones."""
    part = folder / split
    classes = folder / "classes.txt"
    return Dataset.load(
        part / "images", part / "tags.csv", masks=part / "masks", classes=classes, limit=limit, verify=True
    )


def _ceiling(dataset: Dataset, folder: Path, out: Path, config: Config) -> Scores:
    """Train on ground truth and score on val."""
    print("training the ceiling on ground truth", flush=True)
    supervised = config.override({"training.supervision": "masks"})
    segmenter = train(dataset, out / "ceiling", config=supervised, make_masks=False, progress=False)
    return _score(segmenter, folder, out / "val-ceiling")


def _by_class(score: Scores) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in score["IoU"].items())


def _by_size(masks: Path, folder: Path) -> str:
    """Recall and IoU of the objects of each size, over classes."""
    sizes = evaluate(masks, folder / "val" / "masks", folder / "classes.txt", by_size=True).by_size
    assert sizes is not None
    return "; ".join(
        f"{group.size} recall {100 * group.recall:.1f} IoU {100 * group.iou:.1f} ({group.components} objects)"
        for group in sizes.overall
        if group.components
    )


def _pseudo_mask_share(metrics: Path) -> float:
    """Share of the joint epochs' time that went into pseudo masks."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    joint = [line for line in lines if "pixel_loss" in line]
    return float(sum(line["mask_seconds"] for line in joint) / sum(line["seconds"] for line in joint))


def _score(segmenter: Segmenter, folder: Path, out: Path) -> Scores:
    """Predict val without tags and score it with the benchmark's own scorer."""
    segmenter.predict_folder(folder / "val" / "images", out, overwrite=True, progress=False)
    command = [
        sys.executable,
        str(folder.parent / "score.py"),
        str(out),
        str(folder / "val" / "masks"),
        str(folder / "classes.txt"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"score.py failed: {done.stderr}")
    result: Scores = json.loads(done.stdout)
    return result


def _print_table(tag: Scores, ceiling: Scores | None, pseudo: Scores | None) -> None:
    print(f"\n{'class':<14}{'tags':>7}{'ceiling':>9}")
    for name, value in tag["IoU"].items():
        top = f"{100 * ceiling['IoU'].get(name, float('nan')):.1f}" if ceiling else "-"
        print(f"{name:<14}{100 * value:>7.1f}{top:>9}")
    top = f"{100 * ceiling['mIoU']:.1f}" if ceiling else "-"
    print(f"{'mIoU':<14}{100 * tag['mIoU']:>7.1f}{top:>9}")
    if pseudo is not None:
        print(f"masks of the {pseudo['images']} training images, tags given: mIoU {100 * pseudo['mIoU']:.1f}")


if __name__ == "__main__":
    raise SystemExit(main())
