"""The path of docs/voc2012.md on a small devkit of the same layout: the paper's network and schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask import Dataset, evaluate, train
from tag2mask.config.load import load_config
from tag2mask.data.readers.voc_devkit import VOC_CLASSES
from tag2mask.masks import write_mask
from tests.helpers import draw_shapes

CONFIG = Path(__file__).parents[1] / "configs" / "paper_vgg16.yaml"


def write_devkit(root: Path, count: int) -> Path:
    """`VOC2012` with `train_aug` and `val` in ImageSets/Segmentation; masks for val, the last eight, alone.

    Each image shows one disc, in turn called by each of the twenty names.
    """
    devkit = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Segmentation", "SegmentationClass"):
        (devkit / folder).mkdir(parents=True)
    names: dict[str, list[str]] = {"train_aug": [], "val": []}
    for k in range(count):
        number = k % len(VOC_CLASSES)
        split = "val" if k >= count - 8 else "train_aug"
        name = f"2012_{k:06d}"
        names[split].append(name)
        image, mask = draw_shapes(("disc",), seed=k)
        Image.fromarray(image).save(devkit / "JPEGImages" / f"{name}.jpg", quality=95)
        (devkit / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><object><name>{VOC_CLASSES[number]}</name><difficult>0</difficult></object></annotation>"
        )
        if split == "val":
            write_mask(devkit / "SegmentationClass" / f"{name}.png", mask * np.uint8(number + 1), classes=20)
    for split, listed in names.items():
        (devkit / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(listed) + "\n")
    return devkit


@pytest.mark.timeout(300)
def test_the_paper_from_xml_to_a_score(tmp_path: Path) -> None:
    devkit = write_devkit(tmp_path, 48)
    small = {
        "data.image_size": 64,
        "data.crop_size": 64,
        "data.workers": 0,
        "model.weights": "none",
        "paper.cam_channels": 16,
        "model.head_channels": 16,
        "training.epochs": 2,
        "training.batch_size": 8,
        "prediction.scales": [1.0],
        "prediction.flip": False,
    }
    config = load_config(CONFIG)
    assert (config.model.backbone, config.paper.shared_stages, config.paper.every_step) == ("vgg16", 4, True)
    dataset = Dataset.load(devkit, split="train_aug")
    assert (len(dataset), len(dataset.classes)) == (40, 20)
    segmenter = train(dataset, tmp_path / "run", config=config, options=small, make_report=False)
    assert len(list((tmp_path / "run" / "masks").glob("*.png"))) == 40
    segmenter.predict_folder(devkit / "JPEGImages", tmp_path / "predictions")
    score = evaluate(tmp_path / "predictions", devkit / "SegmentationClass", tmp_path / "run" / "masks" / "classes.txt")
    assert score.images == 8
    assert list(score.iou) == ["background", *VOC_CLASSES]
