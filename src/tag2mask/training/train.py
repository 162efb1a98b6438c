"""Training from Python: a dataset in, a trained network with masks and a report out."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tag2mask.config.schema import Config
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.extras import require
from tag2mask.core.files import refuse_uncreatable, write_text
from tag2mask.core.outcome import Outcome
from tag2mask.core.progress import is_visible, one_line
from tag2mask.core.time_left import TimeLeft
from tag2mask.data import Dataset, prepare_for_training
from tag2mask.evaluation import Evaluation, evaluate_dataset
from tag2mask.inference.folder import REPLACED, FolderOptions, write_corrected, write_masks
from tag2mask.inference.segmenter import Segmenter

if TYPE_CHECKING:
    import torch
    from lightning.pytorch.callbacks import Callback

    from tag2mask.data.checks.training import TrainingCheck
    from tag2mask.models.checkpoint import RunFolder
    from tag2mask.training.recipe import Recipe
    from tag2mask.training.settings import Settings

_log = logging.getLogger(__name__)

_LONG = 2000
"""Images seen in all epochs, from which on the time is measured and said also where no line of progress is seen."""


def train(
    dataset: Dataset,
    out: str | PathLike[str],
    *,
    config: Config | str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    first_masks: bool = False,
    make_masks: bool = True,
    make_report: bool = True,
    strict: bool = False,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    progress: bool = True,
) -> Segmenter:
    """Train from tags; write the network, a mask for every training image, a verdict and a report into `out`.

    Before it starts it logs what will spoil the result. `verdict.json` says afterwards what the masks are worth.

    Args:
        dataset: images with tags; see `Dataset.load`.
        out: folder of the run.
        config: configuration, its YAML file, or the name of a preset; None: the defaults. Unless a `Config`, a preset
            (`objects`, `surfaces`, `frozen`) or `model.contrast_stages` chooses the class maps, it is measured on the
            dataset which ones fit.
        options: single settings by dotted name on top of `config`, e.g. `{"training.epochs": 20}`.
        callbacks: Lightning callbacks beside our own.
        resume: continue an interrupted run in `out`, or train a run further (with a larger `training.epochs`).
        first_masks: stop before any training and keep what class maps and prior alone tell; with `resume=True` the
            training goes on from there.
        make_masks: write masks of the training images into `out`/masks, and `result.json`.
        make_report: write `report.html` about them.
        strict: stop at the first image that cannot be read instead of skipping it.
        device: 'auto', 'cpu', 'cuda', 'cuda:1', ...
        devices: to train on, on each machine; each has a process of its own, which Lightning or torchrun starts, and
            which runs the calling program from its beginning. All but the first return without masks.
        nodes: machines.
        strategy: 'auto' or 'ddp'.
        progress: show one line of progress with the time left, on a terminal or in a notebook; where it is shown, or
            the training is long, the time is measured on a few images and logged before it begins.

    Returns:
        The trained network.

    Raises:
        Tag2MaskError: input that cannot be used; the message says what to do.

    Example, with a configuration that trains in seconds:
        >>> dataset = Dataset.load("photos", "tags.csv")
        >>> segmenter = train(dataset, "runs/new", config="tiny.yaml", make_report=False, progress=False)
        >>> segmenter.classes, Path("runs/new/masks/shape_000.png").is_file()
        (('disc', 'square'), True)
    """
    require("train", "training")
    from tag2mask.inference.backends.torch import choose_device
    from tag2mask.models.checkpoint import RunFolder
    from tag2mask.report import write_report
    from tag2mask.training.fit import fit
    from tag2mask.training.progress_file import recorded_progress
    from tag2mask.training.ranks import Devices, rank_here
    from tag2mask.training.settings import choose_class_maps, resolve
    from tag2mask.training.verdict import conclude

    settings, run = resolve(config, options), RunFolder(Path(out))
    where, placed, first = choose_device(device), Devices(devices, nodes, strategy), rank_here() == 0
    _refuse_early(settings, dataset, run, first=first, resume=resume)
    left, progress, several = TimeLeft(), first and progress, placed.total > 1
    with recorded_progress(run, left) if first else nullcontext(), one_line(left, shown=progress):
        dataset = prepare_for_training(dataset, strict=strict)
        settings, recipe = choose_class_maps(
            settings, dataset, run, resume=resume, device=where, progress=progress, several=several
        )
        timed = None if several or first_masks or not progress else ("masks",) if make_masks else ()
        check = _begin(dataset, settings.config, run, where, left, progress, timed) if first else None
        fit(
            dataset,
            settings.config,
            run.root,
            given=settings.text,
            resume=resume,
            device=where,
            devices=placed,
            callbacks=callbacks,
            first_masks=first_masks,
            progress=progress,
        )
        segmenter = Segmenter.from_pretrained(run.root, device=device)
        if check is not None:
            if make_masks:
                _write_masks(segmenter, dataset, run, resume=resume, strict=strict, progress=progress)
            _tidy(run, recipe, features=first_masks)
            conclude(run, segmenter, dataset, check, progress=progress)
            if make_masks and make_report:
                _log.info("report: %s", write_report(run.root, device=device))
        return segmenter


def _begin(
    dataset: Dataset,
    config: Config,
    run: RunFolder,
    device: torch.device,
    left: TimeLeft,
    progress: bool,
    timed: Sequence[str] | None,
) -> TrainingCheck:
    """Say what will be trained, what will spoil the result, and how long it will take.

    `timed` are the parts that are still to come after training; None: its time is not measured.
    """
    from tag2mask.training.settings import described
    from tag2mask.training.verdict import warn_before

    _log.info("%s on %s", described(dataset, config), device)
    check = warn_before(dataset, config, progress=progress)
    if timed is not None:
        _say_time(left, dataset, config, run, device, timed)
    return check


def _say_time(
    left: TimeLeft, dataset: Dataset, config: Config, run: RunFolder, device: torch.device, after: Sequence[str]
) -> None:
    """Measure what the training will take where it is watched or long, and say it."""
    from tag2mask.training.feature_compute import readable_time
    from tag2mask.training.plan import planned_parts
    from tag2mask.training.schedule import choose_epochs

    seen = choose_epochs(config, len(dataset.records)) * len(dataset.records)
    if not is_visible() and seen < _LONG:
        return
    try:
        left.plan(planned_parts(dataset, config, run, after, device=device))
    except Tag2MaskError as error:  # the training itself says what is wrong
        _log.debug("the time cannot be estimated: %s", error)
        return
    _log.info("about %s in all, measured on a few images", readable_time(left.seconds() or 0.0))


def _refuse_early(settings: Settings, dataset: Dataset, run: RunFolder, *, first: bool, resume: bool) -> None:
    """Refuse what would fail later, before any image is looked at.

    Raises:
        ConfigError: there is a run already, no package has weights of a backbone, or a logger cannot be made.
        DataError: the folder cannot be made.
        WeightsError: weights are not there.
    """
    from tag2mask.models.backbone import require_weights
    from tag2mask.training.loggers import check_loggers
    from tag2mask.training.run_folder import check_folder, has_begun

    refuse_uncreatable(run.root)
    check_loggers(settings.config)
    if has_begun(run):
        if first and not resume:
            check_folder(run, dataset, settings.config, resume=resume)
    else:  # where class maps are to be measured, by the network of `surfaces`
        require_weights((settings.surfaces or settings.config).model)


def _tidy(run: RunFolder, recipe: Recipe | None, *, features: bool) -> None:
    """Write the recipe into the run's folder; remove its features unless they are to stay (`features`)."""
    if not features:
        shutil.rmtree(run.features, ignore_errors=True)
    if recipe is not None:
        write_text(run.recipe, json.dumps(recipe.to_dict(), ensure_ascii=False, indent=1) + "\n")


def _write_masks(
    segmenter: Segmenter, dataset: Dataset, run: RunFolder, *, resume: bool, strict: bool, progress: bool
) -> None:
    """Write masks of the training images: predicted with their tags, or as people corrected them."""
    from tag2mask.training.kept_outputs import outputs_of_kept
    from tag2mask.training.run_folder import has_stale_masks

    overwrite = not resume or has_stale_masks(run, segmenter.fingerprint())
    predicted = [record for record in dataset.records if record.corrected is None]
    options = FolderOptions(run.masks, overwrite=overwrite, strict=strict, progress=progress)
    known = outputs_of_kept(segmenter.backend, predicted, run)
    outcome = write_masks(segmenter, predicted, options, known=known)
    outcome.notes = [note for note in outcome.notes if note != REPLACED]  # a run that goes on replaces what is stale
    if copied := write_corrected(run.masks, dataset.records, dataset.classes):
        outcome.notes.append(f"{copied} corrected masks copied")
    _log.info("%s", outcome.summary())
    for _, reason in outcome.failures:
        _log.warning("skipped: %s", reason)
    score = evaluate_dataset(run.masks, dataset)
    if score is not None:
        _log.info(
            "masks of the training images against the ground truth, corrected masks left out: %s", score.summary()
        )
        for warning in score.warnings:
            _log.warning("%s", warning)
    write_text(run.result, json.dumps(_result(dataset, outcome, score, copied), ensure_ascii=False, indent=1) + "\n")


def _result(dataset: Dataset, outcome: Outcome, score: Evaluation | None, corrected: int) -> dict[str, Any]:
    """What `result.json` says of a run."""
    return {
        "images": len(dataset),
        "skipped": dataset.skipped + len(outcome.failures),
        "failures": [list(failure) for failure in outcome.failures],
        "corrected": corrected,
        "score": None if score is None else score.to_dict(),
    }
