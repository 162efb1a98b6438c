"""Which class maps `train` chooses on its own, and which ones are better.

    python benchmarks/bench_recipe.py --weights FOLDER [--bench DIR] [--name tissue]... [--train] [--out runs/recipe]

Measures the choice on made collections (`made_collections.py`), the demo's scenes and, with --bench, its datasets.
With --train both kinds are trained, and their masks of `val` are scored, predicted without tags; the choice is right
where it names the better one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from made_collections import KINDS, write_collection
from tag2mask.config import Config
from tag2mask.config.load import on_preset
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.demo import BACKBONE, demo_weights, write_dataset
from tag2mask.demo.run import demo_config
from tag2mask.evaluation.folders import evaluate
from tag2mask.training.recipe import measure_recipe
from tag2mask.training.train import train

_BENCHES = ("voc_animals", "steel_defects")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", required=True, help="folder with a file of each backbone, file of resnet18, or 'hub'"
    )
    parser.add_argument("--bench", type=Path, help="folder of datasets with train, val and classes.txt")
    parser.add_argument("--name", action="append", help="of a dataset; repeatable; default: all")
    parser.add_argument("--train", action="store_true", help="train the kinds and score them")
    parser.add_argument("--kind", action="append", help="preset that --train trains; repeatable; default: both")
    parser.add_argument("--samples", type=int, default=2400, help="images seen in training, of presets that train all")
    parser.add_argument("--limit", type=int, help="train on so many images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/recipe"))
    args = parser.parse_args()
    names = [*KINDS, "demo", *(_BENCHES if args.bench else ())]
    for name in args.name or names:
        folder = _folder(name, args.out, args.bench)
        dataset = _split(folder, "train", args.limit)
        started = time.monotonic()
        recipe = measure_recipe(dataset, _config("surfaces", name, args.weights))
        text = f"{name:<16} {recipe.name:<9} {recipe.reason}; {time.monotonic() - started:.0f} s"
        if args.train:
            for kind in args.kind or ("objects", "surfaces"):
                config = _config(kind, name, args.weights)
                settings: dict[str, object] = {"training.seed": args.seed}
                if not config.model.frozen:
                    settings["training.samples"] = args.samples
                run = args.out / "runs" / f"{name}-{kind}-{args.seed}"
                text += f"; {kind} {_score(dataset, folder, run, config.override(settings)):.1f}"
        print(text, flush=True)


def _folder(name: str, out: Path, bench: Path | None) -> Path:
    if name in KINDS:
        return write_collection(name, out / "data")
    if name == "demo":
        write_dataset(out / "data" / "demo", train=400, val=100, seed=0)
        return out / "data" / "demo"
    if bench is None:
        raise ConfigError(f"{name}: give --bench, the folder that it lies in")
    return bench / name


def _split(folder: Path, split: str, limit: int | None = None) -> Dataset:
    part = folder / split
    return Dataset.load(part / "images", part / "tags.csv", classes=folder / "classes.txt", limit=limit)


def _config(recipe: str, name: str, weights: str) -> Config:
    """Settings of a kind of class maps: the demo has a network and sizes of its own, but for `frozen`."""
    if name == "demo" and recipe != "frozen":
        size = {"image_size": 160, "crop_size": 128, "workers": 0}
        model = {"backbone": BACKBONE, "weights": str(demo_weights())}
        return demo_config() if recipe == "objects" else on_preset(recipe, {"data": size, "model": model})
    return on_preset(recipe, {"model": {"weights": weights}})


def _score(dataset: Dataset, folder: Path, run: Path, config: Config) -> float:
    """mIoU of val in percent; a run that is there is not trained again."""
    masks = run / "val"
    if not (masks / "classes.txt").is_file():
        segmenter = train(dataset, run, config=config, make_masks=False, progress=False)
        segmenter.predict_folder(folder / "val" / "images", masks, progress=False)
    return 100 * evaluate(masks, folder / "val" / "masks", folder / "classes.txt").miou


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
