"""Score settings of the pseudo masks on a trained run, the tags given, before and after the CRF.

    python benchmarks/bench_masks.py RUN IMAGES TAGS MASKS [--try "paper.background=prior masks.crf.bilateral_xy=40"]...

Each `--try` is one row: settings that differ from the run's own. Class scores are those of training, at scale 1 on a
grid of image_size / stride; masks are scored at the size of the image. Without `--try`: the paper's background maps
beside the soft threshold.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tag2mask.cli.common import parse_settings
from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.masks import read_mask
from tag2mask.method.class_scores import class_scores
from tag2mask.method.output import NetworkOutput
from tag2mask.method.refine import refine, to_mask
from tag2mask.method.resize import resize_maps
from tag2mask.models.checkpoint import RunFolder, load_model

# The defaults of what has no effect with the paper's background maps, which would be refused otherwise.
_UNUSED = " masks.soft_prior=0.6 masks.soft_threshold=auto masks.soft_factor=1.0"

DEFAULT = [
    f"paper.background=prior paper.map_scaling=min_max{_UNUSED}",
    f"paper.background=prior_hard paper.map_scaling=min_max{_UNUSED}",
    f"paper.background=cams_hard paper.map_scaling=min_max{_UNUSED} masks.prior_layers=[-1]",
    f"paper.background=cams{_UNUSED} masks.prior_layers=[-1]",
    "paper.background=soft masks.soft_prior=1.0",
    "paper.background=soft",
]


@dataclass(frozen=True)
class Seen:
    """The network's output on one image, kept between settings.

    Attributes:
        output: at scale 1.
        present: (K,) positions of the present classes.
        small: (h, w, 3) uint8 RGB, the image on the grid of the class scores.
        target: (H, W) ground truth.
    """

    output: NetworkOutput
    present: NDArray[np.intp]
    small: NDArray[np.uint8]
    target: NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("tags", type=Path)
    parser.add_argument("masks", type=Path, help="folder of ground truth")
    parser.add_argument("--try", dest="tries", action="append")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    args = parser.parse_args()
    network, classes, config = load_model(RunFolder(args.run))
    dataset = every_nth(Dataset.load(args.images, args.tags, masks=args.masks, classes=classes), args.every)
    seen: dict[tuple[int, ...], list[Seen]] = {}
    print(f"{len(dataset)} images; mIoU before and after the CRF, IoU by class after it")
    for text in args.tries or DEFAULT:
        chosen = config.override(parse_settings(text.split()))
        layers = chosen.masks.prior_layers
        if layers not in seen:
            seen[layers] = look(TorchBackend(network, classes, chosen, device="cpu"), dataset)
        before, after = score(seen[layers], chosen, len(classes) + 1)
        by_class = " ".join(f"{100 * value:.0f}" for value in iou_per_class(after))
        print(
            f"{text.replace(_UNUSED, ''):<60} {100 * mean_iou(before):5.1f} {100 * mean_iou(after):5.1f}  [{by_class}]",
            flush=True,
        )


def every_nth(dataset: Dataset, step: int) -> Dataset:
    """Every n-th image, without those that have no ground truth."""
    chosen = [k for k in range(0, len(dataset), step) if dataset.records[k].gt_mask is not None]
    return dataset.subset(chosen)


def look(backend: TorchBackend, dataset: Dataset) -> list[Seen]:
    """Run the network on every image that has ground truth."""
    config = backend.config
    seen = []
    for record, tags in zip(dataset.records, dataset.tags(), strict=True):
        if record.gt_mask is None:
            continue
        image = read_image(record.path)
        size = scaled_size((image.shape[0], image.shape[1]), config.data.image_size, multiple=backend.input_multiple)
        resized = resize_image(image, size)
        [output] = backend.run(resized[None])
        grid = (size[0] // config.masks.stride, size[1] // config.masks.stride)
        small = np.asarray(cv2.resize(resized, grid[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        seen.append(Seen(output, np.flatnonzero(tags == Tag.PRESENT), small, read_mask(record.gt_mask)))
    return seen


def score(seen: list[Seen], config: Config, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Confusion matrices (size, size) before and after the CRF."""
    totals = [np.zeros((size, size), dtype=np.int64) for _ in range(2)]
    for one in seen:
        grid = (one.small.shape[0], one.small.shape[1])
        shape = (one.target.shape[0], one.target.shape[1])
        channels = np.concatenate([[0], one.present + 1])
        scores = class_scores(one.output, one.present, grid, config.masks, config.paper).scores
        refined = refine(one.small, scores, config.masks.crf, pixel_scale=1 / config.masks.stride)
        for total, probs in zip(totals, (scores, refined), strict=True):
            total += confusion_matrix(to_mask(resize_maps(probs, shape), channels), one.target, size)
    return totals[0], totals[1]


if __name__ == "__main__":
    main()
