"""Compare this checkout with one of another revision: the same masks, and in what time?

    git worktree add ../old REVISION
    python benchmarks/compare_revisions.py ../old RUN IMAGES [--count 100] [--rounds 3] [--classes 150] [--demo]

Runs `tag2mask predict` of both, alternating, on a run that both can read (one of the older revision), and compares the
masks. `--classes` first widens the run's network to so many classes (random copies of its own), `--demo` also trains
the demo in both, alternating. Last line: `new / old 0.93`, the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="checkout of the other revision")
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--demo", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
        work = Path(folder)
        images = work / "images"
        images.mkdir()
        for path in sorted(args.images.iterdir())[: args.count]:
            shutil.copy(path, images)
        run = args.run if args.classes is None else widened(args.run, work / "run", args.classes)
        command = ["predict", str(run), str(images), "--out", "{out}", "--device", "cpu"]
        predicted = compare(args.old, command, work / "masks", args.rounds)
        print_difference(work / "masks" / "old", work / "masks" / "new")
        if args.demo:
            print(f"demo: new / old {compare(args.old, ['demo', '--out', '{out}'], work / 'demo', args.rounds):.2f}")
            print_difference(work / "demo" / "old" / "predictions", work / "demo" / "new" / "predictions")
    print(f"new / old {predicted:.2f}")


def compare(old: Path, command: list[str], out: Path, rounds: int) -> float:
    """Run a command of both revisions, alternating; the median of the ratios of their times."""
    ratios = []
    for number in range(rounds):
        seconds = {}
        order = [("old", old.resolve()), ("new", HERE)]
        for name, checkout in order if number % 2 else order[::-1]:
            shutil.rmtree(out / name, ignore_errors=True)
            words = [word.replace("{out}", str(out / name)) for word in command]
            environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "tag2mask", *words], env=environment, capture_output=True, text=True, check=False
            )
            seconds[name] = time.perf_counter() - started
            if done.returncode:
                raise SystemExit(f"{name} failed: {done.stderr}")
        ratios.append(seconds["new"] / seconds["old"])
        print(f"{command[0]}: old {seconds['old']:.1f} s, new {seconds['new']:.1f} s", flush=True)
    return statistics.median(ratios)


def print_difference(old: Path, new: Path) -> None:
    """Print how many pixels of the masks differ."""
    differing = total = images = 0
    for path in sorted(old.glob("*.png")):
        one, other = (np.asarray(Image.open(folder / path.name)) for folder in (old, new))
        count = int((one != other).sum())
        differing, total, images = differing + count, total + one.size, images + (count > 0)
    print(f"{differing} of {total} pixels differ, in {images} masks")


def widened(run: Path, out: Path, classes: int, seed: int = 0) -> Path:
    """The run with a network of `classes` classes: each of its own, copied again and again with some noise."""
    out.mkdir()
    tree = yaml.safe_load((run / "model.yaml").read_text(encoding="utf-8"))
    own = len(tree["classes"])
    tree["classes"] = [f"class {number}" for number in range(classes)]
    (out / "model.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    rng = np.random.default_rng(seed)
    tensors = load_file(run / "model.safetensors")
    source = np.arange(classes) % own
    for name, tensor in tensors.items():
        rows = tensor.shape[0] if tensor.ndim else 0
        if name.startswith("recognition.classifier.") and rows == own:
            chosen = source
        elif name.startswith("segmentation.") and rows == own + 1:
            chosen = np.concatenate([[0], source + 1])
        else:
            continue
        wide = tensor[chosen]
        noise = 0.02 * wide.std() * rng.standard_normal(wide.shape)
        tensors[name] = np.ascontiguousarray(wide + noise, dtype=tensor.dtype)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt", "tag2mask": "1"})
    return out


if __name__ == "__main__":
    main()
