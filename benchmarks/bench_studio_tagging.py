"""Clicks that a person needs to tag a dataset in the studio, with and without suggested tags.

    python benchmarks/bench_studio_tagging.py IMAGES TAGS [--limit 300] [--weights FOLDER] [--seeds 3]

A person who never errs is simulated on a dataset whose tags are known. A click is a change of one tag of one image, or
one confirmation that what is shown is right. Images come in pages of 24; a whole page can be confirmed at once.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.data.tag_table import States
from tag2mask.studio.backbones import choose_backbone
from tag2mask.studio.features import FeatureCache, Request, compute
from tag2mask.studio.pixels import image_version
from tag2mask.studio.probe import probe
from tag2mask.studio.suggestions import LEAST_TAGGED, Fitted, suggested

PAGE = 24
ORDERS = ("least certain first", "any order", "most certain first")


@dataclass
class Count:
    """What one simulated person has done."""

    changes: int = 0
    images: int = 0
    pages: int = 0

    def see(self, shown: States, truth: States) -> None:
        """Correct and confirm a page of images."""
        self.changes += int((shown != truth).sum())
        self.images += len(truth)
        self.pages += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("tags", type=Path)
    parser.add_argument("--limit", type=int, default=300, help="the first so many after a shuffle with seed 0")
    parser.add_argument("--weights", help="as `tag2mask studio --weights`")
    parser.add_argument("--seeds", type=int, default=3, help="orders in which the images come")
    arguments = parser.parse_args()
    dataset = Dataset.load(arguments.images, arguments.tags, limit=arguments.limit)
    truth = dataset.tags()
    features = features_of(dataset, arguments.weights)
    seeds = range(arguments.seeds)
    rows = {"by hand": [by_hand(truth, seed) for seed in seeds]}
    rows["suggestions, fitted once"] = [simulated(features, truth, seed, refit=False) for seed in seeds]
    for order in ORDERS:
        rows[f"suggestions, {order}"] = [simulated(features, truth, seed, order=order) for seed in seeds]
    name, weights = choose_backbone(arguments.weights)
    print(f"{len(truth)} images, {truth.shape[1]} classes, {(truth == Tag.PRESENT).sum()} tags; {name} ({weights})")
    show(rows)


def features_of(dataset: Dataset, weights: str | None) -> NDArray[np.float32]:
    """Features of all images, in their order, as the studio computes them."""
    with TemporaryDirectory() as folder:
        name, source = choose_backbone(weights)
        keys = [image_version(record.path) for record in dataset.records]
        images = {key: str(record.path) for key, record in zip(keys, dataset.records, strict=True)}
        for done in compute(Request(folder, name, source, "auto", images)):
            if done % 50 == 0:
                print(f"features of {done} images", flush=True)
        found = FeatureCache(Path(folder), name, source).read()
        return np.stack([found[key] for key in keys]).astype(np.float32)


def by_hand(truth: States, seed: int) -> Count:
    """Nothing is filled in: every tag that is present is set."""
    count = Count()
    order = np.random.default_rng(seed).permutation(len(truth))
    for start in range(0, len(order), PAGE):
        page = order[start : start + PAGE]
        count.see(np.full_like(truth[page], Tag.ABSENT), truth[page])
    return count


def simulated(
    features: NDArray[np.float32], truth: States, seed: int, *, refit: bool = True, order: str = ORDERS[0]
) -> Count:
    """The first images by hand, then pages that suggestions have filled in.

    Args:
        features: (N, D).
        truth: right tags (N, C).
        seed: of the order.
        refit: fit the probe again before every page.
        order: one of `ORDERS`.
    """
    count = Count()
    random = np.random.default_rng(seed).permutation(len(truth))
    states = np.full_like(truth, Tag.UNKNOWN)
    first = random[:LEAST_TAGGED]
    count.see(np.full_like(truth[first], Tag.ABSENT), truth[first])
    states[first] = truth[first]
    names, classes = tuple(map(str, range(len(truth)))), tuple(map(str, range(truth.shape[1])))
    probabilities = probe(features, states)
    while (states == Tag.UNKNOWN).any():
        if refit:
            probabilities = probe(features, states)
        ranked, _ = suggested(names, classes, states, Fitted(classes, states, probabilities))
        left = [int(name) for name in ranked] or np.flatnonzero((states == Tag.UNKNOWN).any(axis=1)).tolist()
        if order != ORDERS[0]:
            left = left[::-1] if order == ORDERS[2] else [row for row in random.tolist() if row in set(left)]
        page = np.array(left[:PAGE])
        shown = (np.nan_to_num(probabilities[page]) >= 0.5).astype(np.int8)
        count.see(shown, truth[page])
        states[page] = truth[page]
    return count


def show(rows: dict[str, list[Count]]) -> None:
    """Print the table: means over the seeds, and what is saved against tagging by hand."""
    print(f"\n{'':34}  changes   clicks, each image confirmed   clicks, pages of {PAGE} confirmed")
    hand = [(count.changes + count.images, count.changes + count.pages) for count in rows["by hand"]]
    each_by_hand, page_by_hand = (float(np.mean(column)) for column in zip(*hand, strict=True))
    for name, counts in rows.items():
        changes = float(np.mean([count.changes for count in counts]))
        each = float(np.mean([count.changes + count.images for count in counts]))
        pages = float(np.mean([count.changes + count.pages for count in counts]))
        spread = max(count.changes for count in counts) - min(count.changes for count in counts)
        saved = f"{each:8.0f} ({100 * (1 - each / each_by_hand):3.0f} % fewer)"
        print(f"{name:34}  {changes:7.0f}  {saved:>28}   {pages:8.0f} ({100 * (1 - pages / page_by_hand):3.0f} % fewer)"
              f"   spread {spread}")  # fmt: skip


if __name__ == "__main__":
    main()
