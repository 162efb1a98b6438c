"""Masks, and files that say what their values mean."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.evaluation import evaluate
from tag2mask.masks import read_mask, voc_colours
from tag2mask.masks.class_names import read_classes
from tag2mask.masks.interpret import interpret_mask
from tag2mask.masks.label_map import find_label_map
from tag2mask.masks.palette_png import encode_mask
from tag2mask.masks.run_lengths import coco_counts
from tests.hostile.mutate import png
from tests.hostile.seeds.seed import NAMES, Account, Seed, load, photos

_MASK = np.zeros((12, 16), np.uint8)
_MASK[3:8, 4:11] = 1


def _coco_masks() -> str:
    lengths = {"size": list(_MASK.shape), "counts": coco_counts(_MASK == 1)}
    polygon = [[4, 3, 11, 3, 11, 8, 4, 8]]
    document = {
        "images": [{"id": i, "file_name": name, "width": 16, "height": 12} for i, name in enumerate(NAMES)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": polygon if i % 2 else lengths, "iscrowd": 0}
            for i in range(len(NAMES))
        ],
    }
    return json.dumps(document)


def _corrected() -> dict[str, bytes]:
    rows = "".join(f"{name},cat\n" if i else f"{name},dog cat\n" for i, name in enumerate(NAMES))
    return {**photos(), "tags.csv": f"image,tags\n{rows}".encode(), "masks.json": _coco_masks().encode()}


def _read_corrected(root: Path) -> Account:
    """Images whose corrected mask was taken."""
    account = load(root / "images", root / "tags.csv", corrected=root / "masks.json", unpack=root / "out")
    assert account.records == frozenset(NAMES), "an image was lost through its corrected mask"
    return account


_LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"

_CLASSES = ("cat", "dog")


def _png(mask: NDArray[np.uint8], mode: str = "RGB") -> bytes:
    """A mask in the colours of `_LABELMAP`, in a mode of Pillow."""
    stream = io.BytesIO()
    colours = Image.fromarray(voc_colours()[mask])
    (colours.convert("L").convert(mode) if mode == "I;16" else colours.convert(mode)).save(stream, "PNG")
    return stream.getvalue()


def _other_tool(mode: str = "RGB") -> dict[str, bytes]:
    """A prediction and an export of CVAT as ground truth."""
    truth = {"truth/SegmentationClass/a.png": _png(_MASK, mode), "truth/labelmap.txt": _LABELMAP.encode()}
    return {**truth, "preds/a.png": encode_mask(_MASK)}


def _evaluate(root: Path) -> object:
    return evaluate(root / "preds", root / "truth", _CLASSES)


SEEDS: dict[str, Seed] = {
    "mask: palette PNG": Seed(
        lambda: {"mask.png": png(20, 15, 3, rows=True)}, "mask.png", lambda root: read_mask(root / "mask.png")
    ),
    "mask: grey PNG": Seed(
        lambda: {"mask.png": png(20, 15, 0, rows=True)}, "mask.png", lambda root: read_mask(root / "mask.png")
    ),
    "mask: colours with label map": Seed(_other_tool, "truth/SegmentationClass/a.png", _evaluate),
    "mask: RGBA with label map": Seed(lambda: _other_tool("RGBA"), "truth/SegmentationClass/a.png", _evaluate),
    "mask: colours without label map": Seed(
        lambda: {"a.png": _png(_MASK)}, "a.png", lambda root: interpret_mask(root / "a.png", _CLASSES)
    ),
    "mask: 16 bits": Seed(
        lambda: {"a.png": _png(_MASK, "I;16")}, "a.png", lambda root: interpret_mask(root / "a.png", _CLASSES)
    ),
    "label map of a mask": Seed(_other_tool, "truth/labelmap.txt", _evaluate),
    "predicted mask": Seed(_other_tool, "preds/a.png", _evaluate),
    "corrected masks: COCO": Seed(_corrected, "masks.json", _read_corrected),
    "classes.txt": Seed(
        lambda: {"classes.txt": b"cat\nred panda\nk\xc3\xa4fer\n"},
        "classes.txt",
        lambda root: read_classes(root / "classes.txt"),
    ),
    "labelmap.txt": Seed(
        lambda: {"labelmap.txt": _LABELMAP.encode()}, "labelmap.txt", lambda root: find_label_map(root)
    ),
}
