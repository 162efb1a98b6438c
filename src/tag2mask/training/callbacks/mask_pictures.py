"""Masks of a few images in TensorBoard after every epoch."""

from __future__ import annotations

from collections.abc import Iterator

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.drawing import overlay
from tag2mask.images.cache import whole_reader
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.method.gate import gated_probs_at
from tag2mask.method.refine import to_mask
from tag2mask.training.base import MaskTraining

_SHOWN = 4


class MaskPictures(Callback):
    """Shows the segmentation head's masks of a few images, their tags given."""

    def __init__(self, dataset: Dataset):
        count = min(_SHOWN, len(dataset.records))
        positions = [round(position) for position in np.linspace(0, len(dataset.records) - 1, count)]
        self.paths = [dataset.records[position].path for position in positions]
        self.tags = dataset.tags()[positions]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add a picture for each image."""
        assert isinstance(pl_module, MaskTraining)
        boards = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger)]
        if not boards or not trainer.is_global_zero:
            return
        for number, picture in enumerate(self._pictures(pl_module)):
            for board in boards:
                board.experiment.add_image(f"mask/{number}", picture, trainer.current_epoch + 1, dataformats="HWC")

    def _pictures(self, module: MaskTraining) -> Iterator[NDArray[np.uint8]]:
        backend = TorchBackend(module.teacher, module.classes, module.config, device=module.device)
        read = whole_reader(module.config)
        for path, tags in zip(self.paths, self.tags, strict=True):
            image = read(path)
            shape = (image.shape[0], image.shape[1])
            size = scaled_size(shape, module.config.data.image_size, multiple=backend.input_multiple)
            small = resize_image(image, size)
            [output] = backend.run(small[None])
            channels = np.concatenate([[0], np.flatnonzero(tags != Tag.ABSENT) + 1])
            mask = to_mask(gated_probs_at(output.pixel_logits, channels, size), channels)
            yield overlay(small, mask, classes=module.classes, legend=True)
