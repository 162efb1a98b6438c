"""The demo: scenes, training from tags, masks, scores, and a sheet of pictures."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import Config
from tag2mask.core.constants import BACKGROUND
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.core.outcome import RESULT
from tag2mask.data import Dataset
from tag2mask.demo.scenes import write_dataset
from tag2mask.demo.weights import BACKBONE, demo_weights
from tag2mask.drawing import heatmap, overlay, palette_colours, sheet
from tag2mask.evaluation.baselines import all_background
from tag2mask.evaluation.baselines import thresholded_cam as best_thresholded_cam
from tag2mask.evaluation.folders import Evaluation, evaluate
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.training.train import train

_SHEET_SIDE = 480  # pixels of an image before it is drawn into its cell
_COLUMNS = ("image", "class maps", "foreground prior", "pseudo mask", "prediction", "ground truth")

_log = logging.getLogger(__name__)


def demo_config(*, seed: int = 0, quick: bool = False) -> Config:
    """Settings of the demo: small images, the embedded network."""
    return Config().override(
        {
            "data.image_size": 160,
            "data.crop_size": 128,
            "data.colour_jitter": 0.2,
            "data.workers": 0,
            "model.backbone": BACKBONE,
            "model.weights": str(demo_weights()),
            "model.freeze_stages": 3,
            "model.output_stride": 8,
            "masks.stride": 2,
            "masks.soft_prior": 0.8,
            "masks.prior_layers": [-2, -1],
            "masks.scales": [1.0],
            "prediction.scales": [1.0],
            "training.background_weight": 0.7,
            "training.probe": False,  # costs 5 points here: docs/lab-log.md
            "training.warmup": 0.2,
            "training.epochs": 2 if quick else 16,
            "training.average": 0.97,
            "prediction.crf": Config().masks.crf.model_dump(),
            "training.learning_rate": 1e-3,
            "training.head_factor": 4.0,
            "training.seed": seed,
        }
    )


def run_demo(out: Path, *, seed: int = 0, quick: bool = False) -> float:
    """Run the whole method on generated scenes.

    Args:
        out: folder for everything it writes; what an earlier demo left there is replaced.
        seed: of the scenes and of training.
        quick: few images and epochs, to see that it runs; the scores then mean nothing.

    Returns:
        mIoU in [0, 1] of the network trained from tags, on scenes it has not seen.
    """
    started = time.monotonic()
    scenes = make_folder(out) / "scenes"
    write_dataset(scenes, train=40 if quick else 400, val=10 if quick else 100, seed=seed)
    _log.info("scenes with tags, and ground truth to score by: %s", scenes)
    config = demo_config(seed=seed, quick=quick)
    _log.info("training from tags")
    segmenter = _train(scenes, out / "run", config)
    _log.info("training the fully supervised upper bound on ground truth")
    upper = _train(scenes, out / "ceiling", config.override({"training.supervision": "masks"}))
    val = Dataset.load(scenes / "val" / "images", scenes / "val" / "tags.csv", masks=scenes / "val" / "masks")
    network = _score(segmenter, scenes, out / "predictions")
    cam, threshold = best_thresholded_cam(segmenter, val)
    pseudo = evaluate(out / "run" / "masks", scenes / "train" / "masks", scenes / "classes.txt")
    write_sheet(out / "sheet.png", segmenter, val, out / "predictions")
    rows = [
        ("all background", all_background(val), "val"),
        (f"thresholded CAM, tags given (best threshold, {threshold})", cam, "val"),
        ("pseudo masks of the training scenes, tags given", pseudo.miou, "train"),
        ("network trained from tags, no tags given", network.miou, "val"),
        ("fully supervised upper bound", _score(upper, scenes, out / "ceiling-predictions").miou, "val"),
    ]
    _show(rows)
    write_text(out / "scores.json", json.dumps({name: value for name, value, _ in rows}, indent=1) + "\n")
    _log.info("pictures: %s", out / "sheet.png")
    _log.info("masks of the training scenes: %s; of new scenes: %s", out / "run" / "masks", out / "predictions")
    _log.info("took %.1f minutes", (time.monotonic() - started) / 60)
    _log.log(RESULT, "%s", network.summary())
    return network.miou


def write_sheet(path: Path, segmenter: Segmenter, dataset: Dataset, predictions: Path, *, rows: int = 6) -> None:
    """Write a sheet of images: each step of the method for some of them, those with most tags first.

    Beside an image stand its tags and the mean IoU of its prediction over the classes that are in it.
    """
    records = sorted(dataset.records, key=lambda record: (-len(record.present), record.name))
    records = (records[: rows // 2] + records[-(rows - rows // 2) :])[:rows]
    cells, captions = [], []
    seen: set[int] = set()
    for record in records:
        image = enlarged(read_image(record.path))
        tags = sorted(record.present)
        steps, positions = segmenter.steps(read_image(record.path), tags)
        pseudo = segmenter.predict(record.path, tags).mask
        prediction = read_mask(mask_path(predictions, record.name))
        target = None if record.gt_mask is None else interpret_mask(record.gt_mask, dataset.classes).mask
        masks = [pseudo, prediction, *([] if target is None else [target])]
        seen |= {int(value) for mask in masks for value in np.unique(mask)}
        cells.append(
            [
                image,
                coloured_maps(image, steps.maps, positions),
                heatmap(image, steps.prior),
                *(overlay(image, as_large(mask, image)) for mask in masks),
            ]
        )
        score = "" if target is None else f"\nmIoU {100 * _miou(prediction, target, dataset.classes):.0f}"
        captions.append(f"{', '.join(tags) or 'no class'}{score}")
    picture = sheet(
        cells,
        titles=_COLUMNS[: max(map(len, cells))],
        captions=captions,
        cell=(180, 200),
        legend=segmenter.classes,
        present=sorted(seen - {BACKGROUND}),
        bar="foreground prior",
    )
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _show(rows: list[tuple[str, float, str]]) -> None:
    """Log a table of scores."""
    width = max(len(name) for name, _, _ in rows)
    _log.info("")
    _log.info("%s   mIoU  on", " " * width)
    for name, value, split in rows:
        _log.info("%s  %5.1f  %s", name.ljust(width), 100 * value, split)
    _log.info("")


def _train(scenes: Path, out: Path, config: Config) -> Segmenter:
    shutil.rmtree(out, ignore_errors=True)
    upper = config.training.supervision == "masks"
    dataset = Dataset.load(
        scenes / "train" / "images",
        scenes / "train" / "tags.csv",
        masks=scenes / "train" / "masks" if upper else None,
        classes=scenes / "classes.txt",
    )
    return train(dataset, out, config=config, make_masks=not upper)


def _score(segmenter: Segmenter, scenes: Path, out: Path) -> Evaluation:
    segmenter.predict_folder(scenes / "val" / "images", out, overwrite=True)
    return evaluate(out, scenes / "val" / "masks", scenes / "classes.txt")


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small image at a size where outlines over it are thin."""
    times = max(1, round(_SHEET_SIDE / max(image.shape[:2])))
    return np.asarray(Image.fromarray(image).resize((times * image.shape[1], times * image.shape[0])))


def as_large(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask (h, w) at the size of its image (H, W, 3)."""
    size = (image.shape[1], image.shape[0])
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def _miou(prediction: NDArray[np.uint8], target: NDArray[np.uint8], classes: Sequence[str]) -> float:
    return float(mean_iou(confusion_matrix(prediction, target, len(classes) + 1)))


def coloured_maps(
    image: NDArray[np.uint8], maps: NDArray[np.float32], positions: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """The class maps (K, h, w) in the colours of their classes, over the image (H, W, 3) in grey."""
    size = (image.shape[1], image.shape[0])
    large = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in maps]
    maps = np.stack(large) if large else np.zeros((0, *image.shape[:2]), np.float32)
    grey = image.mean(axis=2, keepdims=True) * 0.45 + 20
    colours = palette_colours()[positions + 1].astype(np.float32)
    share = maps / np.maximum(maps.sum(axis=0, keepdims=True), 1.0)
    strength = share.sum(axis=0)[..., None]
    tint = np.einsum("khw,kc->hwc", share, colours)
    picture: NDArray[np.uint8] = np.clip(grey * (1 - 0.85 * strength) + 0.85 * tint, 0, 255).astype(np.uint8)
    return picture
