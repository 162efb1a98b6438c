"""One training run, from a dataset to a trained network in a run's folder; resumable.

In the order of `fit`: the folder, the network, the samples, the callbacks, Lightning's trainer, the file of weights.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.machine import usable_cores
from tag2mask.data import Dataset
from tag2mask.images.cache import image_reader
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models.checkpoint import RunFolder, save_model
from tag2mask.models.network import TagSegmenter, build_network
from tag2mask.models.packaged_weights import packaged
from tag2mask.models.precision import resolve_precision
from tag2mask.training.augment import TrainTransform
from tag2mask.training.callbacks.epoch_record import EpochRecord
from tag2mask.training.callbacks.mask_pictures import MaskPictures
from tag2mask.training.callbacks.pseudo_masks import PseudoMasks
from tag2mask.training.loggers import make_loggers
from tag2mask.training.module import JointTraining
from tag2mask.training.probe import is_probed, start_classifier
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.ranks import Devices, rank_here
from tag2mask.training.run_folder import check_folder, describe_run, epochs_done, run_folder
from tag2mask.training.samples import Batch, EpochSampler, TrainDataset, make_loader
from tag2mask.training.schedule import choose_epochs

Reader = Callable[[Path], NDArray[np.uint8]]

_log = logging.getLogger(__name__)


def fit(
    dataset: Dataset,
    config: Config,
    out: Path,
    *,
    given: str = "",
    resume: bool = False,
    device: torch.device | None = None,
    devices: Devices | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> RunFolder:
    """Train on the tags of a dataset.

    Args:
        dataset: images with tags (and ground truth where `training.supervision` is 'masks').
        config: every setting.
        out: folder of the run.
        given: YAML of the configuration as the user gave it, kept beside the resolved one.
        resume: go on with the run in `out`: an interrupted one, or one with fewer epochs than `config` says. It must
            have the same dataset and settings but for `run_folder.CHANGEABLE`.
        device: where to train; None: a GPU where there is one.
        devices: to train on several, each in a process of its own; this function then returns in each of them.
        callbacks: further ones of Lightning.
        progress: show progress bars.

    Returns:
        The run's folder, with the trained network in it.

    Raises:
        ConfigError: `out` holds another run, or settings or devices do not fit.
        DataError: the dataset cannot be trained on, or differs from the one to resume.
    """
    run = RunFolder(out)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    devices = devices or Devices()
    first = rank_here() == 0
    with run_folder(out) if first else nullcontext():
        if first:
            check_folder(run, dataset, config, resume=resume)
        if resume and _has_ended(run, config, images=len(dataset.records)):
            return run
        _train(dataset, config, run, given, resume, device, devices, callbacks, shown=progress and sys.stdout.isatty())
    return run


def _has_ended(run: RunFolder, config: Config, *, images: int) -> bool:
    """Whether all epochs were trained before."""
    done, epochs = epochs_done(run), choose_epochs(config, images)
    if rank_here() == 0 and done:
        _log.info("%d of %d epochs were trained before", done, epochs)
        if done >= epochs and run.weights.is_file():
            _log.info("a larger training.epochs trains further, e.g. `training.epochs=%d`", 2 * done)
    return done >= epochs and run.weights.is_file()


def _train(
    dataset: Dataset,
    config: Config,
    run: RunFolder,
    given: str,
    resume: bool,
    device: torch.device,
    devices: Devices,
    callbacks: Sequence[Callback],
    *,
    shown: bool,
) -> None:
    """Train in a run's folder that was checked; see `fit`."""
    batch_size = devices.batch_of_each(config.training.batch_size)
    epochs = choose_epochs(config, len(dataset.records))
    if devices.total > 1:
        torch.set_num_threads(usable_cores(devices.count))
    lightning.seed_everything(config.training.seed, verbose=False)
    network = build_network(config, len(dataset.classes))  # before anything is written: it may be refused
    if rank_here() == 0:
        if config.model.weights == "package":
            _log.info("backbone %s, weights of %s", config.model.backbone, packaged(config.model.backbone).origin())
        describe_run(run, dataset, config, given=given)
    last = str(run.last_checkpoint) if resume and run.last_checkpoint.is_file() else None
    read = image_reader(config)
    if last is None and is_probed(config):
        _probe(network, dataset, config, read, device=device)
    files = PseudoMaskFiles(dataset, run.training_masks, read=read, processes=devices.count)
    loader = _loader(dataset, config, network, files, read, devices=devices, batch_size=batch_size)
    module = JointTraining(
        network,
        config,
        classes=dataset.classes,
        names=[record.name for record in dataset.records],
        epochs=epochs,
        steps_per_epoch=len(loader),
        threads=files.threads,
    )
    with _quiet_lightning():
        loggers = make_loggers(config, run.root)
        own = _callbacks(run, dataset, config, files, epochs=epochs, loggers=loggers, shown=shown)
        trainer = lightning.Trainer(
            **devices.trainer_options(device),
            **_trainer_options(config, run.root, device, shown=shown),
            max_epochs=epochs,
            callbacks=[*own, *callbacks],
            logger=loggers or False,
        )
        _run(trainer, module, loader, last)
    if trainer.is_global_zero:
        save_model(run, module.teacher, dataset.classes, module.config)
        shutil.rmtree(run.training_masks, ignore_errors=True)


def _trainer_options(config: Config, out: Path, device: torch.device, *, shown: bool) -> dict[str, Any]:
    """Arguments of Lightning's Trainer that do not depend on the run."""
    return {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "precision": resolve_precision(config.training.precision, device),
        "log_every_n_steps": 10,
        "enable_progress_bar": shown,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "gradient_clip_val": 5.0,
        "default_root_dir": out,
    }


def _probe(network: TagSegmenter, dataset: Dataset, config: Config, read: Reader, *, device: torch.device) -> None:
    """Fit the tag classifier to the pretrained features."""
    if rank_here() == 0:
        _log.info("fitting the tag classifier to the pretrained features")
    start_classifier(TorchBackend(network, dataset.classes, config, device=device), dataset, read)


def _loader(
    dataset: Dataset,
    config: Config,
    network: TagSegmenter,
    files: PseudoMaskFiles,
    read: Reader,
    *,
    devices: Devices,
    batch_size: int,
) -> DataLoader[Batch]:
    """The training samples in their order."""
    from_tags = config.training.supervision == "tags"
    samples = TrainDataset(
        dataset,
        TrainTransform(config.data, network.backbone.preprocessing),
        seed=config.training.seed,
        with_gt_masks=not from_tags,
        pseudo_masks=files.path if from_tags and not config.paper.every_step else None,
        read=read,
    )
    sampler = EpochSampler(
        len(samples), seed=config.training.seed, rank=rank_here(), ranks=devices.total, batch_size=batch_size
    )
    return make_loader(samples, sampler, batch_size=batch_size, workers=config.data.workers, processes=devices.count)


def _callbacks(
    run: RunFolder,
    dataset: Dataset,
    config: Config,
    files: PseudoMaskFiles,
    *,
    epochs: int,
    loggers: Sequence[Logger],
    shown: bool,
) -> list[Callback]:
    """Our callbacks, in the order in which they act."""
    masks = PseudoMasks(files, progress=shown) if config.training.supervision == "tags" else None
    record = EpochRecord(run.metrics, epochs=epochs, images=len(dataset.records), pseudo_masks=masks)
    checkpoint = ModelCheckpoint(
        run.checkpoints, filename=run.last_checkpoint.stem, save_top_k=1, enable_version_counter=False
    )
    optional: list[Callback] = [masks] if masks is not None else []
    optional += [MaskPictures(dataset)] if loggers else []
    optional += [RichProgressBar()] if shown else []
    return [*optional, record, checkpoint]


def _run(trainer: lightning.Trainer, module: JointTraining, loader: DataLoader[Batch], last: str | None) -> None:
    """Train; an interruption or a lost loader process ends in an exception that says so."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, ckpt_path=last, weights_only=True)
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise DataError(
            f"a process that loads images was lost ({reason}), perhaps for want of memory; continue with "
            "`resume=True`, and with `data.workers=1` if it happens again"
        ) from None
    finally:
        if trainer.interrupted and on_interrupt is not None:  # Lightning leaves it ignored
            signal.signal(signal.SIGINT, on_interrupt)
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's notes on its own set-up; errors and our own lines stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
        yield
