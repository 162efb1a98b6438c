"""A PNG of class indices per image, in the layouts of training libraries.

- `mmseg` (https://mmsegmentation.readthedocs.io/en/latest/advanced_guides/add_datasets.html):
  `ann_dir/train/NAME.png` for `img_dir/train/NAME.jpg`, as ADE20K is laid out, and `dataset.py` with the names and
  colours. Background is class 0, `reduce_zero_label` is off; 255 is ignored there too.
- `fiftyone`: `labels/NAME.png` for `data/NAME.jpg`, which `fiftyone.types.ImageSegmentationDirectory` reads, and
  `mask_targets.json` with the names.
- `huggingface`: `masks/NAME.png` and `metadata.jsonl`, which `datasets.load_dataset("imagefolder", ...)` reads with the
  images beside it: columns `image`, `mask` and `tags`.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, stem_of
from tag2mask.masks.palette_png import encode_mask, voc_colours
from tag2mask.masks.run_lengths import class_regions


class _Pngs:
    """Writes each mask into one folder."""

    folder = ""

    def __init__(self, write: Write, options: ExportOptions) -> None:
        self._write = write
        self._classes = options.classes

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask."""
        self._write(f"{self.folder}/{stem_of(name)}.png", encode_mask(mask, classes=len(self._classes)))


class MmsegLayout(_Pngs):
    """Writes `ann_dir/train` and `dataset.py`; the images belong in `img_dir/train`."""

    folder = "ann_dir/train"
    contents = frozenset({"ann_dir", "dataset.py"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        super().__init__(write, options)
        self._suffixes: set[str] = set()

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask."""
        super().add(name, mask)
        self._suffixes.add(name[len(stem_of(name)) :])

    def close(self) -> None:
        """Write the configuration of the dataset.

        Raises:
            DataError: the images have several suffixes, of which MMSegmentation knows one.
        """
        if len(self._suffixes) > 1:
            some = ", ".join(sorted(self._suffixes)[:4])
            raise DataError(f"images with several suffixes ({some}); MMSegmentation reads one: convert the others")
        palette = voc_colours()[: len(self._classes) + 1].tolist()
        settings = {
            "type": "BaseSegDataset",
            "data_prefix": {"img_path": "img_dir/train", "seg_map_path": "ann_dir/train"},
            "img_suffix": next(iter(self._suffixes), ".jpg"),
            "seg_map_suffix": ".png",
            "reduce_zero_label": False,
            "metainfo": {"classes": ("background", *self._classes), "palette": palette},
        }
        lines = "".join(f"    {key}={value!r},\n" for key, value in settings.items())
        self._write(
            "dataset.py",
            f"# data_root is this folder; images belong in img_dir/train.\ntrain_dataset = dict(\n{lines})\n".encode(),
        )


class FiftyOneLayout(_Pngs):
    """Writes `labels` and `mask_targets.json`; the images belong in `data`."""

    folder = "labels"
    contents = frozenset({"labels", "mask_targets.json"})

    def close(self) -> None:
        """Write the names by their values."""
        names = {str(index): name for index, name in enumerate(self._classes, start=1)}
        self._write("mask_targets.json", (json.dumps(names, ensure_ascii=False, indent=1) + "\n").encode())


class HuggingFaceLayout(_Pngs):
    """Writes `masks` and `metadata.jsonl`; the images belong beside them."""

    folder = "masks"
    contents = frozenset({"masks", "metadata.jsonl"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        super().__init__(write, options)
        self._lines: list[str] = []

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask and its line."""
        super().add(name, mask)
        tags = [self._classes[index - 1] for index, _ in class_regions(mask, len(self._classes))]
        line = {"file_name": name, "mask_file_name": f"{self.folder}/{stem_of(name)}.png", "tags": tags}
        self._lines.append(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write the lines."""
        self._write("metadata.jsonl", "".join(self._lines).encode())
