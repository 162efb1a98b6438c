"""How often is the verdict right? On made collections of known worth, and on finished runs known to be useful.

    python benchmarks/bench_verdict.py --out runs/verdicts [--seeds 2] [--only tissue] [--good RUN ...]

Makes each collection of `verdict_collections.py`, trains on it for a minute with the demo's network, and prints the
verdict beside what it should be: useful ones green, useless ones amber or red. `--good` adds finished runs that are
known to be useful, such as those of `make bench-animals`, `make bench-steel` and `tag2mask demo`; these are not trained
again. Called again with the same `--out` it judges the runs there are, in seconds each, so that thresholds can be
compared. Writes `verdicts.md` and `verdicts.json` there. The exit status is 1 where a verdict is wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.demo.run import demo_config
from tag2mask.evaluation.verdict import Verdict, write_verdict
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.train import train
from verdict_collections import USEFUL, USELESS, Maker

SETTINGS = {
    "data.image_size": 96,
    "data.crop_size": 96,
    "training.epochs": 12,
    "training.loggers": [],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/verdicts"))
    parser.add_argument("--seeds", type=int, default=1, help="collections of each kind")
    parser.add_argument("--only", action="append", help="collections whose name holds this; repeatable")
    parser.add_argument("--good", type=Path, nargs="*", default=[], help="finished runs known to be useful")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    for useful, makers in ((True, USEFUL), (False, USELESS)):
        for name, make in makers.items():
            if args.only and not any(part in name for part in args.only):
                continue
            for seed in range(args.seeds):
                started = time.monotonic()
                try:
                    verdict = judged(made_run(make, args.out / name.replace(" ", "_") / str(seed), seed))
                    rows.append(row(name, seed, useful, verdict.overall, verdict.reason))
                except DataError as error:  # refused before it starts, which warns too
                    rows.append(row(name, seed, useful, "refused", str(error)))
                print(f"{rows[-1]['light']:8} {name} {seed}: {time.monotonic() - started:.0f} s", flush=True)
    for folder in args.good:
        verdict = judged(RunFolder(folder))
        rows.append(row(str(folder), 0, True, verdict.overall, verdict.reason))
    text = table(rows)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "verdicts.md").write_text(text + "\n", encoding="utf-8")
    (args.out / "verdicts.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return int(any(not one["right"] for one in rows))


def made_run(make: Maker, folder: Path, seed: int) -> RunFolder:
    """The run of a made collection, trained unless it is there."""
    run = RunFolder(folder / "run")
    if run.result.is_file():
        return run
    shutil.rmtree(folder, ignore_errors=True)
    collection = make(np.random.default_rng(seed))
    images, tags = collection.write(folder)
    config = demo_config(seed=seed).override({**SETTINGS, **collection.settings})
    train(Dataset.load(images, tags), run.root, config=config, make_report=False, progress=False)
    return run


def judged(run: RunFolder) -> Verdict:
    """The verdict on a run, made again."""
    dataset = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    return write_verdict(run, Segmenter.from_pretrained(run.root), dataset)


def row(name: str, seed: int, useful: bool, light: str, reason: str) -> dict[str, Any]:
    """A line of the table; useful is right where it is green, useless where it is not."""
    return {
        "collection": name,
        "seed": seed,
        "useful": useful,
        "light": light,
        "right": (light == "green") == useful,
        "reason": reason,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The lines as Markdown, and how often the verdict was right."""
    lines = ["| collection | known to be | verdict | | reason |", "|---|---|---|---|---|"]
    for one in rows:
        known, right = "useful" if one["useful"] else "useless", "right" if one["right"] else "**wrong**"
        lines.append(f"| {one['collection']} | {known} | {one['light']} | {right} | {one['reason'].splitlines()[0]} |")
    for useful, text in ((False, "useless collections warned of"), (True, "useful collections green")):
        those = [one for one in rows if one["useful"] is useful]
        lines += ["", f"{text}: {sum(one['right'] for one in those)} of {len(those)}"]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
