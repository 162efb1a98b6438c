"""Curves and pictures of a run, through Lightning's own loggers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch import loggers as known
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.drawing import overlay
from tag2mask.images.decode import read_image, scaled_size
from tag2mask.method.torch_generate import gated_probs
from tag2mask.training.module import JointTraining
from tag2mask.training.transforms import network_input, resize, to_tensor

FOLDER = "logs"
_SHOWN = 4
_MULTIPLE = 32


def make_loggers(config: Config, out: Path, report: Callable[[str], None]) -> list[Logger]:
    """The loggers that a configuration names; their files lie in `out`/logs.

    Raises:
        ConfigError: Lightning has no such logger, what it needs is not installed, or its arguments do not fit.
    """
    chosen: list[Logger] = []
    for name in config.training.loggers:
        arguments = dict(config.training.logger_args.get(name, {}))
        kind = {"tensorboard": "TensorBoardLogger", "csv": "CSVLogger"}.get(name, name)
        maker = getattr(known, kind, None)
        if not inspect.isclass(maker) or not issubclass(maker, Logger):
            available = ", ".join(sorted(one for one in known.__all__ if one.endswith("Logger") and one != "Logger"))
            raise ConfigError(f"training.loggers: Lightning has no {name!r}; there are tensorboard, csv, {available}")
        if kind in {"TensorBoardLogger", "CSVLogger"}:
            arguments = {
                "save_dir": out,
                "name": FOLDER,
                "version": "" if kind == "TensorBoardLogger" else "csv",
            } | arguments
        try:
            chosen.append(maker(**arguments))
        except ModuleNotFoundError as error:
            if name != "tensorboard":
                raise ConfigError(f"training.loggers: {name} needs a package that is not installed: {error}") from None
            report("no curves for TensorBoard: `pip install tensorboard` to have them")
        except TypeError as error:
            raise ConfigError(f"training.logger_args: {name} does not take these arguments: {error}") from None
    return chosen


class MaskPictures(Callback):
    """Shows the network's masks of a few photographs in TensorBoard after every epoch, with their tags given."""

    def __init__(self, collection: Dataset, config: Config):
        count = min(_SHOWN, len(collection.records))
        places = [round(place) for place in np.linspace(0, len(collection.records) - 1, count)]
        self.paths = [collection.records[place].path for place in places]
        self.tags = torch.from_numpy(collection.tags()[places])
        self.classes = collection.classes
        self.config = config

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add a picture a photograph."""
        assert isinstance(pl_module, JointTraining)
        boards = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger)]
        if not boards or not trainer.is_global_zero:
            return
        for number, picture in enumerate(self._pictures(pl_module)):
            for board in boards:
                board.experiment.add_image(f"mask/{number}", picture, trainer.current_epoch + 1, dataformats="HWC")

    @torch.no_grad()
    def _pictures(self, module: JointTraining) -> Sequence[NDArray[np.uint8]]:
        teacher, size = module.teacher, self.config.data.image_size
        was_training = teacher.training
        teacher.eval()
        pictures = []
        for path, tags in zip(self.paths, self.tags, strict=True):
            image = read_image(path)
            shape = scaled_size((image.shape[0], image.shape[1]), size, multiple=_MULTIPLE)
            small = resize(to_tensor(image).as_subclass(torch.Tensor), shape)
            batch = network_input(small[None].to(module.device), teacher.backbone.preprocessing)
            logits = teacher.segment(batch)
            allowed = (tags[None] != Tag.ABSENT).to(module.device)
            mask = gated_probs(logits, allowed, shape)[0].argmax(dim=0).cpu().numpy()
            pixels: NDArray[Any] = small.permute(1, 2, 0).contiguous().numpy()
            pictures.append(overlay(pixels, mask, classes=self.classes, legend=True))
        teacher.train(was_training)
        return pictures
