"""Training on two processes against one on one core, pinned, in one run: images a second, and mIoU over seeds.

    python benchmarks/bench_devices.py [--weights FILE] [--seeds 3]

Speed: `voc_animals`' validation images, default settings, random weights, the joint epochs without the time of
making masks. mIoU: the demo's scenes, on scenes not trained on, the same settings with one process and with two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tag2mask import Segmenter, evaluate
from tag2mask.demo.run import demo_config
from tag2mask.demo.scenes import write_dataset

IMAGES = Path(__file__).parents[2] / "shared/bench/voc_animals/val"


def train(out: Path, images: Path, tags: Path, *options: str, cores: str, devices: int) -> Path:
    """Train by the command, on the named cores."""
    command = ["taskset", "-c", cores, sys.executable, "-m", "tag2mask", "train", str(images), "--tags", str(tags)]
    command += ["--out", str(out), "--no-masks", "--devices", str(devices), *options]
    subprocess.run(command, check=True, capture_output=True)
    return out


def rate(run: Path, images: int) -> float:
    """Images a second of the epochs after the first, without making masks."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][1:]
    return float(np.median([images / (line["seconds"] - line["mask_seconds"]) for line in lines]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratio = float("nan")
        if IMAGES.is_dir():
            options = ("--weights", "none", "--epochs", "4", "--set", "data.workers=1", "--set", "training.loggers=[]")
            images, tags = IMAGES / "images", IMAGES / "tags.csv"
            count = len(list(images.iterdir()))
            one = rate(train(folder / "a", images, tags, *options, cores="0", devices=1), count)
            two = rate(train(folder / "b", images, tags, *options, cores="0,1", devices=2), count)
            ratio = two / one
            print(f"one process on one core {one:.1f} images/s, two on two {two:.1f}: {ratio:.2f} times", flush=True)
        else:
            print(f"{IMAGES}: not here; speed is not measured")
        scenes = folder / "scenes"
        write_dataset(scenes, train=400, val=100, seed=0)
        scores: dict[int, list[float]] = {1: [], 2: []}
        for seed in range(args.seeds):
            config = folder / f"{seed}.yaml"
            config.write_text(demo_config(seed=seed).override({"training.loggers": []}).to_yaml())
            for devices in (1, 2):
                out = folder / f"run-{seed}-{devices}"
                given = ("--config", str(config))
                train(out, scenes / "train/images", scenes / "train/tags.csv", *given, cores="0,1", devices=devices)
                Segmenter.from_pretrained(out).predict_folder(scenes / "val/images", out / "val", progress=False)
                score = evaluate(out / "val", scenes / "val/masks", scenes / "classes.txt")
                scores[devices].append(100 * score.miou)
                print(f"seed {seed}, {devices} process(es): {score.summary()}", flush=True)
    mean = {devices: f"{np.mean(values):.1f} +- {np.std(values, ddof=1):.1f}" for devices, values in scores.items()}
    print(f"devices {ratio:.2f} times; mIoU one process {mean[1]}, two {mean[2]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
