"""The demo: scenes, training from tags, masks, scores, and a sheet of pictures."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.api import predict, train
from tag2mask.config.schema import Config
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.data import Dataset, load_dataset
from tag2mask.demo.scenes import write_dataset
from tag2mask.demo.weights import BACKBONE, demo_weights
from tag2mask.drawing import heatmap, overlay, palette_colours, sheet
from tag2mask.evaluation.baselines import all_background, thresholded_cam
from tag2mask.evaluation.folders import Evaluation, evaluate
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import mask_path, read_mask

Report = Callable[[str], None]
_COLUMNS = ("photo", "class maps", "foreground prior", "pseudo mask", "prediction", "human mask")


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


def run_demo(out: Path, *, seed: int = 0, quick: bool = False, report: Report = print) -> float:
    """Run the whole main job on generated scenes.

    Args:
        out: folder for everything it writes; what an earlier demo left there is replaced.
        seed: of the scenes and of training.
        quick: few images and epochs, to see that it runs; the scores then mean nothing.
        report: called with lines for people.

    Returns:
        mIoU of the network trained from tags, in [0, 1], on scenes it has not seen.
    """
    started = time.monotonic()
    scenes = make_folder(out) / "scenes"
    write_dataset(scenes, train=40 if quick else 400, val=10 if quick else 100, seed=seed)
    report(f"scenes with tags and, to score by, masks: {scenes}")
    config = demo_config(seed=seed, quick=quick)
    run = _train(scenes, out / "run", config, report, "training from tags")
    ceiling_config = config.override({"training.supervision": "masks"})
    ceiling_run = _train(scenes, out / "ceiling", ceiling_config, report, "training the ceiling on human masks")
    predictor = Predictor.load(run)
    val = load_dataset(scenes / "val" / "images", scenes / "val" / "tags.csv", masks=scenes / "val" / "masks")
    network = _score(predictor, scenes, out / "predictions")
    ceiling = _score(Predictor.load(ceiling_run), scenes, out / "ceiling-predictions")
    cam, threshold = thresholded_cam(predictor, val)
    pseudo = evaluate(run / "masks", scenes / "train" / "masks", scenes / "classes.txt")
    picture = out / "sheet.png"
    write_sheet(picture, predictor, val, out / "predictions")
    rows = [
        ("all background", all_background(val), "val"),
        (f"thresholded CAM, tags given (best threshold, {threshold})", cam, "val"),
        ("pseudo masks of the training scenes, tags given", pseudo.miou, "train"),
        ("network trained from tags, no tags given", network.miou, "val"),
        ("ceiling: the same network trained on human masks", ceiling.miou, "val"),
    ]
    width = max(len(name) for name, _, _ in rows)
    report("")
    report(f"{'':<{width}}   mIoU  on")
    for name, value, split in rows:
        report(f"{name:<{width}}  {100 * value:5.1f}  {split}")
    write_text(out / "scores.json", json.dumps({name: value for name, value, _ in rows}, indent=1) + "\n")
    report("")
    report(f"pictures: {picture}")
    report(f"masks of the training scenes: {run / 'masks'}; of new scenes: {out / 'predictions'}")
    report(f"took {(time.monotonic() - started) / 60:.1f} minutes")
    report(network.summary())
    return network.miou


def write_sheet(path: Path, predictor: Predictor, collection: Dataset, predictions: Path, *, rows: int = 6) -> None:
    """Write a sheet of pictures: each step of the method for some photographs, those with most tags first."""
    items = sorted(collection.records, key=lambda item: (-len(item.present), item.name))
    items = (items[: rows // 2] + items[-(rows - rows // 2) :])[:rows]
    cells = []
    for item in items:
        image = read_image(item.path)
        tags = sorted(item.present)
        steps = predictor.steps(image, tags)
        target = read_mask(item.gt_mask) if item.gt_mask is not None else None
        cells.append(
            [
                image,
                _coloured_maps(image, steps.maps, steps.indices),
                heatmap(image, steps.prior),
                overlay(image, predictor.predict(image, tags).mask),
                overlay(image, read_mask(mask_path(predictions, item.name))),
                None if target is None else overlay(image, target),
            ]
        )
    picture = sheet(
        cells,
        titles=_COLUMNS,
        captions=[", ".join(sorted(item.present)) for item in items],
        cell=(180, 200),
        legend=predictor.classes,
    )
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _train(scenes: Path, out: Path, config: Config, report: Report, title: str) -> Path:
    report(title)
    shutil.rmtree(out, ignore_errors=True)
    ceiling = config.training.supervision == "masks"
    result = train(
        scenes / "train" / "images",
        scenes / "train" / "tags.csv",
        masks=scenes / "train" / "masks" if ceiling else None,
        classes=scenes / "classes.txt",
        out=out,
        config=config,
        make_masks=not ceiling,
        report=lambda line: report(f"  {line}"),
    )
    return result.run


def _score(predictor: Predictor, scenes: Path, out: Path) -> Evaluation:
    predict(predictor, scenes / "val" / "images", out=out, overwrite=True)
    return evaluate(out, scenes / "val" / "masks", scenes / "classes.txt")


def _coloured_maps(
    image: NDArray[np.uint8], maps: NDArray[np.float32], indices: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The class maps (K, H, W) in the colours of their classes, over the image in grey."""
    grey = image.mean(axis=2, keepdims=True) * 0.45 + 20
    colours = palette_colours()[indices].astype(np.float32)
    share = maps / np.maximum(maps.sum(axis=0, keepdims=True), 1.0)
    strength = share.sum(axis=0)[..., None]
    tint = np.einsum("khw,kc->hwc", share, colours)
    picture: NDArray[np.uint8] = np.clip(grey * (1 - 0.85 * strength) + 0.85 * tint, 0, 255).astype(np.uint8)
    return picture
