"""A worker: segments the images of one part after the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.deploy.bulk.parts import Part
from tag2mask.deploy.bulk.results import Target
from tag2mask.deploy.bulk.storage import Store
from tag2mask.deploy.bulk.table import Row, encode_rows, failure_row, mask_row
from tag2mask.images.decode import read_image
from tag2mask.inference import Segmenter
from tag2mask.masks import mask_path
from tag2mask.masks.palette_png import encode_mask


class Worker:
    """Segments the images of parts and writes their results."""

    def __init__(self, segmenter: Segmenter, out: str, *, to: Target, tagged: bool):
        """Take a loaded network.

        Args:
            segmenter: the network.
            out: address of the results.
            to: what to write.
            tagged: only tagged classes get pixels, and an image without tags fails; False ignores all tags.
        """
        self.segmenter = segmenter
        self.store = Store(out)
        self.to = to
        self.tagged = tagged

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Work on the part in `row["part"]`; returns how many masks were written, in how many seconds."""
        part, started = Part.from_json(row["part"]), time.monotonic()
        rows: list[Row] = []
        written = 0
        for record, image in self._images(part):
            try:
                if isinstance(image, DataError):
                    raise image
                prediction = self.segmenter.predict(
                    image, record.tags if self.tagged else None, unknown=record.unknown if self.tagged else None
                )
            except DataError as error:  # also for unknown classes among the tags in a shard
                rows.append(failure_row(record.name, str(error)))
                continue
            written += 1
            if self.to == "png":
                content = encode_mask(prediction.mask, classes=len(prediction.classes))
                self.store.write(mask_path(Path(), record.name).as_posix(), content)
            else:
                rows.append(mask_row(record.name, prediction.mask, prediction.classes, prediction.uncertainty.total))
        if self.to == "parquet" or rows or part.shard is not None:  # of PNGs: what failed, and that a shard is done
            folder = "" if self.to == "parquet" else "parts/"
            self.store.write(f"{folder}{part.name}.parquet", encode_rows(rows))
        return {"written": written, "seconds": time.monotonic() - started}

    def _images(self, part: Part) -> Iterator[tuple[ImageRecord, NDArray[np.uint8] | DataError]]:
        """Decoded images of a part, or why there is none."""
        with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
            path = Path(folder) / "image"
            for record, content in part.files():
                if isinstance(content, DataError):
                    yield record, content
                elif self.tagged and record.tags is None:
                    yield record, DataError(f"{record.name}: no tags for this image")
                else:
                    path.write_bytes(content)
                    try:
                        yield record, read_image(path, reading=self.segmenter.reading)
                    except DataError as error:
                        yield record, DataError(str(error).replace(str(path), record.name))


class RayWorker(Worker):
    """A worker in a process of its own on one core, which loads the network itself."""

    def __init__(self, model: str, out: str, *, device: str, to: Target, tagged: bool):
        """Load the network.

        Args:
            model: as in `bulk_predict`.
            out: as in `Worker`.
            device: as in `Segmenter.from_pretrained`.
            to: as in `Worker`.
            tagged: as in `Worker`.
        """
        _use_one_thread()
        super().__init__(Segmenter.from_pretrained(model, device=device, threads=1), out, to=to, tagged=tagged)


def _use_one_thread() -> None:
    """Keep torch off the cores of the other workers."""
    try:
        import torch
    except ImportError:  # a network in ONNX does without it
        return
    torch.set_num_threads(1)
