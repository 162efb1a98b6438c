"""Steps of training in the line of progress and in `progress.json`."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from tag2mask.core.progress import Line, note_step
from tag2mask.core.time_left import Part
from tag2mask.training.progress_file import ProgressFile

STEPS = "steps"
"""What is counted."""


class StepProgress(Callback):
    """Notes each step; the file also gets the speed of this fit, pseudo masks included."""

    def __init__(self, file: ProgressFile | None, line: Line | None, *, images: int):
        """Prepare.

        Args:
            file: where to.
            line: that shows the epoch.
            images: of an epoch.
        """
        self.file, self.line, self.images = file, line, images
        self._began = 0.0
        self._first = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to count; of a run that goes on, behind what was trained before."""
        self._began, self._first = time.monotonic(), trainer.global_step
        if self.line is not None and not self.line.left.knows(STEPS):
            epochs = (trainer.max_epochs or 0) - trainer.current_epoch
            self.line.left.plan([Part(STEPS, epochs * int(trainer.num_training_batches))])
        if self.file is not None:
            self.file.stage("training", epoch=trainer.current_epoch, epochs=trainer.max_epochs)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Show the epoch."""
        if self.line is not None:
            self.line.prefix(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, ")
        note_step(STEPS, 0, int(trainer.num_training_batches))

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note a step."""
        of_epoch = int(trainer.num_training_batches)
        new = trainer.global_step - self._first
        if self.file is not None and new > 0:
            rate = new / max(time.monotonic() - self._began, 1e-9)
            self.file.know(
                epoch=trainer.current_epoch + (batch_idx + 1 == of_epoch),
                images_per_second=round(rate * self.images / max(1, of_epoch), 2),
            )
        note_step(STEPS, batch_idx + 1, of_epoch)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """All epochs have ended, or the training was interrupted, which is noted next."""
        if self.line is not None:
            self.line.prefix("")
        if self.file is not None:
            self.file.stage("writing")
