"""Training of the light decoder on features that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import data as torch_data

from tag2mask.config.schema import Config
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.data import Dataset
from tag2mask.images.decode import image_size
from tag2mask.inference.backends import Backend
from tag2mask.inference.backends.torch import TorchBackend, to_outputs
from tag2mask.masks import read_mask, write_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.method.class_scores import wide_area
from tag2mask.method.output import NetworkOutput
from tag2mask.models.build import SegmentationNetwork
from tag2mask.models.frozen import FrozenSegmenter
from tag2mask.models.precision import autocast
from tag2mask.training.base import Averaging, MaskTraining
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.losses import contradicted_pixels, pixel_loss
from tag2mask.training.probe import fit_classifier
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.samples import read_ground_truth

_USUAL, _USUAL_OF_SMALL = 0.6, 0.95
"""Quantile of a class's map over images without the class up to which it means nothing, for large and small objects."""

_LARGE, _SMALL = 0.22, 0.16  # `wide_area` from which on, and up to which, they are that

_ASKED = 1000  # images of which that is measured, at most
_EVERY = 4  # one of so many pixels counts, so that many classes fit into memory

_TRUSTED = 0.3  # of the steps, in which pseudo masks count as they are

TARGET_SCALE = 4
"""Side of the target of the pixel loss / side of the grid of features."""

FINE_TARGET_SCALE = 2
"""The same, where there are fine features, whose grid it then is."""


class FeatureBatch(TypedDict):
    """B training samples.

    maps: (B, D, h, w) float32, zeros beyond the image; fine: (B, S, h', w') float32 likewise, or None; mask: (B, H, W)
    uint8, `TARGET_SCALE` times the grid of `maps` or `FINE_TARGET_SCALE` times that of `fine`, classes, 255 beyond the
    image; corrected: (B,) bool, whether a person has corrected the mask; tags: (B, C) int8 `Tag` values; index: (B,)
    int64.
    """

    maps: Tensor
    fine: Tensor | None
    mask: Tensor
    corrected: Tensor
    tags: Tensor
    index: Tensor


class FeatureSamples(torch_data.Dataset[FeatureBatch]):
    """Features and masks of a dataset's images; the key is `epoch * len(dataset) + index`.

    With `flip` each epoch sees the features of an image or their horizontal flip, which seed and key decide.
    """

    def __init__(self, dataset: Dataset, store: FeatureStore, files: PseudoMaskFiles, *, seed: int, flip: bool):
        self.store, self.files, self.seed, self.flip = store, files, seed, flip
        self.tags = dataset.tags()
        self.corrected = [record.corrected is not None for record in dataset.records]

    def __len__(self) -> int:
        return len(self.corrected)

    def __getitem__(self, key: int) -> FeatureBatch:
        index = key % len(self)
        flipped = self.flip and bool(np.random.default_rng((self.seed, key)).integers(2))
        maps, fine = self.store.maps(index), self.store.differences(index)
        scale, grid = (TARGET_SCALE, maps) if fine is None else (FINE_TARGET_SCALE, fine)
        size = (scale * grid.shape[1], scale * grid.shape[2])
        path = self.files.path(index)
        mask = read_mask(path) if path.is_file() else np.full(size, IGNORE_INDEX, np.uint8)
        target = np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return {
            "maps": maps.flip(2) if flipped else maps,
            "fine": fine.flip(2) if flipped and fine is not None else fine,
            "mask": torch.from_numpy(target[:, ::-1].copy() if flipped else target),
            "corrected": torch.tensor(self.corrected[index]),
            "tags": torch.from_numpy(self.tags[index]),
            "index": torch.tensor(index),
        }


def collate(samples: Sequence[FeatureBatch]) -> FeatureBatch:
    """Join samples of different sizes: what is beyond an image is zeros and ignored."""
    fine = [one["fine"] for one in samples if one["fine"] is not None]
    return {
        "maps": _padded([one["maps"] for one in samples], 0).contiguous(memory_format=torch.channels_last),
        "fine": _padded(fine, 0).contiguous(memory_format=torch.channels_last) if fine else None,
        "mask": _padded([one["mask"] for one in samples], IGNORE_INDEX),
        "corrected": torch.stack([one["corrected"] for one in samples]),
        "tags": torch.stack([one["tags"] for one in samples]),
        "index": torch.stack([one["index"] for one in samples]),
    }


def _padded(parts: Sequence[Tensor], value: float) -> Tensor:
    """Arrays (..., h, w) of different sizes as one, padded below and to the right."""
    height, width = (max(one.shape[axis] for one in parts) for axis in (-2, -1))
    return torch.stack(
        [F.pad(one, (0, width - one.shape[-1], 0, height - one.shape[-2]), value=value) for one in parts]
    )


class StoredMaskFiles(PseudoMaskFiles):
    """Writes pseudo masks from kept features: no image is decoded, no backbone is run."""

    def __init__(self, dataset: Dataset, folder: Path, store: FeatureStore):
        super().__init__(dataset, folder)
        self.store = store

    def _seen(
        self, pool: ThreadPoolExecutor, backend: Backend, chosen: Sequence[int]
    ) -> Iterator[tuple[list[NetworkOutput], NDArray[np.uint8]]]:
        """Outputs of the heads on the kept features, and the kept images."""
        assert isinstance(backend, TorchBackend)
        for index in chosen:
            yield kept_outputs(backend, self.store, index), self.store.small(index)


def kept_outputs(
    backend: TorchBackend, store: FeatureStore, index: int, *, decoded: bool = True
) -> list[NetworkOutput]:
    """The output of the heads of a network on the kept features of an image, its only view.

    Args:
        backend: the network.
        store: features.
        index: of the image in `store`.
        decoded: whether the pixel logits are wanted, most of the work; else they are zeros.
    """
    network = backend.network
    assert isinstance(network, FrozenSegmenter)
    network.eval()
    features = store.features(index, backend.device)
    with torch.no_grad(), autocast(backend.config.training.precision, backend.device):
        recognition, pixel_logits = network.heads(features, decoded=decoded)
    return to_outputs(recognition, pixel_logits, backend.config.masks.prior_layers)


def write_known_masks(dataset: Dataset, files: PseudoMaskFiles, store: FeatureStore, *, ground_truth: bool) -> None:
    """Write the masks that stay as they are, corrected ones or ground truth, where the pseudo masks go.

    Raises:
        DataError: an image has no ground truth, or a mask of another size.
    """
    for index, record in enumerate(dataset.records):
        if ground_truth:
            mask = read_ground_truth(record, dataset.classes, image_size(record.path))
        elif record.corrected is not None:
            mask, _ = interpret_mask(record.corrected, dataset.classes)
        else:
            continue
        size = store.shapes[index].small
        small = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
        write_mask(files.path(index), np.asarray(small, dtype=np.uint8))


def start_tag_classifier(network: FrozenSegmenter, store: FeatureStore, tags: NDArray[np.int8]) -> None:
    """Set the tag classifiers to logistic regressions on the features of all images.

    That of the class maps is fitted in the space before the projection, whose channels count alike, and not to
    principal components, the weakest of which would count as much as the strongest.
    """
    known = torch.from_numpy(tags)
    averaged = torch.stack([store.maps(index).mean(dim=(1, 2)) for index in range(len(tags))])
    back = torch.linalg.pinv(network.project.weight.detach().float().cpu().flatten(1))
    weight, bias = fit_classifier(averaged @ back.T, known)
    pooled = torch.stack([store.pooled(index) for index in range(len(tags))])
    fitted = (
        (network.recognition.classifier, weight @ back, bias),
        (network.recognition.tags, *fit_classifier(pooled, known)),
    )
    with torch.no_grad():
        for layer, weights, biases in fitted:
            layer.weight.copy_(weights)
            layer.bias.copy_(biases)
        network.recognition.usual.copy_(_usual_evidence(network.recognition.classifier.weight, store, tags))


def _usual_evidence(weight: Tensor, store: FeatureStore, tags: NDArray[np.int8]) -> Tensor:
    """Level (C,) that class activation maps do not exceed at most pixels of images without the class; at least 0.

    The fewer the images, the noisier the weights of a class (C, D), and the more of its map is above 0 everywhere:
    masks become too large. Images without the class tell how much of it means nothing. Where objects are large, these
    show others that are alike, so it is what three of five pixels have; where they are small, nearly all of them are
    background.
    """
    positions = np.unique(np.linspace(0, len(tags) - 1, min(len(tags), _ASKED)).round().astype(int))
    found: list[list[Tensor]] = [[] for _ in weight]
    areas = []
    for position in positions.tolist():
        cams = weight.detach().cpu() @ store.maps(position).flatten(1)[:, ::_EVERY]
        for index in np.flatnonzero(tags[position] == Tag.ABSENT).tolist():
            found[index].append(cams[index])
        if (present := cams[tags[position] == Tag.PRESENT].clamp_min(0)).numel():
            areas.append(wide_area((present / present.amax(dim=1, keepdim=True).clamp_min(1e-12)).numpy()))
    level = usual_level(float(np.median(areas))) if areas else _USUAL
    levels = [float(np.quantile(torch.cat(one).numpy(), level)) if one else 0.0 for one in found]
    return torch.tensor(levels).clamp_min(0)


def usual_level(area: float) -> float:
    """Quantile of class maps over images without the class that means nothing, where objects have this `wide_area`.

    >>> usual_level(0.3), usual_level(0.19), usual_level(0.02)
    (0.6, 0.775, 0.95)
    """
    small = min(1.0, max(0.0, (_LARGE - area) / (_LARGE - _SMALL)))
    return round(_USUAL + small * (_USUAL_OF_SMALL - _USUAL), 6)


class DecoderTraining(MaskTraining):
    """Trains the light decoder on pseudo masks; features and tag classifier stay as they are."""

    network: FrozenSegmenter

    def __init__(
        self,
        network: FrozenSegmenter,
        config: Config,
        *,
        classes: Sequence[str],
        names: Sequence[str],
        epochs: int,
        steps_per_epoch: int,
    ):
        super().__init__(network, config, classes=classes, names=names, epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.warmup_epochs = 0
        network.recognition.requires_grad_(False)
        if network.surface is not None:
            network.surface.requires_grad_(False)
        self.strict_loading = False  # the backbones are not in the checkpoints

    @property
    def learner(self) -> nn.Module:
        """The decoder."""
        return self.network.segmentation

    @property
    def teacher(self) -> SegmentationNetwork:
        """The network with the EMA of the decoder, where there is one."""
        if self.average is None:
            return self.network
        return self.network.with_decoder(self.average.module)

    def _averaging(self, decay: float) -> Averaging:
        """With a lower decay at first, since the decoder starts at random: min(decay, (1 + n) / (10 + n))."""

        def update(averaged: list[Tensor], current: list[Tensor], number: Tensor | int) -> None:
            count = int(number)
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + count) / (10 + count)))

        return update

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what does not change."""
        super().on_save_checkpoint(checkpoint)
        state: Mapping[str, Any] = checkpoint["state_dict"]
        fixed = ("network.backbone.", "network.companions.")
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith(fixed)}

    def _contradicted(self, batch: FeatureBatch) -> Tensor | None:
        """Pixels whose pseudo mask the teacher contradicts, once it has learned enough; None where all count alike."""
        early = self.global_step < _TRUSTED * self.epochs * self.steps_per_epoch
        if early or self.config.training.contradicted_weight == 1:
            return None
        with torch.no_grad():
            logits = self.teacher.segmentation(batch["maps"], batch["fine"])
        return contradicted_pixels(logits, batch["mask"].long(), batch["tags"])

    def training_step(self, batch: FeatureBatch, batch_idx: int) -> Tensor:
        """Compute the pixel loss of one batch; its randomness is seeded by the step, as that of `JointTraining`."""
        training = self.config.training
        torch.manual_seed((training.seed << 32) + self.global_step)
        tags, masks = batch["tags"], batch["mask"].long()
        logits = self.network.segmentation(batch["maps"], batch["fine"])
        if training.supervision == "masks":
            loss = pixel_loss(logits, masks, tags, class_balance=training.class_balance)
        else:
            loss = pixel_loss(
                logits,
                masks,
                tags,
                background_weight=training.background_weight,
                class_balance=training.class_balance,
                corrected=batch["corrected"],
                contradicted=self._contradicted(batch),
                contradicted_weight=training.contradicted_weight,
            )
            unseen = (masks == IGNORE_INDEX).flatten(1).all(dim=1) & (tags == Tag.PRESENT).any(dim=1)
            self._log("no_foreground", unseen.float().mean())
        self._log("pixel_loss", loss)
        self._check_finite(loss, batch["index"])
        return loss
