"""Score settings of the class-specific masks on a trained run, the tags given, before and after the CRF.

    python benchmarks/bench_masks.py RUN IMAGES TAGS MASKS [--try "paper.background=prior masks.crf.bilateral_xy=40"]...

Each `--try` is one row: settings that differ from the run's own. Masks are made as in training, on a
grid of image_size / stride, and scored at original size. Without `--try`: the paper's background maps
beside the soft threshold.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tag2mask.cli.common import parse_settings
from tag2mask.config.schema import MaskConfig
from tag2mask.data import load_dataset
from tag2mask.evaluation.metrics import confusion_matrix, iou_per_class, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.images.resize import scaled_size
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import read_mask
from tag2mask.method.refine import refine, to_mask
from tag2mask.method.torch_generate import mask_steps
from tag2mask.models import Recognition
from tag2mask.training.transforms import resize

DEFAULT = [
    "paper.background=prior paper.map_scaling=min_max",
    "paper.background=prior_hard paper.map_scaling=min_max",
    "paper.background=cams_hard paper.map_scaling=min_max",
    "paper.background=cams",
    "paper.background=soft masks.soft_prior=1.0",
    "paper.background=soft",
]


@dataclass(frozen=True)
class Seen:
    """What the network says of one photograph, kept between settings."""

    recognition: Recognition
    tags: torch.Tensor
    small: NDArray[np.uint8]
    target: NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("tags", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--try", dest="tries", action="append")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    args = parser.parse_args()
    predictor = Predictor.load(args.run, device="cpu")
    seen = look(predictor, args.images, args.tags, args.masks, args.every)
    print(f"{len(seen)} images; mIoU before and after the CRF, IoU by class after it")
    for text in args.tries or DEFAULT:
        config = predictor.config.override(parse_settings(text.split()))
        before, after = score(seen, config.masks, len(predictor.classes) + 1)
        classes = " ".join(f"{100 * value:.0f}" for value in iou_per_class(after))
        print(f"{text:<60} {100 * mean_iou(before):5.1f} {100 * mean_iou(after):5.1f}  [{classes}]", flush=True)


@torch.inference_mode()
def look(predictor: Predictor, images: Path, tags: Path, masks: Path, every: int) -> list[Seen]:
    """Run the recognition stream on every photograph."""
    collection = load_dataset(images, tags, masks=masks, classes=predictor.classes)
    states = torch.from_numpy(collection.tags())
    seen = []
    for index in range(0, len(collection), every):
        item = collection.records[index]
        if item.gt_mask is None:
            continue
        image = read_image(item.path)
        size = scaled_size((image.shape[0], image.shape[1]), predictor.config.data.image_size, multiple=32)
        pixels = predictor._upload(image)
        recognition, _ = predictor._run(pixels, size, flip=False)
        stride = predictor.config.masks.stride
        grid = (size[0] // stride, size[1] // stride)
        small = F.interpolate(resize(pixels, size)[None].float(), grid, mode="area")[0]
        photograph = small.permute(1, 2, 0).round().to(torch.uint8).contiguous().numpy()
        seen.append(Seen(recognition, states[index : index + 1], photograph, read_mask(item.gt_mask)))
    return seen


def score(seen: list[Seen], config: MaskConfig, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Confusion matrices before and after the CRF."""
    totals = [np.zeros((size, size), dtype=np.int64) for _ in range(2)]
    for one in seen:
        grid = (one.small.shape[0], one.small.shape[1])
        stack = mask_steps(one.recognition, one.tags, grid, config).stack[0].numpy()
        refined = refine([one.small], [stack], config.crf, pixel_scale=1 / config.stride)[0]
        for total, probs in zip(totals, (stack, refined), strict=True):
            full = F.interpolate(torch.from_numpy(probs)[None], one.target.shape, mode="bilinear")[0].numpy()
            total += confusion_matrix(to_mask(full), one.target, size)
    return totals[0], totals[1]


if __name__ == "__main__":
    main()
