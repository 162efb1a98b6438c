"""Joint training of both heads: a thin Lightning module around pure steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.inference.backends.torch import to_outputs
from tag2mask.method.pseudo_masks import pseudo_mask
from tag2mask.models.inputs import network_input
from tag2mask.models.network import TagSegmenter
from tag2mask.training.augment import hide_and_seek
from tag2mask.training.base import MaskTraining
from tag2mask.training.losses import image_level_loss, pixel_loss, tag_loss
from tag2mask.training.samples import Batch


class JointTraining(MaskTraining):
    """Recognition from tags, and segmentation from the pseudo masks that recognition yields.

    Warm-up trains the recognition head alone; after it, each sample comes with its pseudo mask, which the callback
    `PseudoMasks` has written, or (`paper.every_step`) with one made at that step from the sample's crop.
    """

    network: TagSegmenter

    def __init__(
        self,
        network: TagSegmenter,
        config: Config,
        *,
        classes: Sequence[str],
        names: Sequence[str],
        epochs: int,
        steps_per_epoch: int,
        threads: int = 1,
    ):
        super().__init__(network, config, classes=classes, names=names, epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.threads = threads

    @property
    def learner(self) -> TagSegmenter:
        """The whole network."""
        return self.network

    @property
    def teacher(self) -> TagSegmenter:
        """The network that makes the pseudo masks and is kept at the end: the EMA teacher where there is one."""
        teacher = self.network if self.average is None else self.average.module
        assert isinstance(teacher, TagSegmenter)
        return teacher

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the joint loss of one batch.

        Randomness is seeded by the step, so that a resumed run draws what an uninterrupted one would.
        """
        training, paper = self.config.training, self.config.paper
        torch.manual_seed((training.seed << 32) + self.global_step + (self.global_rank << 20))
        images = network_input(batch["image"], self.network.backbone.preprocessing)
        tags = batch["tags"]
        visible, hidden = hide_and_seek(
            images,
            grid=paper.hide_grid,
            probability=paper.hide_probability,
            image_probability=paper.hide_image_probability,
        )
        joint = self.current_epoch >= self.warmup_epochs
        ignored = hidden | batch["outside"]
        logits: Tensor | None
        if joint and paper.hide_from == "both":
            recognition, logits = self.network.both(visible, ignored)
        else:
            recognition = self.network.recognise(visible, ignored)
            logits = self.network.segment(images) if joint else None
            hidden = torch.zeros_like(hidden)
        loss = tag_loss(recognition.tag_logits.float(), tags)
        self._log("tag_loss", loss)
        if recognition.contrast is not None:
            contrast = tag_loss(recognition.contrast.tag_logits, tags)
            self._log("contrast_loss", contrast)
            loss = loss + contrast
        if logits is not None:
            loss = loss + self._segmentation_loss(logits, images, batch, hidden)
        self._check_finite(loss, batch["index"])
        return loss

    def _segmentation_loss(self, logits: Tensor, images: Tensor, batch: Batch, hidden: Tensor) -> Tensor:
        """Loss of the pixels that the segmentation head can see."""
        training, tags = self.config.training, batch["tags"]
        if training.supervision == "masks":
            targets = batch["mask"].long().masked_fill(hidden, IGNORE_INDEX)
            pixels = pixel_loss(logits, targets, tags, class_balance=training.class_balance)
            self._log("pixel_loss", pixels)
            return training.pixel_loss * pixels
        masks = self._masks_of_step(images, batch) if self.config.paper.every_step else batch["mask"].long()
        has_target = (masks != IGNORE_INDEX).flatten(1).any(dim=1)
        # Images that are known to show no class at all, and corrected masks, are right to have no foreground.
        trained = has_target | ~(tags == Tag.PRESENT).any(dim=1) | batch["corrected"]
        unseen = F.interpolate(hidden[:, None].float(), masks.shape[-2:], mode="nearest-exact")[:, 0] > 0
        targets = masks.masked_fill(unseen | ~trained[:, None, None], IGNORE_INDEX)
        pixels = pixel_loss(
            logits,
            targets,
            tags,
            background_weight=training.background_weight,
            class_balance=training.class_balance,
            corrected=batch["corrected"],
        )
        image_level = image_level_loss(logits[~trained], tags[~trained])
        share = 1 - trained.float().mean()
        self._log("pixel_loss", pixels)
        self._log("no_foreground", share)
        return training.pixel_loss * pixels + training.fallback_loss * share * image_level

    @torch.no_grad()
    def _masks_of_step(self, images: Tensor, batch: Batch) -> Tensor:
        """Pseudo masks (B, h, w) int64 of the batch's crops, as the paper; 255 outside images."""
        started = time.monotonic()
        teacher = self.teacher
        was_training = teacher.training
        teacher.eval()
        recognition, pixel_logits = teacher.both(images, batch["outside"])
        teacher.train(was_training)
        outputs = to_outputs(recognition, pixel_logits, self.config.masks.prior_layers)
        side = self.config.data.crop_size // self.config.masks.stride
        crops = batch["image"].permute(0, 2, 3, 1).cpu().numpy()
        tags = batch["tags"].cpu().numpy()
        weight = self.teacher_weight(self.global_step)

        def make(index: int) -> NDArray[np.uint8]:
            small = np.asarray(cv2.resize(crops[index], (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            scale = side / self.config.data.crop_size
            mask, _ = pseudo_mask(
                small, [outputs[index]], tags[index], self.config, teacher_weight=weight, pixel_scale=scale
            )
            return mask

        with ThreadPoolExecutor(self.threads) as pool:
            made = torch.from_numpy(np.stack(list(pool.map(make, range(len(crops))))))
        masks = made.to(images.device, torch.int64)
        masks = masks.masked_fill(_nearest(batch["outside"], side) > 0, IGNORE_INDEX)
        empty = (tags == Tag.PRESENT).any(axis=1) & ~_has_foreground(masks).cpu().numpy()
        masks[torch.from_numpy(empty).to(masks.device)] = IGNORE_INDEX
        masks = torch.where(batch["corrected"][:, None, None], _nearest(batch["mask"], side).long(), masks)
        self.log(
            "mask_seconds", time.monotonic() - started, on_step=False, on_epoch=True, reduce_fx="sum", batch_size=1
        )
        return masks


def _nearest(values: Tensor, side: int) -> Tensor:
    """(B, side, side) by nearest neighbour, of (B, H, W)."""
    return F.interpolate(values[:, None].float(), (side, side), mode="nearest-exact")[:, 0]


def _has_foreground(masks: Tensor) -> Tensor:
    return ((masks > 0) & (masks != IGNORE_INDEX)).flatten(1).any(dim=1)
