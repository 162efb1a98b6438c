"""What a training needs before its first step: module, samples, and the files of pseudo masks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.images.cache import image_reader, whole_reader
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models.build import SegmentationNetwork
from tag2mask.models.checkpoint import RunFolder
from tag2mask.models.frozen import FrozenSegmenter
from tag2mask.models.network import TagSegmenter
from tag2mask.training.augment import TrainTransform
from tag2mask.training.base import MaskTraining
from tag2mask.training.decoder import (
    DecoderTraining,
    FeatureSamples,
    StoredMaskFiles,
    collate,
    start_tag_classifier,
    write_known_masks,
)
from tag2mask.training.feature_store import feature_store
from tag2mask.training.kept import FEATURES
from tag2mask.training.module import JointTraining
from tag2mask.training.probe import is_probed, start_classifier
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.ranks import Devices, rank_here
from tag2mask.training.samples import EpochSampler, TrainDataset, make_loader
from tag2mask.training.share_classifier import fit_share_classifier
from tag2mask.training.surface_probe import fit_surface_classifier

_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A training before its first step."""

    module: MaskTraining
    loader: DataLoader[Any]
    files: PseudoMaskFiles


def prepare_joint(
    network: SegmentationNetwork,
    dataset: Dataset,
    config: Config,
    run: RunFolder,
    *,
    epochs: int,
    device: torch.device,
    devices: Devices,
    fresh: bool,
    progress: bool,
) -> Prepared:
    """Prepare the training of the whole network; `fresh`: it does not go on from a checkpoint."""
    assert isinstance(network, TagSegmenter)
    read = image_reader(config)
    if fresh and is_probed(config):
        if rank_here() == 0:
            _log.info("fitting the tag classifier to the pretrained features")
        start_classifier(TorchBackend(network, dataset.classes, config, device=device), dataset, read)
    files = PseudoMaskFiles(dataset, run.training_masks, read=read, processes=devices.count)
    from_tags = config.training.supervision == "tags"
    samples = TrainDataset(
        dataset,
        TrainTransform(config.data, network.backbone.preprocessing),
        seed=config.training.seed,
        with_gt_masks=not from_tags,
        pseudo_masks=files.path if from_tags and not config.paper.every_step else None,
        read=read,
    )
    batch_size = devices.batch_of_each(config.training.batch_size)
    sampler = EpochSampler(
        len(samples), seed=config.training.seed, rank=rank_here(), ranks=devices.total, batch_size=batch_size
    )
    workers = config.data.workers
    loader = make_loader(samples, sampler, batch_size=batch_size, workers=workers, processes=devices.count)
    module = JointTraining(
        network,
        config,
        classes=dataset.classes,
        names=[record.name for record in dataset.records],
        epochs=epochs,
        steps_per_epoch=len(loader),
        threads=files.threads,
    )
    return Prepared(module, loader, files)


def features_parent(run: RunFolder, config: Config) -> Path:
    """Where the features of a run lie, in a folder for each choice of backbones: in the cache, or in the run."""
    return run.features if config.data.cache is None else Path(config.data.cache) / FEATURES


def prepare_frozen(
    network: SegmentationNetwork,
    dataset: Dataset,
    config: Config,
    run: RunFolder,
    *,
    epochs: int,
    device: torch.device,
    devices: Devices,
    fresh: bool,
    progress: bool,
) -> Prepared:
    """Prepare the training of the light decoder: features, tag classifier; `fresh` as in `prepare_joint`.

    Raises:
        ConfigError: several devices.
    """
    assert isinstance(network, FrozenSegmenter)
    if devices.total > 1:
        raise ConfigError(
            f"model.frozen: the light decoder trains on one device, not {devices.total}; leave `devices` and `nodes` "
            "out, or set model.frozen=false"
        )
    folder = features_parent(run, config)
    # The features are computed from whole images; those of the cache are smaller.
    read = whole_reader(config)
    store = feature_store(network, dataset.records, config, folder, read=read, device=device, progress=progress)
    if fresh:
        start_tag_classifier(network, store, dataset.tags())
        if network.recognition.shares is not None and config.training.supervision == "tags":
            loss = fit_share_classifier(network, store, dataset.tags(), config)
            _log.info("fitted the classifier that shares foreground among the classes; loss %.2f", loss)
        if network.surface is not None and config.training.supervision == "tags":
            loss = fit_surface_classifier(network.surface, store, dataset.tags(), seed=config.training.seed)
            _log.info("fitted the classifier of what stands out to the tags; tag loss %.2f", loss)
    files = StoredMaskFiles(dataset, run.training_masks, store)
    write_known_masks(dataset, files, store, ground_truth=config.training.supervision == "masks")
    samples = FeatureSamples(dataset, store, files, seed=config.training.seed, flip=config.data.flip)
    batch_size = config.training.batch_size
    sampler = EpochSampler(len(samples), seed=config.training.seed, batch_size=batch_size)
    loader: DataLoader[Any] = DataLoader(samples, batch_size=batch_size, sampler=sampler, collate_fn=collate)
    module = DecoderTraining(
        network,
        config,
        classes=dataset.classes,
        names=[record.name for record in dataset.records],
        epochs=epochs,
        steps_per_epoch=len(loader),
    )
    return Prepared(module, loader, files)
