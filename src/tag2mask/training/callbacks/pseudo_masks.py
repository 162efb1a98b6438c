"""Pseudo masks at the start of the epochs that are due, and the threshold that they are cut at."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.method.pseudo_masks import Measured
from tag2mask.training.base import MaskTraining
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.ranks import any_process
from tag2mask.training.schedule import refreshes

_log = logging.getLogger(__name__)


class PseudoMasks(Callback):
    """Measures the threshold of the evidence once after warm-up, then writes all pseudo masks every few epochs.

    The first epoch's masks are written before training starts, since loader processes begin to read then; those of
    later epochs at the start of the epoch.

    Attributes:
        seconds: time spent on the masks of the epoch that runs.
        measured: the threshold, and how much is spread; None before.
    """

    def __init__(self, files: PseudoMaskFiles, *, began: float | None = None, progress: bool = False):
        """Prepare.

        Args:
            files: writes the masks.
            began: time by the monotonic clock when the training began, for the log; None: now.
            progress: show a progress bar.
        """
        self.files = files
        self.began = time.monotonic() if began is None else began
        self.progress = progress
        self.seconds = 0.0
        self.measured: Measured | None = None
        self._next_epoch = 0  # the first epoch that has not begun

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run takes up again."""
        return {"next_epoch": self._next_epoch, "measured": self.measured and tuple(self.measured)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self._next_epoch = state_dict["next_epoch"]
        self.measured = None if state_dict["measured"] is None else Measured(*state_dict["measured"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Prepare the first epoch of this fit, which is not the first of all where a run is resumed."""
        assert isinstance(pl_module, MaskTraining)
        if self.measured is not None:
            pl_module.set_measured(self.measured)
        self._prepare(self._next_epoch, trainer, pl_module)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Prepare every later epoch."""
        assert isinstance(pl_module, MaskTraining)
        if trainer.current_epoch >= self._next_epoch:
            self._prepare(trainer.current_epoch, trainer, pl_module)

    def _prepare(self, epoch: int, trainer: lightning.Trainer, module: MaskTraining) -> None:
        """Measure and write what is due before an epoch."""
        self._next_epoch = epoch + 1
        self.seconds = 0.0
        joint = epoch - module.warmup_epochs
        if joint < 0:
            return
        started = time.monotonic()
        if module.wants_threshold:
            self._measure(trainer, module)
        if not module.config.paper.every_step and any_process(self._due(joint, module)):
            self._write(epoch, trainer, module)
        self.seconds = time.monotonic() - started

    def _due(self, joint: int, module: MaskTraining) -> bool:
        """Whether masks are to be written before an epoch: not just before the end."""
        phase = module.epochs - module.warmup_epochs
        return refreshes(joint, phase, module.config.masks.refresh) or not self.files.complete()

    def _measure(self, trainer: lightning.Trainer, module: MaskTraining) -> None:
        measured = self.files.measure(_backend(module))
        if measured is None:
            return
        self.measured = trainer.strategy.broadcast(measured)
        module.set_measured(self.measured)
        if trainer.is_global_zero:
            _log.info("threshold of the evidence of foreground: %.3f, measured on the dataset", measured.threshold)
            if measured.spread is not None and measured.spread < 1:
                _log.info("objects are small: %.0f%% of their evidence is spread by attention", 100 * measured.spread)

    def _write(self, epoch: int, trainer: lightning.Trainer, module: MaskTraining) -> None:
        started = time.monotonic()
        empty = self.files.write(
            _backend(module),
            teacher_weight=module.teacher_weight(epoch * module.steps_per_epoch),
            share=(trainer.global_rank, trainer.world_size),
            progress=self.progress and trainer.is_global_zero,
        )
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            seconds = time.monotonic() - started
            if epoch == module.warmup_epochs:
                _log.info("first pseudo masks after %.0f s, in %s", time.monotonic() - self.began, self.files.folder)
            _log.info("pseudo masks written in %.0f s; without foreground: %.1f%%", seconds, 100 * empty)


def _backend(module: MaskTraining) -> TorchBackend:
    return TorchBackend(module.teacher, module.classes, module.config, device=module.device)
