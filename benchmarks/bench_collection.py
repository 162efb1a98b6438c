"""Train on the tags of a benchmark collection and stand the result beside its ceiling.

    python benchmarks/bench_collection.py voc_animals --bench DIR --weights FILE [--limit 800] [--seed 0]

The folder holds `train` and `val` with `images`, `masks` and `tags.csv`, `classes.txt`, and an
independent `score.py`. Training sees images and tags; training masks score pseudo masks and train
the ceiling: the same network, epochs and settings on human masks. Last line: `tag/ceiling 0.83 mIoU 47.1`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tag2mask.api import predict, train
from tag2mask.cli.common import parse_settings
from tag2mask.config.load import load_config
from tag2mask.config.schema import Config
from tag2mask.data import load_dataset
from tag2mask.evaluation.baselines import thresholded_cam
from tag2mask.inference.predictor import Predictor
from tag2mask.models.checkpoint import RunFolder


def main() -> int:
    args = _arguments()
    folder = args.bench / args.name
    if not folder.is_dir():
        print(f"skipped: {folder} is not here; give --bench")
        return 0
    started = time.monotonic()
    config = load_config(args.config) if args.config else Config()
    config = config.override(
        {"model.weights": str(args.weights), "training.seed": args.seed, **parse_settings(args.set or [])}
    )
    out: Path = args.out or Path("runs") / f"bench-{args.name}-{args.limit or 'all'}-seed{args.seed}"
    shutil.rmtree(out / "ceiling" if args.ceiling_only else out, ignore_errors=True)
    common: dict[str, Any] = {"limit": args.limit, "report": lambda line: print(f"  {line}", flush=True)}
    images, tags = folder / "train" / "images", folder / "train" / "tags.csv"
    if args.ceiling_only:
        top = _ceiling(folder, out, config, common)
        print(f"ceiling, seed {args.seed}: mIoU {100 * top['mIoU']:.1f}; {_by_class(top)}")
        return 0
    print("training from tags", flush=True)
    result = train(
        images, tags, masks=folder / "train" / "masks", classes=folder / "classes.txt",
        out=out / "tags", config=config, make_masks=not args.no_pseudo, **common,
    )  # fmt: skip
    tag_minutes = (time.monotonic() - started) / 60
    predictor = Predictor.load(result.run)
    mask_share = _mask_share(RunFolder(Path(result.run)).metrics)
    print(
        f"trained from tags in {tag_minutes:.1f} min; training masks took {mask_share:.0%} of the joint epochs",
        flush=True,
    )
    tag = _score(predictor, folder, out / "val-tags")
    print(f"from tags: mIoU {100 * tag['mIoU']:.1f}; {_by_class(tag)}", flush=True)
    val = load_dataset(folder / "val" / "images", folder / "val" / "tags.csv", masks=folder / "val" / "masks")
    cam, threshold = thresholded_cam(predictor, val)
    ceiling = None if args.no_ceiling else _ceiling(folder, out, config, common)
    _print_table(args, result.score, tag, cam, threshold, ceiling)
    minutes = (time.monotonic() - started) / 60
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{minutes:.1f} min in all, peak memory of the process {memory:.1f} GiB, seed {args.seed}, run in {out}")
    share = f"{tag['mIoU'] / ceiling['mIoU']:.2f}" if ceiling else "-"
    print(f"tag/ceiling {share} mIoU {100 * tag['mIoU']:.1f}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="folder of the collection inside --bench")
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="safetensors file, 'hub' or 'none'")
    parser.add_argument("--limit", type=int, help="train on the first so many images after a shuffle with seed 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", help="YAML file or preset")
    parser.add_argument("--set", action="append", help="any setting, name=value; repeatable")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--no-ceiling", action="store_true")
    parser.add_argument("--no-pseudo", action="store_true")
    parser.add_argument("--ceiling-only", action="store_true")
    return parser.parse_args()


def _ceiling(folder: Path, out: Path, config: Config, common: dict[str, Any]) -> dict[str, Any]:
    """Train on human masks and score on val."""
    print("training the ceiling on human masks", flush=True)
    top = train(
        folder / "train" / "images", folder / "train" / "tags.csv", masks=folder / "train" / "masks",
        classes=folder / "classes.txt", out=out / "ceiling", make_masks=False,
        config=config.override({"training.supervision": "masks"}), **common,
    )  # fmt: skip
    return _score(Predictor.load(top.run), folder, out / "val-ceiling")


def _by_class(score: dict[str, Any]) -> str:
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in score["IoU"].items())


def _mask_share(metrics: Path) -> float:
    """Share of the joint epochs' time that went into training masks."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    joint = [line for line in lines if "pixel_loss" in line]
    return float(sum(line["mask_seconds"] for line in joint) / sum(line["seconds"] for line in joint))


def _score(predictor: Predictor, folder: Path, out: Path) -> dict[str, Any]:
    """Predict val without tags and score it with the benchmark's own scorer."""
    predict(predictor, folder / "val" / "images", out=out, overwrite=True)
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
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _print_table(
    args: argparse.Namespace,
    pseudo: Any,
    tag: dict[str, Any],
    cam: float,
    threshold: float,
    ceiling: dict[str, Any] | None,
) -> None:
    print(f"\n{'class':<14}{'tags':>7}{'ceiling':>9}")
    for name, value in tag["IoU"].items():
        top = f"{100 * ceiling['IoU'].get(name, float('nan')):.1f}" if ceiling else "-"
        print(f"{name:<14}{100 * value:>7.1f}{top:>9}")
    top = f"{100 * ceiling['mIoU']:.1f}" if ceiling else "-"
    print(f"{'mIoU':<14}{100 * tag['mIoU']:>7.1f}{top:>9}")
    print(f"thresholded CAM on val, tags given, best threshold {threshold}: mIoU {100 * cam:.1f}")
    if pseudo is not None:
        print(f"pseudo masks of the {pseudo.images} training images: mIoU {100 * pseudo.miou:.1f}")
    print()


if __name__ == "__main__":
    raise SystemExit(main())
