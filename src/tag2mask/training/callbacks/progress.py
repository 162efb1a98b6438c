"""Steps of training in `progress.json`."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from tag2mask.training.progress_file import ProgressFile


class StepProgress(Callback):
    """Notes each step with the time left and the speed of this fit, pseudo masks included."""

    def __init__(self, file: ProgressFile, *, images: int):
        """Prepare.

        Args:
            file: where to.
            images: of an epoch.
        """
        self.file, self.images = file, images
        self._began = 0.0
        self._first = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to count; of a run that goes on, behind what was trained before."""
        self._began, self._first = time.monotonic(), trainer.global_step
        self.file.stage("training", epoch=trainer.current_epoch, epochs=trainer.max_epochs)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note a step."""
        of_epoch = int(trainer.num_training_batches)
        epochs = trainer.max_epochs or 0
        done = trainer.current_epoch * of_epoch + batch_idx + 1
        new = trainer.global_step - self._first
        if new <= 0:
            return
        rate = new / max(time.monotonic() - self._began, 1e-9)
        self.file.step(
            "steps",
            batch_idx + 1,
            of_epoch,
            epoch=trainer.current_epoch + (batch_idx + 1 == of_epoch),
            seconds_left=round((epochs * of_epoch - done) / rate, 1),
            images_per_second=round(rate * self.images / max(1, of_epoch), 2),
        )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """All epochs have ended, or the training was interrupted, which is noted next."""
        self.file.stage("writing")
