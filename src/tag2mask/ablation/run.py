"""Train and score every part of an ablation with every seed; finished runs are kept."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from tag2mask.ablation.plan import Ablation, folder_name
from tag2mask.ablation.table import CEILING, FULL, unchanged_parts, write_results
from tag2mask.config.load import load_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.data import UNPACKED, Dataset, log_problems, training_split
from tag2mask.drawing import overlay, sheet
from tag2mask.evaluation import evaluate_dataset
from tag2mask.evaluation.consensus import Consensus
from tag2mask.evaluation.label_free import label_free_score
from tag2mask.images.decode import read_image
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask
from tag2mask.masks.interpret import interpret_mask
from tag2mask.models.checkpoint import RunFolder, load_model
from tag2mask.training.train import train

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    """One run of an ablation.

    Attributes:
        part: name of the part.
        config: of the run.
        folder: for everything it writes.
        trained: run of the full method whose network it uses; None: it trains its own.
    """

    part: str
    config: Config
    folder: Path
    trained: RunFolder | None


def run_ablation(
    ablation: Ablation, out: str | PathLike[str], *, device: str = "auto", progress: bool = True
) -> list[dict[str, Any]]:
    """Train and score every part with every seed; finished runs are kept.

    A part that differs in settings of prediction alone is scored on the network of the full method.
    Writes `table.md`, `table.csv` and `runs.json` into `out` after each run, and `sheet.png` at the end.
    Parts that changed nothing (`unchanged_parts`) neither vote nor are ranked: they would be `full` again.

    Args:
        ablation: what to run, from `load_ablation`.
        out: folder for everything.
        device: where to run.
        progress: show progress bars.

    Returns:
        The record of each run: part, seed, `miou` (in [0, 1]; None without ground truth), `iou`, `pseudo_miou`,
        `label_free`, `minutes`, `skipped` (images that were left out), `masks` (a digest of its masks), `config`, and,
        for runs from tags, `consensus` (where there are three or more parts).

    Raises:
        ConfigError: a setting of any part is unknown (before the first run), or `out` holds other runs.
        DataError: a dataset cannot be used.
    """
    out = Path(out)
    jobs = _jobs(ablation, out)
    parts = list(dict.fromkeys(job.part for job in jobs))
    val = Dataset.load(
        ablation.val.images,
        ablation.val.tags,
        masks=ablation.val.masks,
        classes=ablation.classes,
        unpack=out / UNPACKED,
        verify=True,
    )
    log_problems(val.problems)
    make_folder(out)
    dataset: Dataset | None = None
    records: list[dict[str, Any]] = []
    for count, job in enumerate(jobs):
        record = _stored(job)
        if record is None:
            _log.info("run %d of %d: %s, seed %d", count + 1, len(jobs), job.part, job.config.training.seed)
            dataset = dataset or _training_dataset(ablation, out)
            record = _run(job, dataset, val, device=device, progress=progress)
        skipped = val.skipped + record.get("skipped", 0)
        records.append({**record, "masks": _digest(job.folder / "val", val), "skipped": skipped})
        write_results(out, records, parts)
    _add_consensus(records, out, val)
    write_results(out, records, parts)
    write_sheet(out / "sheet.png", [job for job in jobs if job.config.training.seed == ablation.seeds[0]], val)
    return records


def write_sheet(path: Path, jobs: list[_Job], val: Dataset, *, rows: int = 5) -> None:
    """Write a sheet of some images with their masks of each run."""
    known = [record for record in val.records if record.gt_mask is not None]
    records = replace(val, records=tuple(known) or val.records).spread(rows).records
    cells = []
    for record in records:
        image = read_image(record.path)
        masks = [read_mask(mask_path(job.folder / "val", record.name)) for job in jobs]
        if record.gt_mask is not None:
            masks.append(interpret_mask(record.gt_mask, val.classes).mask)
        cells.append([image, *(overlay(image, mask) for mask in masks)])
    titles = ["image", *(job.part for job in jobs), "ground truth"]
    drawing = sheet(
        cells,
        titles=titles[: len(cells[0])],
        captions=[", ".join(sorted(record.present)) for record in records],
        cell=(140, 170),
        legend=val.classes,
    )
    with atomic_path(path) as temporary:
        Image.fromarray(drawing).save(temporary)


def _jobs(ablation: Ablation, out: Path) -> list[_Job]:
    """All runs, seed by seed; every setting is checked here, before the first run."""
    base = (load_config(ablation.config) if ablation.config else Config()).override(ablation.settings)
    supervised = {CEILING: {"training.supervision": "masks"}}
    with_ceiling = ablation.ceiling and ablation.train.masks is not None
    parts = {FULL: {}, **ablation.parts, **(supervised if with_ceiling else {})}
    configs = {name: base.override(settings) for name, settings in parts.items()}
    jobs = []
    for seed in ablation.seeds:
        full = base.override({"training.seed": seed})
        network = RunFolder(_folder(out, FULL, seed) / "run")
        for name, settings in configs.items():
            config = settings.override({"training.seed": seed})
            same = name != FULL and config.model_copy(update={"prediction": base.prediction}) == full
            jobs.append(_Job(name, config, _folder(out, name, seed), network if same else None))
    return jobs


def _folder(out: Path, part: str, seed: int) -> Path:
    return out / folder_name(part) / f"seed{seed}"


def _training_dataset(ablation: Ablation, out: Path) -> Dataset:
    """The images that `train` will prepare, in each run the same."""
    source = ablation.train
    dataset = Dataset.load(
        source.images, source.tags, masks=source.masks, classes=ablation.classes, unpack=out / UNPACKED, verify=True
    )
    dataset = training_split(dataset)  # chosen here, since `limit` counts within it
    return dataset if ablation.limit is None else dataset.subset(first=ablation.limit)


def _run(job: _Job, dataset: Dataset, val: Dataset, *, device: str, progress: bool) -> dict[str, Any]:
    """One run, from training (unless there is a network already) to its record; an interrupted one is continued."""
    started = time.monotonic()
    skipped, pseudo_miou = 0, None
    trained = job.trained
    if trained is None:
        trained, skipped, pseudo_miou = _train(job, dataset, device=device, progress=progress)
    minutes = (time.monotonic() - started) / 60
    network, classes, _ = load_model(trained)
    segmenter = Segmenter(TorchBackend(network, classes, job.config, device=device))
    segmenter.predict_folder(_without_tags(val), job.folder / "val", overwrite=True, strict=True, progress=progress)
    score = evaluate_dataset(job.folder / "val", val)
    supervised = job.config.training.supervision == "masks"
    tagged = any(record.present for record in val.records)
    signs = label_free_score(segmenter, val) if tagged and not supervised else None
    record = {
        "part": job.part,
        "seed": job.config.training.seed,
        "miou": score.miou if score else None,
        "iou": score.to_dict()["IoU"] if score else None,
        "pseudo_miou": pseudo_miou,
        "label_free": signs.to_dict() if signs else None,
        "minutes": round(minutes, 2),
        "skipped": skipped,
        "config": job.config.model_dump(mode="json"),
    }
    write_text(job.folder / "result.json", json.dumps(record, indent=1) + "\n")
    _log.info("%s", score.summary() if score else f"done in {minutes:.1f} min")
    return record


def _train(job: _Job, dataset: Dataset, *, device: str, progress: bool) -> tuple[RunFolder, int, float | None]:
    """Train a network; its folder, the number of images left out, and the mIoU of the masks of the training images."""
    run = RunFolder(job.folder / "run")
    from_tags = job.config.training.supervision == "tags"
    train(
        dataset,
        run.root,
        config=job.config,
        resume=run.config.is_file(),
        make_masks=from_tags,
        make_report=False,
        device=device,
        progress=progress,
    )
    if not from_tags:
        return run, dataset.skipped, None
    result = json.loads(run.result.read_text(encoding="utf-8"))
    return run, int(result["skipped"]), result["score"]["mIoU"] if result["score"] else None


def _without_tags(dataset: Dataset) -> Dataset:
    """The dataset with its tags forgotten, so that the network decides which classes there are."""
    records = (replace(record, tags=None, unknown=frozenset()) for record in dataset.records)
    return replace(dataset, records=tuple(records))


def _digest(folder: Path, val: Dataset) -> str:
    """A text that differs if any mask of a folder does."""
    masks = hashlib.sha256()
    for record in val.records:
        mask = read_mask(mask_path(folder, record.name))
        masks.update(f"{mask.shape}".encode() + mask.tobytes())
    return masks.hexdigest()


def _add_consensus(records: list[dict[str, Any]], out: Path, val: Dataset) -> None:
    """Add to the records of runs from tags how well their masks agree with the vote of the other parts."""
    silent = {CEILING, *unchanged_parts(records)}
    voting = [record for record in records if record["part"] not in silent]
    if len({record["part"] for record in voting}) < 3:
        return
    consensus = Consensus([record["part"] for record in voting], len(val.classes))
    folders = [_folder(out, record["part"], record["seed"]) / "val" for record in voting]
    for image, tags in zip(val.records, val.tags(), strict=True):
        consensus.add([read_mask(mask_path(folder, image.name)) for folder in folders], tags)
    for record, score in zip(voting, consensus.scores(), strict=True):
        record["consensus"] = score


def _stored(job: _Job) -> dict[str, Any] | None:
    """The record of a finished run with the same settings, or None.

    Raises:
        ConfigError: its settings were others.
        DataError: it is damaged.
    """
    path = job.folder / "result.json"
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot read it ({error}); remove this folder to run it again") from None
    if record.get("config") != job.config.model_dump(mode="json"):
        raise ConfigError(f"{path}: made with other settings; remove this folder, or choose another `out`")
    return record
