"""The library's functions: what the command line does, from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tag2mask.config.schema import Config, find_config, load_config
from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.data import UNPACKED, Dataset, check_classes, list_images, load_dataset
from tag2mask.core.record import ImageRecord
from tag2mask.evaluation.folders import Evaluation, evaluate, evaluate_pairs
from tag2mask.inference.extra_outputs import confidence_writer, has_confidence, overlay_writer, together
from tag2mask.inference.folder import Job, Outcome, write_masks
from tag2mask.inference.prediction import MaskMaker
from tag2mask.masks import mask_path, read_mask, write_mask

if TYPE_CHECKING:  # torch takes seconds to import, and prediction from ONNX does without it
    from tag2mask.models.checkpoint import RunFolder

__all__ = ["TrainResult", "evaluate", "load", "make_masks", "predict", "prepare", "train"]

Report = Callable[[str], None]
Progress = Callable[[int], Callable[[], None]]


def _silent(line: str) -> None:
    """Report nothing."""


def _no_progress(total: int) -> Callable[[], None]:
    """Show no progress."""
    return lambda: None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What training gave.

    Attributes:
        run: the run's folder.
        collection: what it was trained on; its `problems` say what was skipped.
        masks: the masks of the training images, or None if not wanted.
        score: the masks' score where there are human masks.
    """

    run: Path
    collection: Dataset
    masks: Outcome | None
    score: Evaluation | None


def load(run: str | Path, *, device: str = "auto") -> MaskMaker:
    """Load a trained network: of a run's folder or 'user/name' on the Hugging Face Hub, or of an ONNX file.

    Raises:
        DataError: there is no trained network.
        WeightsError: its files are damaged.
        MissingExtraError: what it runs on is not installed.
    """
    if Path(run).suffix.lower() == ".onnx":
        from tag2mask.inference.onnx_predictor import OnnxPredictor

        return OnnxPredictor.load(run)
    require("train", f"{run}: running a network on torch")
    from tag2mask.inference.predictor import Predictor

    return Predictor.load(run, device=device)


def train(
    images: str | Path,
    tags: str | Path | None = None,
    *,
    out: str | Path,
    masks: str | Path | None = None,
    corrected: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    limit: int | None = None,
    config: Config | str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    make_masks: bool = True,
    make_report: bool = True,
    strict: bool = False,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    progress: bool = False,
    report: Report = _silent,
    mask_progress: Progress = _no_progress,
) -> TrainResult:
    """Train from tags; write the network and a mask for every training image into `out`.

    Args:
        images: folder of photographs, or of a whole collection: see docs/own-data.md.
        tags: file of tags: CSV, COCO, CVAT, Label Studio or JSON Lines; None where the folder says it all.
        out: folder of the run.
        masks: human masks for evaluation (and for the ceiling, `training.supervision=masks`).
        corrected: masks of some images that people have corrected, which training believes: a folder of PNGs or
            COCO JSON.
        classes: file or names of the classes, in the order of their indices; else sorted from the tags.
        format: kind of source where it is not recognised: a name in `tag2mask.data.readers.sources.FORMATS`.
        split: part of the collection; 'train' where the collection has one.
        limit: train on the first so many images after a shuffle with seed 0.
        config: configuration, its YAML file, or the name of a preset.
        options: single options by dotted name, on top of `config`.
        resume: continue an interrupted run.
        make_masks: write masks of the training images.
        make_report: write `report.html` about them.
        strict: take warnings as errors.
        device: 'auto', 'cpu', 'cuda', 'cuda:1', ...
        devices: to train on, on each machine; each has a process of its own, which Lightning or torchrun starts, and
            which runs the calling program from its beginning. All but the first return without masks.
        nodes: machines.
        strategy: 'auto' or 'ddp'.
        progress: show a progress bar.
        report: called with lines for people.
        mask_progress: called with the number of masks; returns what to call after each.

    Raises:
        Tag2MaskError: input that cannot be used; the message says what to do.
    """
    require("train", "training")
    from tag2mask.inference.predictor import Predictor, choose_device
    from tag2mask.training.fit import choose_epochs, fit
    from tag2mask.training.ranks import Devices, rank_here

    together = Devices(devices, nodes, strategy)
    if (rank := rank_here()) > 0:
        report, progress = _silent, False
    chosen, given = _configuration(config, options)
    where = choose_device(device)
    collection = prepare(
        images,
        tags,
        masks=masks,
        corrected=corrected,
        classes=classes,
        format=format,
        split=split,
        limit=limit,
        strict=strict,
        unpack=Path(out) / UNPACKED,
        report=report,
    )
    epochs = choose_epochs(chosen, len(collection))
    report(f"{len(collection)} images, {len(collection.classes)} classes, {epochs} epochs on {where}")
    run = fit(
        collection,
        chosen,
        Path(out),
        given=given,
        resume=resume,
        device=where,
        devices=together,
        progress=progress,
        report=report,
    )
    if not make_masks or rank > 0:
        return TrainResult(run.root, collection, None, None)
    predictor = Predictor.load(run.root, device=device)
    outcome = write_masks(
        predictor,
        [_job(item) for item in collection.records if item.corrected is None],
        run.masks,
        overwrite=not resume,
        strict=strict,
        advance=mask_progress(sum(item.corrected is None for item in collection.records)),
    )
    for item in collection.records:
        if item.corrected is not None:
            write_mask(mask_path(run.masks, item.name), read_mask(item.corrected))
    report(outcome.summary())
    score = _score_against(collection, run)
    if score is not None:
        report(f"masks of the training images: {score.summary()}")
    if make_report:
        from tag2mask.report import write_report

        report(f"the report is {write_report(run.root, device=device)}")
    return TrainResult(run.root, collection, outcome, score)


def make_masks(
    run: str | Path | MaskMaker,
    images: str | Path,
    tags: str | Path | None = None,
    *,
    out: str | Path,
    format: str = "auto",
    split: str | None = None,
    overlays: str | Path | None = None,
    confidence: str | Path | None = None,
    confidence_bits: int = 8,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    strict: bool = False,
    device: str = "auto",
    report: Report = _silent,
    mask_progress: Progress = _no_progress,
) -> Outcome:
    """Write masks of tagged photographs; only tagged classes (and unknown ones) get pixels.

    Args:
        run: folder of a run, or a loaded network.
        images: folder of photographs, or of a whole collection: see docs/own-data.md.
        tags: file of tags; None where the folder says it all.
        out: folder of the masks.
        format: kind of source where it is not to be recognised.
        split: part of the collection.
        overlays: also write the photographs with their masks laid over, into this folder.
        confidence: also write the probability of each pixel's class, as grey PNGs, into this folder.
        confidence_bits: of those, 8 or 16.
        options: settings of prediction by dotted name, e.g. `{"prediction.image_size": 0}`, on top of the run's.
        overwrite: make masks anew that are there already.
        strict: take warnings as errors.
        device: where to run.
        report: called with lines for people.
        mask_progress: called with the number of images; returns what to call after each.
    """
    predictor = _with_options(run if isinstance(run, MaskMaker) else load(run, device=device), options)
    collection = load_dataset(
        Path(images),
        _path(tags),
        classes=predictor.classes,
        format=format,
        split=split,
        strict=strict,
        unpack=Path(out) / UNPACKED,
    )
    report_problems(collection, report)
    return write_masks(
        predictor,
        [_job(item) for item in collection.records],
        Path(out),
        overwrite=overwrite,
        strict=strict,
        also=together(
            overlay_writer(overlays, predictor.classes), confidence_writer(confidence, confidence_bits, Path(out))
        ),
        complete=has_confidence(confidence),
        advance=mask_progress(len(collection)),
    )


def predict(
    run: str | Path | MaskMaker,
    images: str | Path,
    *,
    out: str | Path,
    overlays: str | Path | None = None,
    confidence: str | Path | None = None,
    confidence_bits: int = 8,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    strict: bool = False,
    device: str = "auto",
    mask_progress: Progress = _no_progress,
) -> Outcome:
    """Write masks of photographs without tags; the recognition stream says which classes there are.

    Args:
        run: folder of a run, or a loaded network.
        images: a photograph or a folder of them.
        out: folder of the masks.
        overlays: also write the photographs with their masks laid over, into this folder.
        confidence: also write the probability of each pixel's class, as grey PNGs, into this folder.
        confidence_bits: of those, 8 or 16.
        options: settings of prediction by dotted name, e.g. `{"prediction.image_size": 0}`, on top of the run's.
        overwrite: make masks anew that are there already.
        strict: stop at the first unreadable photograph.
        device: where to run.
        mask_progress: called with the number of images; returns what to call after each.
    """
    predictor = _with_options(run if isinstance(run, MaskMaker) else load(run, device=device), options)
    jobs = [Job(path, name) for path, name in list_images(Path(images))]
    return write_masks(
        predictor,
        jobs,
        Path(out),
        overwrite=overwrite,
        strict=strict,
        also=together(
            overlay_writer(overlays, predictor.classes), confidence_writer(confidence, confidence_bits, Path(out))
        ),
        complete=has_confidence(confidence),
        advance=mask_progress(len(jobs)),
    )


def prepare(
    images: str | Path,
    tags: str | Path | None = None,
    *,
    masks: str | Path | None = None,
    corrected: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    format: str = "auto",
    split: str | None = None,
    limit: int | None = None,
    strict: bool = False,
    unpack: str | Path | None = None,
    report: Report = _silent,
) -> Dataset:
    """Read a collection for training, decode every image once, and say what was wrong with it.

    Arguments are those of `train`; `unpack` is a folder for what is not a file of its own (Parquet, COCO masks).

    Raises:
        DataError: the collection cannot be trained on.
    """
    names = classes if classes is None or not isinstance(classes, str) else Path(classes)
    collection = load_dataset(
        Path(images),
        _path(tags),
        masks=_path(masks),
        corrected=_path(corrected),
        classes=names,
        format=format,
        split=split,
        strict=strict,
        verify=True,
        unpack=_path(unpack),
    )
    if split is None and "train" in collection.splits():
        report("this collection has splits; training on 'train' (--split chooses another)")
        collection = collection.subset(split="train")
    if limit is not None:
        collection = collection.subset(first=limit)
    collection = replace(collection, problems=(*collection.problems, *check_classes(collection)))
    report_problems(collection, report)
    return collection


def _configuration(config: Config | str | Path | None, options: Mapping[str, Any] | None) -> tuple[Config, str]:
    """The resolved configuration, and the text of what was given."""
    if config is None:
        base, text = Config(), ""
    elif isinstance(config, Config):
        base, text = config, config.to_yaml()
    else:
        base, text = load_config(config), find_config(config).read_text(encoding="utf-8")
    if options:
        base = base.override(options)
        text += "".join(f"# {name}: {value}\n" for name, value in options.items())
    return base, text


def _with_options(predictor: MaskMaker, options: Mapping[str, Any] | None) -> MaskMaker:
    """The predictor with other settings of prediction."""
    for name in options or {}:
        if not name.startswith("prediction."):
            raise ConfigError(
                f"--set {name}: a trained network takes settings of prediction alone, e.g. prediction.gate"
            )
    if not options:
        return predictor
    changed = copy(predictor)
    changed.config = predictor.config.override(options)
    return changed


def report_problems(collection: Dataset, report: Report, shown: int = 3) -> None:
    """Report each kind of problem with its count and first examples."""
    for kind, count in collection.problem_counts().items():
        report(f"{kind}: {count}")
        examples = [problem.message for problem in collection.problems if problem.kind == kind]
        for message in examples[:shown]:
            report(f"  {message}")
        if count > shown:
            report(f"  and {count - shown} more")


def _score_against(collection: Dataset, run: RunFolder) -> Evaluation | None:
    """Score the run's masks where there are human masks."""
    items = collection.records
    pairs = [(mask_path(run.masks, item.name), item.gt_mask) for item in items if item.gt_mask is not None]
    pairs = [(preds, target) for preds, target in pairs if preds.is_file()]
    return evaluate_pairs(pairs, collection.classes) if pairs else None


def _job(item: ImageRecord) -> Job:
    return Job(item.path, item.name, tuple(sorted(item.present)), tuple(sorted(item.unknown)))


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
