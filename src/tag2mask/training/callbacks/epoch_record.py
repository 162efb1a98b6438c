"""A line an epoch in `metrics.jsonl`, and in the log with the time left."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from tag2mask.core.files import write_text
from tag2mask.core.progress import current_line
from tag2mask.training.callbacks.pseudo_masks import PseudoMasks
from tag2mask.training.feature_compute import readable_time

_log = logging.getLogger(__name__)


class EpochRecord(Callback):
    """Appends losses and seconds of each epoch to a file of JSON lines."""

    def __init__(self, path: Path, *, epochs: int, images: int, pseudo_masks: PseudoMasks | None):
        """Prepare.

        Args:
            path: the file.
            epochs: in all.
            images: of an epoch.
            pseudo_masks: the callback whose time counts as the epoch's; it runs before this one.
        """
        self.path, self.epochs, self.images, self.pseudo_masks = path, epochs, images, pseudo_masks
        self.started = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Drop the lines of epochs that a resumed run does again."""
        if trainer.is_global_zero and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()[: trainer.current_epoch]
            write_text(self.path, "".join(line + "\n" for line in lines))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock, behind the pseudo masks."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch; `seconds` holds `mask_seconds`, those spent on pseudo masks."""
        if not trainer.is_global_zero:
            return
        seconds = time.monotonic() - self.started
        metrics = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items()}
        inside = metrics.pop("mask_seconds", 0.0)  # of masks made at every step
        before = 0.0 if self.pseudo_masks is None else self.pseudo_masks.seconds
        epoch = trainer.current_epoch + 1
        record = {"epoch": epoch, **metrics, "seconds": round(seconds + before, 2)}
        record["mask_seconds"] = round(inside + before, 2)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        losses = " ".join(f"{name.removesuffix('_loss')} {value:.3g}" for name, value in metrics.items())
        speed = self.images / seconds
        left = readable_time(self._left(epoch, seconds))
        _log.info("epoch %d/%d %s %.1f images/s, %s left", epoch, self.epochs, losses, speed, left)

    def _left(self, epoch: int, seconds: float) -> float:
        """Seconds: as the line of progress has them, else of the epochs alone."""
        line = current_line()
        known = None if line is None else line.left.seconds()
        return (self.epochs - epoch) * seconds if known is None else known
