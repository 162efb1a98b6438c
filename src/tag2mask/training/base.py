"""What every training from pseudo masks has: the schedule, the EMA teacher, the threshold of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.method.pseudo_masks import Measured
from tag2mask.models.build import SegmentationNetwork
from tag2mask.training.schedule import parameter_groups, warmup_epochs

Averaging = Callable[[Any, Any, Tensor | int], None]
"""Updates averaged tensors in place, from the current ones and the number of updates before."""


class MaskTraining(lightning.LightningModule):
    """Training of a network on pseudo masks that its EMA teacher makes, which the callback `PseudoMasks` writes.

    Attributes:
        network: the student.
        average: exponential moving average of what is trained, or None.
        config: settings; the threshold that 'auto' stands for is put in by `set_threshold`.
        classes: names, without background.
        names: of the images, for messages.
        warmup_epochs: first epochs without pixel loss.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        config: Config,
        *,
        classes: Sequence[str],
        names: Sequence[str],
        epochs: int,
        steps_per_epoch: int,
    ):
        super().__init__()
        self.network = network
        self.config = config
        self.classes = tuple(classes)
        self.names = names
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.warmup_epochs = warmup_epochs(config, epochs)
        self.average: AveragedModel | None = None
        if decay := config.training.average:
            self.average = AveragedModel(self.learner, multi_avg_fn=self._averaging(decay), use_buffers=False)
            self.average.requires_grad_(False)

    @property
    def learner(self) -> nn.Module:
        """The part of the network that is trained."""
        raise NotImplementedError

    @property
    def teacher(self) -> SegmentationNetwork:
        """The network that makes the pseudo masks and is kept at the end: the EMA teacher where there is one."""
        raise NotImplementedError

    def _averaging(self, decay: float) -> Averaging:
        """How the EMA teacher is updated."""
        update: Averaging = get_ema_multi_avg_fn(decay)
        return update

    @property
    def wants_threshold(self) -> bool:
        """Whether the threshold of the evidence is still to be measured on the dataset."""
        config = self.config
        used = config.paper.background == "soft" and not config.model.contrast_stages
        return used and config.training.supervision == "tags" and config.masks.measured

    def set_measured(self, measured: Measured) -> None:
        """Cut the evidence there from now on, in training and in the network that is kept."""
        self.config = self.config.with_threshold(measured.threshold, measured.spread)

    def teacher_weight(self, step: int) -> float:
        """Share of the segmentation head in the pseudo masks; it reaches its full by the middle of the joint phase."""
        joint = max(1, (self.epochs - self.warmup_epochs) * self.steps_per_epoch)
        done = step - self.warmup_epochs * self.steps_per_epoch
        return self.config.masks.teacher_weight * min(1.0, max(0.0, 2 * done / joint))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the length of the warm-up: a run that goes on with more epochs does not warm up again."""
        checkpoint["warmup_epochs"] = self.warmup_epochs

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        self.warmup_epochs = checkpoint.get("warmup_epochs", self.warmup_epochs)

    def on_train_epoch_start(self) -> None:
        """Keep the EMA teacher in evaluation mode."""
        if self.average is not None:
            self.average.eval()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the EMA teacher."""
        if self.average is not None:
            self.average.update_parameters(self.learner)

    def configure_optimizers(self) -> Any:
        """AdamW with a higher rate for the heads; linear decay after a short linear rise."""
        optimizer = torch.optim.AdamW(parameter_groups(self.network, self.config))
        total = max(1, self.epochs * self.steps_per_epoch)
        rise = max(1, min(100, total // 20))

        def factor(step: int) -> float:
            return float(min(1.0, (step + 1) / rise) * max(0.01, 1 - step / total) ** 0.9)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _check_finite(self, loss: Tensor, indices: Tensor) -> None:
        if not torch.isfinite(loss):
            rate = self.config.training.learning_rate / 3
            names = ", ".join(self.names[int(index)] for index in indices)
            raise DataError(
                f"the loss is {loss.item()} in epoch {self.current_epoch + 1}, on these images: {names}; "
                f"start a new run with a lower rate, e.g. `training.learning_rate={rate:g}`, or look at these images"
            )

    def _log(self, name: str, value: Tensor) -> None:
        self.log(name, value.detach(), prog_bar=True, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
