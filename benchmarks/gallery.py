"""The images of docs/gallery.md and docs/method.md, of made images alone: nothing in them needs a licence.

    python benchmarks/gallery.py demo-out docs/images --weights ../shared/weights

Takes the demo's run as it is, and trains from the tags of made datasets (`made_collections.py`), unless their runs are
there: some minutes each. Of held-out images it shows, from left to right: the image with its tags, class maps, pseudo
mask, the network's mask without tags, ground truth.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from made_collections import write_collection
from tag2mask import Dataset, Segmenter, train
from tag2mask.config import Config
from tag2mask.core.constants import Tag
from tag2mask.core.record import ImageRecord
from tag2mask.demo.run import as_large, coloured_maps, enlarged
from tag2mask.drawing import RgbImage, heatmap, overlay, sheet
from tag2mask.images.decode import read_image
from tag2mask.inference.views import run_views
from tag2mask.masks import read_mask
from tag2mask.method.pseudo_masks import pseudo_mask

KINDS = ("surface_defects", "tissue")
IMAGES = 120
OPTIONS = {"model.backbone": "resnet18", "training.samples": 3200, "training.loggers": []}
COLUMNS = ("image", "class maps", "pseudo mask", "network's mask, without tags", "ground truth")
STEPS = (
    *("image", "class maps", "foreground prior", "class scores"),
    *("the highest of them", "after the CRF: pseudo mask", "network's mask"),
)
MOST_BYTES = 70_000
"""Of an image, so that all of them together stay under 400 kB."""

Mask = NDArray[np.uint8]


class Gallery:
    """Held-out images of a dataset with what a network makes of them."""

    def __init__(self, run: Path, images: Path):
        """Load a network, and images with `tags.csv` and `masks` beside them."""
        self.segmenter = Segmenter.from_pretrained(run)
        self.dataset = Dataset.load(
            images / "images", images / "tags.csv", masks=images / "masks", classes=self.segmenter.classes
        )

    def chosen(self, count: int) -> list[ImageRecord]:
        """Images with different tags, evenly from the dataset; those with more classes first."""
        records = [record for record in self.dataset.records if record.present]
        found: dict[frozenset[str], ImageRecord] = {}
        for record in records:
            found.setdefault(record.present, record)
        different = sorted(found.values(), key=lambda record: (-len(record.present), record.name))
        rest = [record for record in records if record not in different]
        return (different + rest)[:count]

    def pseudo(self, record: ImageRecord, image: RgbImage, *, crf: bool) -> Mask:
        """The pseudo mask of an image, with the dense CRF or before it."""
        config: Config = self.segmenter.config.override({} if crf else {"masks.crf.enabled": False})
        masks = config.masks
        views = run_views(
            self.segmenter.backend, image, side=config.data.image_size, scales=masks.scales, flip=masks.flip
        )
        tags = np.array(
            [Tag.PRESENT if name in record.present else Tag.ABSENT for name in self.segmenter.classes], np.int8
        )
        return pseudo_mask(image, views, tags, config, teacher_weight=0.0, pixel_scale=1.0)[0]

    def row(self, record: ImageRecord) -> list[RgbImage]:
        """The cells of `COLUMNS`."""
        image = read_image(record.path)
        large = enlarged(image)
        steps, positions = self.segmenter.steps(image, sorted(record.present))
        assert record.gt_mask is not None
        masks = [self.pseudo(record, image, crf=True), self.segmenter.predict(image).mask, read_mask(record.gt_mask)]
        return [
            large,
            coloured_maps(large, steps.maps, positions),
            *(overlay(large, as_large(one, large)) for one in masks),
        ]

    def steps(self, record: ImageRecord) -> list[RgbImage]:
        """The cells of `STEPS`."""
        image = read_image(record.path)
        large = enlarged(image)
        steps, positions = self.segmenter.steps(image, sorted(record.present))
        masks = [self.pseudo(record, image, crf=crf) for crf in (False, True)]
        masks.append(self.segmenter.predict(image).mask)
        return [
            large,
            coloured_maps(large, steps.maps, positions),
            heatmap(large, steps.prior),
            coloured_maps(large, steps.scores[1:], positions),
            *(overlay(large, as_large(one, large)) for one in masks),
        ]

    def draw(self, path: Path, count: int) -> None:
        """Write the sheet of some images."""
        records = self.chosen(count)
        captions = [", ".join(sorted(record.present)) for record in records]
        rows = [self.row(record) for record in records]
        cell = (150, 150)
        save(sheet(rows, titles=COLUMNS, captions=captions, cell=cell, legend=self.segmenter.classes), path)


def save(drawn: RgbImage, path: Path) -> None:
    """Save as WebP, with the highest quality that is small enough."""
    image = Image.fromarray(drawn)
    for quality in (85, 75, 65, 50, 35):
        stream = io.BytesIO()
        image.save(stream, format="WEBP", quality=quality, method=6)
        if stream.tell() <= MOST_BYTES:
            break
    path.write_bytes(stream.getvalue())
    print(f"{path}: {image.width} x {image.height}, {stream.tell() / 1000:.0f} kB, quality {quality}")


def trained(kind: str, runs: Path, weights: str) -> tuple[Path, Path]:
    """The run of a made dataset, trained unless it is there, and its held-out images."""
    data = write_collection(kind, runs / "data", train=IMAGES, val=24)
    out = runs / kind
    if not (out / "model.safetensors").is_file():
        dataset = Dataset.load(data / "train" / "images", data / "train" / "tags.csv", classes=data / "classes.txt")
        options = {**OPTIONS, "model.weights": weights}
        train(dataset, out, config="frozen-surfaces", options=options, make_masks=False, make_report=False)
    return out, data / "val"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="what `tag2mask demo` wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="hub", help="of resnet18: a folder, a file, or hub")
    parser.add_argument("--runs", type=Path, default=Path("runs/gallery"))
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--rows", type=int, default=4)
    args = parser.parse_args(arguments)
    galleries = {"demo": Gallery(args.demo / "run", args.demo / "scenes" / "val")}
    for kind in args.kinds:
        galleries[kind] = Gallery(*trained(kind, args.runs, args.weights))
    for name, gallery in galleries.items():
        gallery.draw(args.out / f"gallery-{name.replace('_', '-')}.webp", args.rows)
    rows, captions = [], []
    for name in list(galleries)[:2]:
        record = galleries[name].chosen(1)[0]
        rows.append(galleries[name].steps(record))
        captions.append(", ".join(sorted(record.present)))
    save(sheet(rows, titles=STEPS, captions=captions, cell=(130, 130)), args.out / "method-steps.webp")


if __name__ == "__main__":
    main()
