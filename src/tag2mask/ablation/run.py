"""A method and the same less each of its parts: many runs, over seeds, into one table."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tag2mask.ablation.table import CEILING, FULL, unchanged_parts, write_results
from tag2mask.api import TrainResult, predict, report_problems, train
from tag2mask.config.schema import Config, load_config, load_yaml
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.data import Dataset, load_dataset
from tag2mask.drawing import overlay, sheet
from tag2mask.evaluation.consensus import Consensus
from tag2mask.evaluation.folders import evaluate_pairs
from tag2mask.evaluation.label_free import label_free_score
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import mask_path, read_mask
from tag2mask.models.checkpoint import RunFolder, load_model

Report = Callable[[str], None]


class Source(BaseModel):
    """A collection, with human masks to score by where there are any. Paths are relative to the folder of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Path
    tags: Path | None = None
    masks: Path | None = None


class Ablation(BaseModel):
    """What `tag2mask ablate` runs, from a YAML file.

    Attributes:
        train: the collection to train on; its masks score pseudo masks and train the ceiling.
        val: photographs to score on; without masks the runs are ranked by their consensus alone.
        classes: file of class names.
        limit: train on the first so many images after a shuffle with seed 0.
        config: configuration file or preset of the full method; empty: the defaults.
        settings: settings on top of it, for all runs.
        parts: by name, the settings that take one part away from the full method (or add one).
        seeds: each run is done once a seed.
        ceiling: also train on human masks, where `train` has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Source
    val: Source
    classes: Path
    limit: int | None = Field(None, ge=1)
    config: str | None = None
    settings: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]]
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    ceiling: bool = True


def load_ablation(path: Path, variables: Mapping[str, str] | None = None) -> Ablation:
    """Read the file; `${NAME}` in it is replaced by the variable of that name.

    Raises:
        ConfigError: no such file, unknown key, missing variable.
    """
    text = json.dumps(load_yaml(path))
    for name in sorted(set(re.findall(r"\$\{(\w+)\}", text))):
        if name not in (variables or {}):
            raise ConfigError(f"{path}: the variable {name} is not given; add --define {name}=VALUE")
        text = text.replace("${" + name + "}", json.dumps(str((variables or {})[name]))[1:-1])
    try:
        parsed = Ablation.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {place}: {first['msg']}") from None
    reserved = {FULL, CEILING} & parsed.parts.keys()
    if reserved:
        raise ConfigError(f"{path}: a part cannot be called '{reserved.pop()}'")
    folders: dict[str, str] = {}
    for name in (FULL, CEILING, *parsed.parts):
        other = folders.setdefault(_slug(name), name)
        if other != name:
            raise ConfigError(f"{path}: the parts '{other}' and '{name}' differ too little in name; rename one")
    return _resolved(parsed, path.parent)


def run_ablation(
    ablation: Ablation, out: Path, *, device: str = "auto", report: Report = print
) -> list[dict[str, Any]]:
    """Train and score every part with every seed; what is done already is kept.

    A part that differs in settings of prediction alone is scored on the network of the full method.
    Writes `table.md`, `table.csv` and `runs.json` into `out`, anew after each run, and `sheet.png` at the end.
    Parts that changed nothing (`unchanged_parts`) neither vote nor are ranked: they would be `full` again.

    Returns:
        A record a run: part, seed, mIoU and IoU (None without human masks), pseudo mask mIoU, label-free signs,
        digest of the masks, nearness to the vote of the other parts (absent where it changed nothing), minutes,
        photographs left out, of both collections.
    """
    top = ablation.ceiling and ablation.train.masks is not None
    base = (load_config(ablation.config) if ablation.config else Config()).override(ablation.settings)
    parts = {FULL: {}, **ablation.parts, **({CEILING: {"training.supervision": "masks"}} if top else {})}
    configs = {name: base.override(settings) for name, settings in parts.items()}  # all checked before the first run
    val = load_dataset(
        ablation.val.images, ablation.val.tags, masks=ablation.val.masks, classes=ablation.classes, verify=True
    )
    report_problems(val, report)
    make_folder(out)
    records: list[dict[str, Any]] = []
    todo = [(seed, name) for seed in ablation.seeds for name in parts]
    for count, (seed, name) in enumerate(todo):
        config = configs[name].override({"training.seed": seed})
        folder = out / _slug(name) / f"seed{seed}"
        record = _stored(folder, config)
        if record is None:
            report(f"run {count + 1} of {len(todo)}: {name}, seed {seed}")
            full = out / _slug(FULL) / f"seed{seed}" / "run"
            same = config.model_copy(update={"prediction": base.prediction}) == base.override({"training.seed": seed})
            trained = RunFolder(full) if same and name != FULL else None
            record = _run(ablation, name, config, folder, val, device, report, trained)
        skipped = val.skipped + record.get("skipped", 0)
        records.append({**record, "masks": _digest(folder / "val", val), "skipped": skipped})
        write_results(out, records, list(parts))
    _add_consensus(records, out, val)
    write_results(out, records, list(parts))
    write_ablation_sheet(out / "sheet.png", ablation, out, list(parts), val)
    return records


def write_ablation_sheet(
    path: Path, ablation: Ablation, out: Path, parts: list[str], val: Dataset, *, rows: int = 5
) -> None:
    """The same photographs under each part, from the first seed."""
    items = [item for item in val.records if item.gt_mask is not None] or val.records
    items = [items[round(index)] for index in np.linspace(0, len(items) - 1, min(rows, len(items)))]
    seed = ablation.seeds[0]
    cells = []
    for item in items:
        image = read_image(item.path)
        made = [read_mask(mask_path(out / _slug(name) / f"seed{seed}" / "val", item.name)) for name in parts]
        human = [overlay(image, read_mask(item.gt_mask))] if item.gt_mask else []
        cells.append([image, *(overlay(image, mask) for mask in made), *human])
    picture = sheet(
        cells,
        titles=["photo", *parts, "human mask"][: len(cells[0])],
        captions=[", ".join(sorted(item.present)) for item in items],
        cell=(140, 170),
        legend=val.classes,
    )
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _run(
    ablation: Ablation,
    name: str,
    config: Config,
    folder: Path,
    val: Dataset,
    device: str,
    report: Report,
    trained: RunFolder | None,
) -> dict[str, Any]:
    """One run, from training (unless there is a network already) to its record; an interrupted one goes on."""
    started = time.monotonic()
    supervised = config.training.supervision == "masks"
    pseudo: float | None = None
    skipped = 0
    if trained is None:
        result = _train(ablation, config, folder, device, report)
        skipped = result.collection.skipped + (len(result.masks.failures) if result.masks else 0)
        trained, pseudo = RunFolder(result.run), result.score.miou if result.score else None
    minutes = (time.monotonic() - started) / 60
    network, classes, _ = load_model(trained)
    predictor = Predictor(network, classes, config, device=device)
    predict(predictor, ablation.val.images, out=folder / "val", overwrite=True)
    pairs = [(mask_path(folder / "val", item.name), item.gt_mask) for item in val.records if item.gt_mask]
    score = evaluate_pairs(pairs, ablation.classes) if pairs else None
    signs = label_free_score(predictor, val) if any(item.present for item in val.records) and not supervised else None
    record = {
        "part": name,
        "seed": config.training.seed,
        "miou": score.miou if score else None,
        "iou": score.to_dict()["IoU"] if score else None,
        "pseudo_miou": pseudo,
        "label_free": signs.to_dict() if signs else None,
        "minutes": round(minutes, 2),
        "skipped": skipped,
        "config": config.model_dump(mode="json"),
    }
    write_text(folder / "result.json", json.dumps(record, indent=1) + "\n")
    report(f"  {score.summary() if score else f'done in {minutes:.1f} min'}")
    return record


def _digest(folder: Path, val: Dataset) -> str:
    """What differs if any mask of a folder does."""
    masks = hashlib.sha256()
    for item in val.records:
        mask = read_mask(mask_path(folder, item.name))
        masks.update(f"{mask.shape}".encode() + mask.tobytes())
    return masks.hexdigest()


def _add_consensus(records: list[dict[str, Any]], out: Path, val: Dataset) -> None:
    """Add to the records of runs from tags how near their masks are to the vote of the other parts."""
    silent = {CEILING, *unchanged_parts(records)}
    voting = [record for record in records if record["part"] not in silent]
    if len({record["part"] for record in voting}) < 3:
        return
    consensus = Consensus([record["part"] for record in voting], len(val.classes))
    folders = [out / _slug(record["part"]) / f"seed{record['seed']}" / "val" for record in voting]
    for item, tags in zip(val.records, val.tags(), strict=True):
        consensus.add([read_mask(mask_path(folder, item.name)) for folder in folders], tags)
    for record, score in zip(voting, consensus.scores(), strict=True):
        record["consensus"] = score


def _train(ablation: Ablation, config: Config, folder: Path, device: str, report: Report) -> TrainResult:
    return train(
        ablation.train.images,
        ablation.train.tags,
        masks=ablation.train.masks,
        classes=ablation.classes,
        limit=ablation.limit,
        out=folder / "run",
        config=config,
        resume=(folder / "run" / "config.yaml").is_file(),
        make_masks=config.training.supervision == "tags",
        make_report=False,
        device=device,
        report=lambda line: report(f"  {line}"),
    )


def _stored(folder: Path, config: Config) -> dict[str, Any] | None:
    """The record of a run that is done, if it had the same settings."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot read it ({error}); remove this folder to run it again") from None
    if record.get("config") != config.model_dump(mode="json"):
        raise ConfigError(f"{path}: made with other settings; remove this folder, or choose another --out")
    return record


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "part"


def _config_path(config: str | None, folder: Path) -> str | None:
    """A configuration file relative to `folder`, or a preset, which is a bare word."""
    if config is None or not (Path(config).suffix or Path(config).parent != Path()):
        return config
    return str(folder / config)


def _resolved(ablation: Ablation, folder: Path) -> Ablation:
    """The same with all paths made relative to `folder`."""

    def source(one: Source) -> Source:
        tags = folder / one.tags if one.tags else None
        return Source(images=folder / one.images, tags=tags, masks=folder / one.masks if one.masks else None)

    return ablation.model_copy(
        update={
            "train": source(ablation.train),
            "val": source(ablation.val),
            "classes": folder / ablation.classes,
            "config": _config_path(ablation.config, folder),
        }
    )
