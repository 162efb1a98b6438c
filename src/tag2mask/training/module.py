"""Joint training of both streams: a thin Lightning module around pure steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tag2mask.config.schema import Config
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.method.torch_generate import mask_steps, training_masks
from tag2mask.models import TagSegmenter
from tag2mask.training.losses import image_level_loss, pixel_loss, tag_loss
from tag2mask.training.probe import is_probed
from tag2mask.training.samples import Batch
from tag2mask.training.transforms import denormalise, hide_and_seek, network_input


class JointTraining(lightning.LightningModule):
    """Recognition from tags and segmentation from the masks that recognition yields.

    Warm-up trains the recognition stream alone; then each batch's masks come from the averaged
    network as it is at that step, without gradient through them.
    """

    def __init__(
        self, network: TagSegmenter, config: Config, names: Sequence[str], *, epochs: int, steps_per_epoch: int
    ):
        super().__init__()
        self.network = network
        self.config = config
        self.names = names
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.mask_seconds = 0.0  # spent on making training masks since it was last set to 0
        self.foreground_share: float | None = None  # of the first training masks, if it is to be held
        self.warmup_epochs = warmup_epochs(config, epochs)
        decay = config.training.average
        self.average: AveragedModel | None = None
        if decay:
            averaging = get_ema_multi_avg_fn(decay)
            self.average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=False)
            self.average.requires_grad_(False)

    @property
    def teacher(self) -> TagSegmenter:
        """The network that makes the masks and is kept at the end."""
        teacher = self.network if self.average is None else self.average.module
        assert isinstance(teacher, TagSegmenter)
        return teacher

    def on_train_epoch_start(self) -> None:
        """Keep the averaged network in evaluation."""
        if self.average is not None:
            self.average.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the joint loss of one batch.

        Randomness is seeded by the step, so that a resumed run draws what an uninterrupted one would.
        """
        training = self.config.training
        torch.manual_seed((training.seed << 32) + self.global_step + (self.global_rank << 20))
        images = network_input(batch["image"], self.network.backbone.preprocessing)
        tags = batch["tags"]
        data = self.config.data
        visible, hidden = hide_and_seek(
            images,
            grid=data.hide_grid,
            probability=data.hide_probability,
            image_probability=data.hide_image_probability,
        )
        joint = self.current_epoch >= self.warmup_epochs
        ignored = hidden | batch["outside"]
        logits: Tensor | None
        if joint and data.hide_from == "both":
            recognition, logits = self.network.both(visible, ignored)
        else:
            recognition = self.network.recognise(visible, ignored)
            logits = self.network.segment(images) if joint else None
            hidden = torch.zeros_like(hidden)
        loss = training.tag_loss * tag_loss(recognition.tag_logits.float(), tags)
        self._log("tag_loss", loss)
        if recognition.contrast is not None:
            contrast = tag_loss(recognition.contrast.tag_logits, tags)
            self._log("contrast_loss", contrast)
            loss = loss + training.tag_loss * contrast
        if logits is not None:
            loss = loss + self._segmentation_loss(logits, images, batch, hidden)
        if not torch.isfinite(loss):
            names = ", ".join(self.names[int(index)] for index in batch["index"])
            raise DataError(
                f"the loss is {loss.item()} in epoch {self.current_epoch + 1}, on these images: {names}; "
                "lower training.learning_rate and go on from the last checkpoint, or look at these images"
            )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the averaged network."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was measured on the collection."""
        checkpoint["foreground_share"] = self.foreground_share
        checkpoint["soft_threshold"] = self.config.masks.soft_threshold

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        self.foreground_share = checkpoint.get("foreground_share")
        if "soft_threshold" in checkpoint:
            self.set_threshold(checkpoint["soft_threshold"])

    @property
    def wants_threshold(self) -> bool:
        """Whether the threshold of the evidence is still to be measured on the collection."""
        config = self.config
        used = config.masks.background == "soft" and not config.model.contrast_stages
        return used and config.training.supervision == "tags" and config.masks.soft_threshold == "auto"

    def set_threshold(self, threshold: float | str) -> None:
        """Cut the evidence there from now on, in training and in the network that is kept."""
        self.config = self.config.with_threshold(threshold)

    def configure_optimizers(self) -> Any:
        """AdamW with a higher rate for the heads; linear decay after a short linear rise."""
        optimizer = torch.optim.AdamW(_parameter_groups(self.network, self.config))
        total = max(1, self.epochs * self.steps_per_epoch)
        rise = max(1, min(100, total // 20))

        def factor(step: int) -> float:
            return float(min(1.0, (step + 1) / rise) * max(0.01, 1 - step / total) ** 0.9)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _segmentation_loss(self, logits: Tensor, images: Tensor, batch: Batch, hidden: Tensor) -> Tensor:
        """Loss of the pixels that the segmentation stream can see."""
        training, tags = self.config.training, batch["tags"]
        if training.supervision == "masks":
            pixels = pixel_loss(logits, batch["mask"].long().masked_fill(hidden, IGNORE_INDEX), tags)
            self._log("pixel_loss", pixels)
            return training.pixel_loss * pixels
        if self.config.masks.refresh:
            masks = batch["mask"].long()
            has_foreground = (masks != IGNORE_INDEX).flatten(1).any(dim=1)
        else:
            started = time.monotonic()
            masks, has_foreground = self._make_masks(images, batch)
            self.mask_seconds += time.monotonic() - started
            given = F.interpolate(batch["mask"][:, None].float(), masks.shape[-2:], mode="nearest-exact")[:, 0].long()
            masks = torch.where(batch["corrected"][:, None, None], given, masks)
        # Images that are known to show no class at all, and corrected masks, are right to have no foreground.
        trained = has_foreground | ~(tags == Tag.PRESENT).any(dim=1) | batch["corrected"]
        unseen = F.interpolate(hidden[:, None].float(), masks.shape[-2:], mode="nearest-exact")[:, 0] > 0
        ignored = unseen | ~trained[:, None, None]
        targets = masks.masked_fill(ignored, IGNORE_INDEX)
        pixels = pixel_loss(
            logits, targets, tags, background_weight=training.background_weight, corrected=batch["corrected"]
        )
        image_level = image_level_loss(logits[~trained], tags[~trained])
        share = 1 - trained.float().mean()
        self._log("pixel_loss", pixels)
        self._log("no_foreground", share)
        return training.pixel_loss * pixels + training.fallback_loss * share * image_level

    @torch.no_grad()
    def _make_masks(self, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        config = self.config
        teacher = self.teacher
        was_training = teacher.training
        teacher.eval()
        recognition, pixel_logits = teacher.both(images, batch["outside"])
        teacher.train(was_training)
        size = config.data.crop_size // config.masks.stride
        steps = mask_steps(
            recognition,
            batch["tags"],
            (size, size),
            config.masks,
            pixel_logits=pixel_logits,
            teacher_weight=self.teacher_weight(self.global_step),
        )
        small = F.interpolate(images.float(), (size, size), mode="area")
        outside = F.interpolate(batch["outside"][:, None].float(), (size, size), mode="nearest-exact")[:, 0] > 0
        return training_masks(
            steps,
            denormalise(small, teacher.backbone.preprocessing),
            outside,
            config.masks,
            pixel_scale=size / config.data.crop_size,
            threads=min(8, usable_cores()),
        )

    def teacher_weight(self, step: int) -> float:
        """Share of the segmentation stream in the stack; it rises to its full by the middle of the joint phase."""
        joint = max(1, (self.epochs - self.warmup_epochs) * self.steps_per_epoch)
        done = step - self.warmup_epochs * self.steps_per_epoch
        return self.config.masks.teacher_weight * min(1.0, max(0.0, 2 * done / joint))

    def _log(self, name: str, value: Tensor) -> None:
        self.log(name, value.detach(), prog_bar=True, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)


def warmup_epochs(config: Config, epochs: int) -> int:
    """Epochs with the tag loss alone; none where human masks train the ceiling.

    What makes the masks gets one epoch at least if it starts from nothing, and the joint phase always does.
    """
    if config.training.supervision == "masks":
        return 0
    wanted = round(config.training.warmup * epochs)
    untaught = not is_probed(config) or bool(config.model.contrast_stages)
    least = 1 if config.training.warmup and untaught else 0
    return min(max(wanted, least), epochs - 1)


def _parameter_groups(network: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Heads learn faster than the backbone and a probed classifier; one-dimensional parameters are not decayed."""
    training = config.training
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        of_backbone = name.startswith(("backbone.", "own_backbone."))
        slow = of_backbone or (is_probed(config) and name.startswith("recognition.classifier."))
        rate = training.learning_rate * (1.0 if slow else training.head_factor)
        decay = training.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]
