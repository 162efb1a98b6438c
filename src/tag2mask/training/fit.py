"""One training run, from a collection to a trained network in a run's folder; resumable."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from tag2mask.config.schema import Config, load_config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import make_folder, write_text
from tag2mask.core.machine import usable_cores
from tag2mask.data import UNPACKED, Dataset
from tag2mask.images.cache import image_reader
from tag2mask.models import build_network
from tag2mask.models.checkpoint import RunFolder, save_model
from tag2mask.models.precision import resolve_precision
from tag2mask.training.logs import MaskPictures, make_loggers
from tag2mask.training.module import JointTraining
from tag2mask.training.probe import is_probed, start_classifier
from tag2mask.training.pseudo_masks import MaskRefresh, shift_to_share
from tag2mask.training.ranks import Devices, agree, rank_here
from tag2mask.training.samples import Batch, EpochSampler, TrainDataset, make_loader
from tag2mask.training.transforms import TrainTransform

Report = Callable[[str], None]


def fit(
    collection: Dataset,
    config: Config,
    out: Path,
    *,
    given: str = "",
    resume: bool = False,
    device: torch.device | None = None,
    devices: Devices | None = None,
    progress: bool = False,
    report: Report = lambda line: None,
) -> RunFolder:
    """Train on the tags of a collection.

    Args:
        collection: images with tags (and human masks where `training.supervision` is 'masks').
        config: every setting.
        out: folder of the run.
        given: the configuration as the user gave it, kept beside the resolved one.
        resume: continue an interrupted run in `out`; it must have the same collection and settings.
        device: where to train; None for a GPU where there is one.
        devices: to train on several, each in a process of its own; this function then returns in each of them.
        progress: show a progress bar with the time left.
        report: called with a line at each epoch.

    Returns:
        The run's folder, with the trained network in it.

    Raises:
        ConfigError: `out` holds another run, or settings or devices that do not fit.
        DataError: the collection cannot be trained on, or differs from the one to resume.
    """
    run = RunFolder(out)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    devices = devices or Devices()
    batch_size = devices.batch_of_each(config.training.batch_size)
    epochs = choose_epochs(config, len(collection.records))
    if rank_here() == 0:
        _prepare_folder(run, collection, config, given, resume=resume)
    if devices.total > 1:
        os.environ["LOCAL_WORLD_SIZE"] = str(devices.count)
        torch.set_num_threads(usable_cores())
    lightning.seed_everything(config.training.seed, verbose=False)
    network = build_network(config, len(collection.classes))
    sampler = EpochSampler(
        len(collection.records),
        seed=config.training.seed,
        rank=rank_here(),
        ranks=devices.total,
        batch_size=batch_size,
    )
    from_tags = config.training.supervision == "tags"
    read = image_reader(config)
    maker = MaskRefresh(collection, config, run.training_masks, read)
    refresh = maker if from_tags and config.masks.refresh else None
    dataset = TrainDataset(
        collection,
        TrainTransform(config.data, network.backbone.preprocessing),
        seed=config.training.seed,
        with_masks=not from_tags,
        made_masks=refresh.path if refresh else None,
        read=read,
    )
    last = str(run.last_checkpoint) if resume and run.last_checkpoint.is_file() else None
    if is_probed(config) and last is None:
        if rank_here() == 0:
            report("fitting the tag classifier to the pretrained features")
        start_classifier(network, collection, config, read, device=device)
    loader = make_loader(dataset, sampler, batch_size=batch_size, workers=config.data.workers)
    names = [item.name for item in collection.records]
    module = JointTraining(network, config, names, epochs=epochs, steps_per_epoch=len(loader))
    if from_tags:
        sampler.before = _before_epoch(maker, module, report)
    checkpoint = ModelCheckpoint(
        run.checkpoints, filename=run.last_checkpoint.stem, save_top_k=1, enable_version_counter=False
    )
    callbacks: list[Callback] = [
        checkpoint,
        _EpochRecord(run.metrics, epochs, len(dataset), report, refreshing=refresh is not None),
    ]
    if progress:
        callbacks.append(RichProgressBar())
    loggers = make_loggers(config, out, report)
    if loggers:
        callbacks.append(MaskPictures(collection, config))
    with _quiet_lightning():
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            **devices.trainer_options(device),
            max_epochs=epochs,
            precision=resolve_precision(config.training.precision, device),
            callbacks=callbacks,
            logger=loggers or False,
            log_every_n_steps=10,
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
            gradient_clip_val=5.0,
            default_root_dir=out,
        )
        _run(trainer, module, loader, last)
    if not trainer.is_global_zero:
        return run
    save_model(run, module.teacher, collection.classes, module.config)
    shutil.rmtree(run.training_masks, ignore_errors=True)
    return run


def _run(trainer: lightning.Trainer, module: JointTraining, loader: DataLoader[Batch], last: str | None) -> None:
    """Train; an interruption or a lost process ends in what the command line can say."""
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
            f"a process that loads images was lost ({reason}), perhaps for want of memory; go on with --resume, "
            "with fewer of them by --set data.workers=1 if it happens again"
        ) from None
    if trainer.interrupted:
        raise KeyboardInterrupt


def _before_epoch(refresh: MaskRefresh, module: JointTraining, report: Report) -> Callable[[int], None]:
    """What measures the threshold, and makes the training masks anew before the epochs that are due."""

    every = module.config.masks.refresh

    def before(epoch: int) -> None:
        joint = epoch - module.warmup_epochs
        if joint >= 0 and module.wants_threshold:
            _measure_threshold(refresh, module, report)
        refresh.config = module.config
        if not every:
            return
        worth_it = joint == 0 or 2 * (module.epochs - epoch) >= every  # not just before the end
        due = joint % every == 0 and worth_it
        if joint < 0 or not agree(due or not refresh.complete()):
            return
        started = time.monotonic()
        weight = module.teacher_weight(epoch * module.steps_per_epoch)
        shift = _shift_to_first(refresh, module, weight)
        empty = refresh(
            module.teacher,
            device=module.device,
            teacher_weight=weight,
            shift=shift,
            share=(module.global_rank, module.trainer.world_size),
        )
        if module.trainer.world_size > 1:
            module.trainer.strategy.barrier()
        seconds = time.monotonic() - started
        module.mask_seconds += seconds
        if not module.trainer.is_global_zero:
            return
        held = f"; odds of foreground times {math.exp(shift):.2f}" if shift else ""
        report(f"training masks made anew in {seconds:.0f} s; without foreground: {empty:.1%}{held}")

    return before


def _measure_threshold(refresh: MaskRefresh, module: JointTraining, report: Report) -> None:
    started = time.monotonic()
    threshold = refresh.threshold(module.teacher, device=module.device)
    if threshold is None:
        return
    threshold = module.trainer.strategy.broadcast(threshold)
    module.set_threshold(threshold)
    module.mask_seconds += time.monotonic() - started
    if module.trainer.is_global_zero:
        report(f"evidence of foreground is cut at {threshold:.3f}, measured on the collection")


def _shift_to_first(refresh: MaskRefresh, module: JointTraining, teacher_weight: float) -> float:
    """What keeps the share of foreground in all masks at that of the first ones, where `masks.hold_size` wants it."""
    if not module.config.masks.hold_size:
        return 0.0
    foreground = refresh.foreground(module.teacher, device=module.device, teacher_weight=teacher_weight)
    if module.foreground_share is None:
        module.foreground_share = float((foreground > 0.5).mean()) if len(foreground) else 0.0
        return 0.0
    return shift_to_share(foreground, module.foreground_share)


def choose_epochs(config: Config, images: int) -> int:
    """Epochs as configured, or as many as show about `training.samples` images, 4 to 100."""
    training = config.training
    return training.epochs or min(100, max(4, math.ceil(training.samples / max(1, images))))


def _prepare_folder(run: RunFolder, collection: Dataset, config: Config, given: str, *, resume: bool) -> None:
    """Check the folder against the request, then describe the run in it."""
    if run.config.is_file():  # written last, so the folder is described in full
        if not resume:
            raise ConfigError(
                f"{run.root}: there is a run here already; continue it with --resume, or choose another --out"
            )
        _check_same(run, collection, config)
        return
    begun = {run.collection.name, run.given.name, UNPACKED}
    if resume and run.root.is_dir() and {path.name for path in run.root.iterdir()} - begun:
        raise ConfigError(f"{run.root}: nothing to resume here (no config.yaml); leave out --resume")
    make_folder(run.root)
    write_text(run.collection, json.dumps(collection.to_dict(), ensure_ascii=False, indent=1))
    write_text(run.given, given or "{}\n")
    write_text(run.config, config.to_yaml())


def _check_same(run: RunFolder, collection: Dataset, config: Config) -> None:
    try:
        before = json.loads(run.collection.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.collection}: cannot read it ({error}); start a new run with another --out") from None
    now = json.loads(json.dumps(collection.to_dict()))
    if before.get("classes") != now["classes"]:
        raise DataError(
            f"{run.root}: this run has the classes {before.get('classes')}, the collection has {now['classes']}; "
            "resume with the same tags, or start a new run with another --out"
        )
    records_then = before.get("records", before.get("items", []))  # "items" in documents of version 1
    if records_then != now["records"]:
        raise DataError(
            f"{run.root}: the images or tags have changed since this run began "
            f"({len(records_then)} images then, {len(now['records'])} now); "
            "resume with the same ones, or start a new run with another --out"
        )
    stored = load_config(run.config)
    if stored != config:
        differing = _differences(stored.model_dump(mode="json"), config.model_dump(mode="json"))
        raise ConfigError(
            f"{run.root}: other settings than when this run began: {'; '.join(differing)}; "
            "resume with the same ones, or start a new run with another --out"
        )


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    lines: list[str] = []
    for key, value in before.items():
        if isinstance(value, dict) and isinstance(now.get(key), dict):
            lines += _differences(value, now[key], f"{prefix}{key}.")
        elif value != now.get(key):
            lines.append(f"{prefix}{key} was {value}, is {now.get(key)}")
    return lines


class _EpochRecord(Callback):
    """Appends a line an epoch to metrics.jsonl and reports it with the time left."""

    def __init__(self, path: Path, epochs: int, images: int, report: Report, *, refreshing: bool):
        self.path, self.epochs, self.images, self.report = path, epochs, images, report
        self.refreshing = refreshing
        self.started = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the lines of epochs that a resumed run does again."""
        if trainer.is_global_zero and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()[: trainer.current_epoch]
            write_text(self.path, "".join(line + "\n" for line in lines))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the epoch's clock; the first epoch's samples, and so its masks, are asked for before this."""
        assert isinstance(pl_module, JointTraining)
        self.started = time.monotonic() - pl_module.mask_seconds

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch."""
        if not trainer.is_global_zero:
            return
        seconds = time.monotonic() - self.started
        epoch = trainer.current_epoch + 1
        metrics = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items()}
        record = {"epoch": epoch, **metrics, "seconds": round(seconds, 2)}
        assert isinstance(pl_module, JointTraining)
        record["mask_seconds"] = round(pl_module.mask_seconds, 2)
        pl_module.mask_seconds = 0.0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self.refreshing:  # not part of what every epoch takes
            seconds -= record["mask_seconds"]
        losses = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        left = (self.epochs - epoch) * seconds / 60
        self.report(
            f"epoch {epoch}/{self.epochs} {losses} {self.images / seconds:.1f} images/s, about {left:.0f} min left"
        )


class _quiet_lightning(warnings.catch_warnings):  # noqa: N801 - reads as a statement
    """Hide what Lightning says of its own set-up; errors and our own lines stay."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        return entered
