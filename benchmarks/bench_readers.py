"""Seconds and memory to read a table of 100,000 rows in each format, with their names matched to 100,000 files.

    python benchmarks/bench_readers.py [--rows N] [--only TEXT] [--out docs/readers.md]

Each format is read in a process of its own, on one core. `read` is the table read, its names matched to the files and
its tags checked; `load` also opens every image for its size, as `Dataset.load` does. Seconds are the
processor's, so that other work on the machine does not count. Memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from table_makers import TABLES, rows_of, write_table

LIMIT_SECONDS, LIMIT_MIB = 5.0, 500


def measure(images: Path, table: Path) -> dict[str, float]:
    """Read one table in this process."""
    from tag2mask.data import load_dataset
    from tag2mask.data.readers.sources import read_source
    from tag2mask.data.resolve import class_names, resolved

    start = time.process_time()
    listing = read_source(images, table, None, "auto")
    records = resolved(listing, class_names(listing, None), chosen=False, require_tags=True)
    read = time.process_time() - start
    count, tags = len(records), sum(len(record.present) for record in records)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    del listing, records
    start = time.process_time()
    load_dataset(images, table)
    return {"images": count, "tags": tags, "read": read, "mib": peak, "load": time.process_time() - start}


def make_images(folder: Path, rows: int) -> None:
    """Files of the names in the table: links to one small JPEG."""
    first = folder.parent / "one.jpg"
    Image.new("RGB", (64, 48), (90, 120, 60)).save(first)
    for number, (name, _) in enumerate(rows_of(rows)):
        path = folder / name
        if number % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            base = path.with_name("base.tmp")
            base.write_bytes(first.read_bytes())
        os.link(path.with_name("base.tmp"), path)
    for base in folder.rglob("base.tmp"):
        base.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    print(f"| format | images | tags | read, s | peak, MiB | load, s |\n|{'---|' * 6}")
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "images"
        make_images(images, arguments.rows)
        for name in TABLES:
            if arguments.only.casefold() not in name.casefold():
                continue
            table = write_table(Path(temporary), name, rows_of(arguments.rows))
            command = [sys.executable, __file__, "--measure", str(images), str(table)]
            one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            done = subprocess.run(command, env=os.environ | one_core, capture_output=True, text=True, check=False)
            table.unlink()
            if done.returncode:
                failed.append(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                continue
            found = json.loads(done.stdout)
            print(
                f"| {name} | {found['images']} | {found['tags']} | {found['read']:.1f} | {found['mib']:.0f} "
                f"| {found['load']:.1f} |",
                flush=True,
            )
            if found["read"] > LIMIT_SECONDS or found["mib"] > LIMIT_MIB or found["images"] != arguments.rows:
                failed.append(f"{name}: beyond {LIMIT_SECONDS} s, {LIMIT_MIB} MiB, or images are missing")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
