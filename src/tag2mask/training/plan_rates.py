"""Rates of training, measured on a few images: a step of a decoder, a step of a whole network, a pseudo mask."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend, to_outputs
from tag2mask.inference.views import run_views
from tag2mask.masks import write_mask
from tag2mask.method.output import NetworkOutput
from tag2mask.method.pseudo_masks import pseudo_mask
from tag2mask.models import FrozenSegmenter, SegmentationNetwork
from tag2mask.models.inputs import network_input
from tag2mask.models.precision import autocast
from tag2mask.training.decoder import FINE_TARGET_SCALE, TARGET_SCALE
from tag2mask.training.feature_compute import FeatureComputer
from tag2mask.training.losses import tag_loss

Images = Sequence[tuple[ImageRecord, NDArray[np.uint8]]]

_STEPS = 2  # timed, after one that warms up
_MASKS = 6


def decoder_step(computer: FeatureComputer, images: Images) -> float:
    """Seconds of a training step of the light decoder on a batch of the largest of these images."""
    network, config = computer.network, computer.config
    found = max((computer.run(computer.seen(image)[None]) for _, image in images[:4]), key=lambda one: one.maps.numel())
    count = config.training.batch_size
    maps = found.maps.float().repeat(count, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    fine = None if found.differences is None else found.differences.float().repeat(count, 1, 1, 1)
    scale, grid = (TARGET_SCALE, maps) if fine is None else (FINE_TARGET_SCALE, fine)
    target = torch.zeros(count, scale * grid.shape[2], scale * grid.shape[3], dtype=torch.int64, device=maps.device)

    def loss() -> Tensor:
        logits = network.segmentation(maps, fine)
        return F.cross_entropy(F.interpolate(logits.float(), target.shape[1:], mode="bilinear"), target)

    return _step(network.segmentation, loss, config, computer.device)


def joint_step(network: SegmentationNetwork, config: Config, images: Images, device: torch.device) -> float:
    """Seconds of a training step of a whole network on a batch of crops."""
    side, count = config.data.crop_size, config.training.batch_size
    crops = [resize_image(image, (side, side)) for _, image in images]
    batch = np.stack([crops[index % len(crops)] for index in range(count)])
    pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).to(device)
    tags = torch.zeros(count, network.num_classes, dtype=torch.int8, device=device)

    def loss() -> Tensor:
        recognition, logits = network.both(network_input(pixels, network.backbone.preprocessing))
        target = torch.zeros(count, *logits.shape[2:], dtype=torch.int64, device=device)
        return tag_loss(recognition.tag_logits.float(), tags) + F.cross_entropy(logits.float(), target)

    return _step(network, loss, config, device)


def _step(learner: nn.Module, loss: Callable[[], Tensor], config: Config, device: torch.device) -> float:
    """Seconds of a step: forward, backward, update with a rate of 0, which changes no weight."""
    learner.train()
    trained = [one for one in learner.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0)
    began = 0.0
    for number in range(1 + _STEPS):
        if number == 1:
            began = time.perf_counter()
        with autocast(config.training.precision, device):
            value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        value.item()  # waits for a GPU
    optimiser.zero_grad()
    learner.eval()
    return (time.perf_counter() - began) / _STEPS


def pseudo_mask_seconds(
    network: SegmentationNetwork,
    config: Config,
    images: Images,
    dataset: Dataset,
    device: torch.device,
    *,
    kept: bool,
    reading: float,
) -> tuple[float, int]:
    """Seconds and bytes of a pseudo mask.

    Args:
        network: whose class maps are random before training, which does not matter for the time.
        config: with a threshold.
        images: that are measured.
        dataset: that they belong to.
        device: where the network is.
        kept: masks are made from kept features, so that neither reading nor backbones count.
        reading: seconds to decode an image.
    """
    classifier = network.recognition.classifier
    before = classifier.weight.detach().clone()
    if not before.any():  # class maps of zeros would need no CRF
        torch.nn.init.normal_(classifier.weight, std=0.01, generator=torch.Generator(device).manual_seed(0))
    tags = {record.name: row for record, row in zip(dataset.records, dataset.tags(), strict=True)}
    views, masks, sizes = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for record, image in images[: _MASKS + 1]:
            began = time.perf_counter()
            outputs, small = _views(network, config, image, dataset, device, kept=kept)
            between = time.perf_counter()
            mask, _ = pseudo_mask(
                small, outputs, tags[record.name], config, teacher_weight=0.5, pixel_scale=1 / config.masks.stride
            )
            write_mask(Path(folder) / "mask.png", mask)
            masks.append(time.perf_counter() - between)
            views.append(between - began)
            sizes.append((Path(folder) / "mask.png").stat().st_size)
    with torch.no_grad():
        classifier.weight.copy_(before)
    beside = fmean(masks[1:] or masks) / usable_cores()  # several threads make them, while the network runs
    of_network = 0.0 if kept else fmean(views[1:] or views) + reading
    return max(beside, of_network) if not kept else beside, round(fmean(sizes))


def _views(
    network: SegmentationNetwork,
    config: Config,
    image: NDArray[np.uint8],
    dataset: Dataset,
    device: torch.device,
    *,
    kept: bool,
) -> tuple[list[NetworkOutput], NDArray[np.uint8]]:
    """The network's outputs on an image, and the image on the grid of its mask."""
    if kept:
        assert isinstance(network, FrozenSegmenter)
        computer = FeatureComputer(network, config, device)
        with torch.no_grad(), autocast(config.training.precision, device):
            recognition, logits = network.heads(computer.run(computer.seen(image)[None]))
        return to_outputs(recognition, logits, config.masks.prior_layers), computer.small(image)
    backend = TorchBackend(network, dataset.classes, config, device=device)
    size = scaled_size((image.shape[0], image.shape[1]), config.data.image_size / config.masks.stride)
    views = run_views(backend, image, side=config.data.image_size, scales=config.masks.scales, flip=config.masks.flip)
    return views, resize_image(image, size, exact=True)
