"""A method and the same less each of its parts: many runs, over seeds, into one table."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tag2mask.api import TrainResult, predict, report_problems, train
from tag2mask.collection import Collection, load_collection
from tag2mask.config import Config, load_config, load_yaml
from tag2mask.consensus import Consensus
from tag2mask.errors import ConfigError, DataError
from tag2mask.evaluation import evaluate_pairs
from tag2mask.files import atomic_path, make_folder, write_text
from tag2mask.images import read_image
from tag2mask.label_free import label_free_score
from tag2mask.masks_io import mask_path, read_mask
from tag2mask.predictor import Predictor
from tag2mask.runs import RunFolder, load_model
from tag2mask.visualize import overlay, sheet

Report = Callable[[str], None]
FULL = "full"
CEILING = "ceiling"


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
        digest of the masks, nearness to the vote of the other parts (None where it changed nothing), minutes.
    """
    top = ablation.ceiling and ablation.train.masks is not None
    base = (load_config(ablation.config) if ablation.config else Config()).override(ablation.settings)
    parts = {FULL: {}, **ablation.parts, **({CEILING: {"training.supervision": "masks"}} if top else {})}
    configs = {name: base.override(settings) for name, settings in parts.items()}  # all checked before the first run
    val = load_collection(
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
        records.append({**record, "masks": _digest(folder / "val", val)})
        _write_results(out, records, list(parts))
    _add_consensus(records, out, val)
    _write_results(out, records, list(parts))
    write_ablation_sheet(out / "sheet.png", ablation, out, list(parts), val)
    return records


def summarise(records: list[dict[str, Any]], parts: list[str]) -> list[dict[str, Any]]:
    """A row a part: mean and spread over seeds, and the mean difference to the full method, seed by seed.

    mIoU times 100, None without human masks; the spread is the standard deviation of the sample, None for one seed.
    """
    full = {record["seed"]: record["miou"] for record in records if record["part"] == FULL}
    rows = []
    for name in parts:
        own = [record for record in records if record["part"] == name]
        if not own:
            continue
        scored = [record for record in own if record["miou"] is not None]
        values = [100 * record["miou"] for record in scored]
        differences = [100 * (record["miou"] - full[record["seed"]]) for record in scored if record["seed"] in full]
        pseudo = [100 * record["pseudo_miou"] for record in own if record["pseudo_miou"] is not None]
        free = [100 * record["label_free"]["score"] for record in own if record["label_free"]]
        near = [100 * record["consensus"] for record in own if record.get("consensus") is not None]
        rows.append(
            {
                "part": name,
                "seeds": len(own),
                "miou": statistics.mean(values) if values else None,
                "spread": statistics.stdev(values) if len(values) > 1 else None,
                "difference": statistics.mean(differences) if differences and name != FULL else None,
                "difference_spread": statistics.stdev(differences) if len(differences) > 1 and name != FULL else None,
                "pseudo_miou": statistics.mean(pseudo) if pseudo else None,
                "label_free": statistics.mean(free) if free else None,
                "consensus": statistics.mean(near) if near else None,
                "minutes": statistics.mean(record["minutes"] for record in own),
            }
        )
    return rows


def unchanged_parts(records: list[dict[str, Any]]) -> list[str]:
    """Parts whose masks are exactly those of the full method, in every seed: what they change was never in force.

    Names in the order of `records`; a record's `masks` is a digest of its masks.
    """
    full = {record["seed"]: record for record in records if record["part"] == FULL}

    def same(record: dict[str, Any]) -> bool:
        other = full.get(record["seed"])
        return other is not None and record["masks"] == other["masks"]

    names = dict.fromkeys(record["part"] for record in records if record["part"] not in (FULL, CEILING))
    return [name for name in names if all(same(record) for record in records if record["part"] == name)]


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side does not vary."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return float("nan")
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: list[float]) -> NDArray[np.float64]:
    """Ranks from 0, ties at their mean."""
    array = np.asarray(values)
    ranks: NDArray[np.float64] = (array < array[:, None]).sum(axis=1) + ((array == array[:, None]).sum(axis=1) - 1) / 2
    return ranks


def write_ablation_sheet(
    path: Path, ablation: Ablation, out: Path, parts: list[str], val: Collection, *, rows: int = 5
) -> None:
    """The same photographs under each part, from the first seed."""
    items = [item for item in val.items if item.gt_mask is not None] or val.items
    items = [items[round(index)] for index in np.linspace(0, len(items) - 1, min(rows, len(items)))]
    seed = ablation.seeds[0]
    cells = []
    for item in items:
        image = read_image(item.image)
        made = [read_mask(mask_path(out / _slug(name) / f"seed{seed}" / "val", item.name)) for name in parts]
        human = [overlay(image, read_mask(item.gt_mask))] if item.gt_mask else []
        cells.append([image, *(overlay(image, mask) for mask in made), *human])
    picture = sheet(
        cells,
        titles=["photo", *parts, "human mask"][: len(cells[0])],
        captions=[", ".join(sorted(item.tags)) for item in items],
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
    val: Collection,
    device: str,
    report: Report,
    trained: RunFolder | None,
) -> dict[str, Any]:
    """One run, from training (unless there is a network already) to its record; an interrupted one goes on."""
    started = time.monotonic()
    supervised = config.training.supervision == "masks"
    pseudo: float | None = None
    if trained is None:
        result = _train(ablation, config, folder, device, report)
        trained, pseudo = RunFolder(result.run), result.score.miou if result.score else None
    minutes = (time.monotonic() - started) / 60
    network, classes, _ = load_model(trained)
    predictor = Predictor(network, classes, config, device=device)
    predict(predictor, ablation.val.images, out=folder / "val", overwrite=True)
    pairs = [(mask_path(folder / "val", item.name), item.gt_mask) for item in val.items if item.gt_mask]
    score = evaluate_pairs(pairs, ablation.classes) if pairs else None
    signs = label_free_score(predictor, val) if any(item.tags for item in val.items) and not supervised else None
    record = {
        "part": name,
        "seed": config.training.seed,
        "miou": score.miou if score else None,
        "iou": score.to_dict()["IoU"] if score else None,
        "pseudo_miou": pseudo,
        "label_free": signs.to_dict() if signs else None,
        "minutes": round(minutes, 2),
        "config": config.model_dump(mode="json"),
    }
    write_text(folder / "result.json", json.dumps(record, indent=1) + "\n")
    report(f"  {score.summary() if score else f'done in {minutes:.1f} min'}")
    return record


def _digest(folder: Path, val: Collection) -> str:
    """What differs if any mask of a folder does."""
    masks = hashlib.sha256()
    for item in val.items:
        mask = read_mask(mask_path(folder, item.name))
        masks.update(f"{mask.shape}".encode() + mask.tobytes())
    return masks.hexdigest()


def _add_consensus(records: list[dict[str, Any]], out: Path, val: Collection) -> None:
    """Add to the records of runs from tags how near their masks are to the vote of the other parts."""
    silent = {CEILING, *unchanged_parts(records)}
    voting = [record for record in records if record["part"] not in silent]
    if len({record["part"] for record in voting}) < 3:
        return
    consensus = Consensus([record["part"] for record in voting], len(val.classes))
    folders = [out / _slug(record["part"]) / f"seed{record['seed']}" / "val" for record in voting]
    for item, tags in zip(val.items, val.tags(), strict=True):
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


def _write_results(out: Path, records: list[dict[str, Any]], parts: list[str]) -> None:
    rows = summarise(records, parts)
    write_text(out / "runs.json", json.dumps(records, indent=1) + "\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: round(v, 2) if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    write_text(out / "table.csv", table.getvalue())
    lines = [
        "| | mIoU | against full | pseudo masks | label-free | consensus | minutes | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row["part"],
            _with_spread(row["miou"], row["spread"]),
            _with_spread(row["difference"], row["difference_spread"], signed=True),
            _with_spread(row["pseudo_miou"], None),
            _with_spread(row["label_free"], None),
            _with_spread(row["consensus"], None),
            f"{row['minutes']:.1f}",
            str(row["seeds"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    unchanged = unchanged_parts(records)
    if unchanged:
        lines += [
            "",
            f"The same result as {FULL} in every seed, so never in force: {', '.join(unchanged)}. "
            "Perhaps training is too short for them.",
        ]
    lines += _rank_lines([record for record in records if record["part"] not in unchanged])
    write_text(out / "table.md", "\n".join(lines) + "\n")


def _rank_lines(records: list[dict[str, Any]]) -> list[str]:
    """How the signs that need no human mask rank the runs, where mIoU is there to compare with."""
    signs: dict[str, Callable[[dict[str, Any]], float | None]] = {
        "consensus": lambda record: record.get("consensus"),
        "label-free score": lambda record: (record["label_free"] or {}).get("score"),
        "tag consistency": lambda record: (record["label_free"] or {}).get("consistency"),
        "agreement of streams": lambda record: (record["label_free"] or {}).get("agreement"),
        "stability": lambda record: (record["label_free"] or {}).get("stability"),
    }
    from_tags = [
        one for one in records if one["miou"] is not None and any(sign(one) is not None for sign in signs.values())
    ]
    known = sorted(from_tags, key=lambda record: record["miou"], reverse=True)
    lines: list[str] = []
    for title, group in (("with mIoU", known), ("among the better half alone", known[: len(known) // 2])):
        ranked = []
        for name, sign in signs.items():
            pairs = [(record["miou"], value) for record in group if (value := sign(record)) is not None]
            if len(pairs) > 2:
                ranked.append(f"{name} {rank_correlation(*map(list, zip(*pairs, strict=True))):.2f}")
        if ranked:
            lines += ["", f"Rank correlation (Spearman) {title}, {len(group)} runs: {', '.join(ranked)}."]
    return lines


def _with_spread(value: float | None, spread: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    text = f"{value:+.1f}" if signed else f"{value:.1f}"
    return text if spread is None else f"{text} ± {spread:.1f}"


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
