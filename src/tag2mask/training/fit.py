"""One training run, from a dataset to a trained network in a run's folder; resumable.

In the order of `fit`: the folder, the network, the samples, the callbacks, Lightning's trainer, the file of weights.
"""

from __future__ import annotations

import logging
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.machine import usable_cores
from tag2mask.core.progress import current_line
from tag2mask.data import Dataset
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models.backbone import log_origins
from tag2mask.models.build import build_network
from tag2mask.models.checkpoint import RunFolder, save_model
from tag2mask.models.precision import resolve_precision
from tag2mask.training.base import MaskTraining
from tag2mask.training.callbacks.epoch_record import EpochRecord
from tag2mask.training.callbacks.interruption import StopIfInterrupted, remembered_interruption
from tag2mask.training.callbacks.mask_pictures import MaskPictures
from tag2mask.training.callbacks.progress import StepProgress
from tag2mask.training.callbacks.pseudo_masks import PseudoMasks
from tag2mask.training.loggers import make_loggers
from tag2mask.training.prepare import prepare_frozen, prepare_joint
from tag2mask.training.probe import is_probed
from tag2mask.training.progress_file import begin_progress, current_progress
from tag2mask.training.pseudo_masks import PseudoMaskFiles
from tag2mask.training.ranks import Devices, rank_here
from tag2mask.training.run_folder import check_folder, describe_run, epochs_done, run_folder
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
    first_masks: bool = False,
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
        first_masks: stop before any training: the network that is kept makes masks from class maps and prior.
        progress: show progress bars.

    Returns:
        The run's folder, with the trained network in it, and the features of frozen backbones, unless a cache has them.

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
        if first_masks:
            _check_first_masks(config, run)
        begin_progress()
        if resume and _has_ended(run, config, images=len(dataset.records)):
            return run
        with remembered_interruption() as interrupted:
            every = (StopIfInterrupted(interrupted), *callbacks)
            _train(dataset, config, run, given, resume, device, devices, every, first_masks=first_masks, shown=progress)
    return run


def _check_first_masks(config: Config, run: RunFolder) -> None:
    """Refuse first masks where nothing that makes them is known before training, or training has begun."""
    if done := epochs_done(run):
        raise ConfigError(
            f"{run.root}: {done} epochs of this run were trained, so its first masks are gone; continue it without "
            "`first_masks`, or choose another `out`"
        )
    trained_contrast = bool(config.model.contrast_stages) and not config.model.frozen
    if config.training.supervision != "tags" or trained_contrast or not is_probed(config):
        raise ConfigError(
            "first masks need a tag classifier that is fitted to pretrained features: train from tags, with pretrained "
            "weights, without paper.cam_channels, and with model.frozen=true where there are model.contrast_stages; or "
            "train without `first_masks`"
        )


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
    first_masks: bool,
    shown: bool,
) -> None:
    """Train in a run's folder that was checked; see `fit`."""
    began = time.monotonic()
    epochs = choose_epochs(config, len(dataset.records))
    if devices.total > 1:
        torch.set_num_threads(usable_cores(devices.count))
    lightning.seed_everything(config.training.seed, verbose=False)
    network = build_network(config, len(dataset.classes))  # before anything is written: it may be refused
    if rank_here() == 0:
        log_origins(config.model)
        describe_run(run, dataset, config, given=given)
    last = str(run.last_checkpoint) if resume and run.last_checkpoint.is_file() else None
    prepare = prepare_frozen if config.model.frozen else prepare_joint
    prepared = prepare(
        network,
        dataset,
        config,
        run,
        epochs=epochs,
        device=device,
        devices=devices,
        fresh=last is None,
        progress=shown,
    )
    module, files = prepared.module, prepared.files
    if first_masks:
        _keep_first_masks(module, files, run)
        return
    with _quiet_lightning():
        loggers = make_loggers(config, run.root)
        own = _callbacks(run, dataset, config, files, epochs=epochs, began=began, loggers=loggers, shown=shown)
        trainer = lightning.Trainer(
            **devices.trainer_options(device),
            **_trainer_options(config, run.root, device),
            max_epochs=epochs,
            callbacks=[*own, *callbacks],
            logger=loggers or False,
        )
        _run(trainer, module, prepared.loader, last)
    if trainer.is_global_zero:
        save_model(run, module.teacher, dataset.classes, module.config)
        shutil.rmtree(run.training_masks, ignore_errors=True)


def _trainer_options(config: Config, out: Path, device: torch.device) -> dict[str, Any]:
    """Arguments of Lightning's Trainer that do not depend on the run."""
    return {
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "precision": resolve_precision(config.training.precision, device),
        "log_every_n_steps": 10,
        "enable_progress_bar": False,  # ours is one line with the time of the whole training
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "gradient_clip_val": 5.0,
        "default_root_dir": out,
    }


def _callbacks(
    run: RunFolder,
    dataset: Dataset,
    config: Config,
    files: PseudoMaskFiles,
    *,
    epochs: int,
    began: float,
    loggers: Sequence[Logger],
    shown: bool,
) -> list[Callback]:
    """Our callbacks, in the order in which they act."""
    masks = PseudoMasks(files, began=began, progress=shown) if config.training.supervision == "tags" else None
    record = EpochRecord(run.metrics, epochs=epochs, images=len(dataset.records), pseudo_masks=masks)
    checkpoint = ModelCheckpoint(
        run.checkpoints, filename=run.last_checkpoint.stem, save_top_k=1, enable_version_counter=False
    )
    optional: list[Callback] = [masks] if masks is not None else []
    optional += [MaskPictures(dataset)] if loggers else []
    file, line = current_progress(), current_line()
    if file is not None or line is not None:
        optional.append(StepProgress(file, line, images=len(dataset.records)))
    return [*optional, record, checkpoint]


def _keep_first_masks(module: MaskTraining, files: PseudoMaskFiles, run: RunFolder) -> None:
    """Keep the network before any training: its masks come from class maps and prior alone."""
    if module.wants_threshold:
        measured = files.measure(TorchBackend(module.teacher, module.classes, module.config, device=module.device))
        if measured is not None:
            module.set_measured(measured)
    # As pseudo masks are made: what a decoder needs no CRF for, class maps do.
    alone = module.config.override({"prediction.prior_weight": 1.0}).model_dump()
    alone["prediction"]["crf"] = alone["masks"]["crf"]
    save_model(run, module.teacher, module.classes, Config.model_validate(alone))
    _log.info("stopped at the first masks; `resume=True` trains on from here")
    if run.features.is_dir():
        _log.info("%s stays for that; remove it if you do not train on", run.features)


def _run(trainer: lightning.Trainer, module: MaskTraining, loader: DataLoader[Any], last: str | None) -> None:
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
