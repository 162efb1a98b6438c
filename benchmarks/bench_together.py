"""Time `tag2mask predict` alone and twice at once, with threads that sleep while they wait and with threads that spin.

    python benchmarks/bench_together.py RUN IMAGES [--count 60] [--rounds 3]

The command line lets OpenMP's threads sleep (`tag2mask.core.machine.share_cores`); GOMP_SPINCOUNT=300000 is what
they do otherwise. Medians over the rounds; last line: `twice at once asleep / spinning 0.8`.
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

from tag2mask.data import list_images

WAITING = {"asleep": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        some = Path(folder) / "images"
        some.mkdir()
        for path, _ in list_images(args.images)[: args.count]:
            shutil.copy(path, some)
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(args.rounds):
            for name in WAITING:
                for copies in (1, 2):
                    seconds = _time(args.run, some, Path(folder), copies, WAITING[name])
                    times.setdefault((name, copies), []).append(seconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    for (name, copies), seconds in medians.items():
        print(f"{name:<9} {'alone' if copies == 1 else 'twice at once':<14} {seconds:6.1f} s")
    print(f"alone asleep / spinning {medians['asleep', 1] / medians['spinning', 1]:.2f}")
    print(f"twice at once asleep / spinning {medians['asleep', 2] / medians['spinning', 2]:.2f}")


def _time(run: Path, images: Path, folder: Path, copies: int, more: dict[str, str]) -> float:
    """Seconds until all of `copies` commands have ended."""
    command = [sys.executable, "-m", "tag2mask", "predict", str(run), str(images), "--overwrite", "--out"]
    started = time.perf_counter()
    running = [
        subprocess.Popen([*command, str(folder / f"out{k}")], env={**os.environ, **more}, stdout=subprocess.DEVNULL)
        for k in range(copies)
    ]
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit("tag2mask predict failed; its message is above")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
