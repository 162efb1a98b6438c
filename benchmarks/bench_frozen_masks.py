"""Ablation of the first masks of frozen backbones: what each part is worth, on any dataset, without training a decoder.

    python benchmarks/bench_frozen_masks.py voc_animals clothing figures --weights FOLDER [--bench DIR] [--limit 240]
        [--preset frozen] [--seed 0]... [--part NAME]... [--mechanisms] [--out runs/frozen-masks]

Features of the training images are computed once and kept in --out; the tags give the masks, the ground truth scores
them. --mechanisms adds those of `mask_mechanisms.py`, which are no part of the product. A row: mIoU, foreground of the
masks / of the ground truth, IoU of foreground against background, and the share of the pixels that are foreground in
both whose class is right. Names: of `made_collections.py`, or folders of --bench.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from made_collections import KINDS, write_collection
from mask_mechanisms import (
    Change,
    Scene,
    class_distribution,
    head_weights,
    image_negatives,
    learned_affinity,
    par,
    prototypes,
)
from tag2mask.config.load import on_preset
from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.backends.torch import to_outputs
from tag2mask.masks.interpret import interpret_mask
from tag2mask.method.class_scores import class_scores
from tag2mask.method.output import NetworkOutput
from tag2mask.method.pseudo_masks import measure_evidence, pseudo_mask, sample_evidence
from tag2mask.method.refine import to_mask
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.training.decoder import start_tag_classifier
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.feature_store import feature_store
from tag2mask.training.share_classifier import fit_share_classifier
from tag2mask.training.surface_probe import fit_surface_classifier

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Part:
    """A row: settings other than the preset's, what is taken from the network's output, and a mechanism to add."""

    settings: dict[str, Any]
    change: Callable[[NetworkOutput], NetworkOutput] = lambda output: output
    mechanism: Callable[[Scene], Change] | None = None
    par: bool = False


PARTS = {
    "all": Part({}),
    "no competition of classes": Part({}, lambda output: replace(output, share_logits=None)),
    "no attention": Part({}, lambda output: replace(output, affinity=None)),
    "all evidence spread": Part({"masks.spread": 1.0}),
    "threshold at the mean": Part({"masks.soft_threshold": "auto"}),
    "threshold at 1.2 x mean": Part({"masks.soft_threshold": "auto", "masks.soft_factor": 1.2}),
    "threshold by Otsu": Part({"masks.soft_threshold": "otsu"}),
    "no CRF": Part({"masks.crf.enabled": False}),
}
SURFACE_PARTS = ("all", "no CRF")
MECHANISMS = {
    "class-distribution affinity": Part({}, mechanism=class_distribution),
    "learned affinity": Part({}, mechanism=learned_affinity),
    "prototypes": Part({}, mechanism=prototypes),
    "image-level negatives": Part({}, mechanism=image_negatives),
    "head weighting": Part({}, mechanism=head_weights),
    "PAR for the CRF": Part({"masks.crf.enabled": False}, par=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--weights", required=True, help="folder of weights, or 'hub'")
    parser.add_argument("--bench", type=Path, help="folder of datasets with train and classes.txt")
    parser.add_argument("--limit", type=int, default=240)
    parser.add_argument("--seed", type=int, action="append", help="of the classifier of shares; repeatable; default 0")
    parser.add_argument("--part", action="append", choices=list(PARTS | MECHANISMS), help="repeatable; default: all")
    parser.add_argument("--mechanisms", action="store_true", help="also those that are no part of the product")
    parser.add_argument("--preset", choices=["frozen", "frozen-surfaces"], default="frozen")
    parser.add_argument("--out", type=Path, default=Path("runs/frozen-masks"))
    args = parser.parse_args()
    config = on_preset(args.preset, {"model": {"weights": args.weights}})
    own = [*(SURFACE_PARTS if args.preset == "frozen-surfaces" else PARTS), *(MECHANISMS if args.mechanisms else ())]
    for name in args.names:
        folder = write_collection(name, args.out / "data") if name in KINDS else args.bench / name
        part = folder / "train"
        dataset = Dataset.load(
            part / "images", part / "tags.csv", masks=part / "masks", classes=folder / "classes.txt", limit=args.limit
        )
        scored: dict[str, list[float]] = {}
        for seed in args.seed or [0]:
            seeded = config.override({"training.seed": seed})
            for row, values in rows(dataset, seeded, args.out / "features", args.part or own):
                scored.setdefault(row, []).append(values[0])
                print(f"{name:<14} seed {seed} {row:<26} {said(values, dataset)}", flush=True)
        for row, found in scored.items():
            if len(found) > 1:
                spread = np.std(found, ddof=1)
                print(f"{name:<14} {row:<26} {100 * np.mean(found):.1f} +- {100 * spread:.1f}", flush=True)


def rows(
    dataset: Dataset, config: Config, features: Path, chosen: Sequence[str]
) -> Iterator[tuple[str, tuple[float, NDArray[np.int64]]]]:
    """mIoU and confusion matrix of each part."""
    network = build_network(config, len(dataset.classes))
    assert isinstance(network, FrozenSegmenter)
    store = feature_store(network, dataset.records, config, features, read=read_image, device=CPU)
    start_tag_classifier(network, store, dataset.tags())
    if network.surface is None:
        fit_share_classifier(network, store, dataset.tags(), config)
    else:
        fit_surface_classifier(network.surface, store, dataset.tags(), seed=config.training.seed)
    network.eval()

    def seen(index: int) -> NetworkOutput:
        with torch.no_grad():
            recognition, _ = network.heads(store.features(index, CPU))
        return to_outputs(recognition, recognition.cams, config.masks.prior_layers)[0]

    scene = Scene(dataset, measured(config, dataset, store, seen), network, store, seen)
    for name in chosen:
        part = (PARTS | MECHANISMS)[name]
        confusion = score(scene, config.override(part.settings), part)
        yield name, (mean_iou(confusion), confusion)


def measured(config: Config, dataset: Dataset, store: FeatureStore, seen: Callable[[int], NetworkOutput]) -> Config:
    """The configuration with what the evidence of all tagged images says of threshold and spread."""
    if not config.masks.measured or config.model.contrast_stages:
        return config
    tags = dataset.tags()
    tagged = [index for index, record in enumerate(dataset.records) if record.present]
    samples = [sample_evidence([seen(index)], tags[index], size_of(store, index), config) for index in tagged]
    found = measure_evidence(samples, config.masks)
    return config.with_threshold(found.threshold, found.spread)


def score(scene: Scene, config: Config, part: Part) -> NDArray[np.int64]:
    """Confusion matrix (C + 1, C + 1) of the first masks, at the size of the ground truth."""
    dataset, store = scene.dataset, scene.store
    tags, count = dataset.tags(), len(dataset.classes) + 1
    confusion = np.zeros((count, count), np.int64)
    mechanism = None if part.mechanism is None else part.mechanism(scene)

    def seen(index: int) -> NetworkOutput:
        output = part.change(scene.seen(index))
        return output if mechanism is None else mechanism(index, output)

    config = measured(config, dataset, store, seen)
    scale = 1 / config.masks.stride
    for index, record in enumerate(dataset.records):
        image = store.small(index)
        if part.par:
            mask = _by_par(image, seen(index), tags[index], config)
        else:
            mask, complete = pseudo_mask(image, [seen(index)], tags[index], config, teacher_weight=0, pixel_scale=scale)
            mask = mask if complete else np.zeros_like(mask)
        assert record.gt_mask is not None
        truth = interpret_mask(record.gt_mask, dataset.classes).mask
        full = cv2.resize(mask, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
        confusion += confusion_matrix(np.asarray(full, np.uint8), truth, count)
    return confusion


def _by_par(
    image: NDArray[np.uint8], output: NetworkOutput, tags: NDArray[np.int8], config: Config
) -> NDArray[np.uint8]:
    present = np.flatnonzero(tags == Tag.PRESENT)
    scores = class_scores(output, present, (image.shape[0], image.shape[1]), config.masks, config.paper).scores
    return to_mask(par(image, scores), np.concatenate([[0], present + 1]))


def size_of(store: FeatureStore, index: int) -> tuple[int, int]:
    return store.shapes[index].small


def said(values: tuple[float, NDArray[np.int64]], dataset: Dataset) -> str:
    miou, confusion = values
    both, truth, ours = confusion[1:, 1:].sum(), confusion[1:].sum(), confusion[:, 1:].sum()
    named = np.diag(confusion)[1:].sum() / max(1, both)
    ious = ", ".join(
        f"{name} {100 * value:.0f}"
        for name, value in zip(("background", *dataset.classes), iou_per_class(confusion), strict=True)
    )
    return (
        f"mIoU {100 * miou:.1f} foreground {ours / truth:.2f} IoU {100 * both / (truth + ours - both):.1f} "
        f"named {100 * named:.1f}; {ious}"
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
