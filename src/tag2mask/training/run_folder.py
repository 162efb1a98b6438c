"""The folder of a run before training: is it free, or does it hold the same run to resume?"""

from __future__ import annotations

import json
from typing import Any

from tag2mask.config.load import load_yaml, parse_stored_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import make_folder, write_text
from tag2mask.data import UNPACKED, Dataset
from tag2mask.models.checkpoint import RunFolder


def check_folder(run: RunFolder, dataset: Dataset, config: Config, *, resume: bool) -> None:
    """Check the folder against the request; make it where there is none.

    Args:
        run: the folder.
        dataset: what is to be trained on.
        config: as resolved.
        resume: go on with an interrupted run there.

    Raises:
        ConfigError: there is a run already (and `resume` is off), or none to resume, or it had other settings.
        DataError: the run to resume had other images, tags or classes, or the folder cannot be written to.
    """
    if run.config.is_file():  # written last, so the folder is described in full
        if not resume:
            raise ConfigError(
                f"{run.root}: there is a run here already; continue it with `resume=True`, or choose another `out`"
            )
        _check_same(run, dataset, config)
        return
    begun = {run.collection.name, run.given.name, UNPACKED}
    if resume and run.root.is_dir() and {path.name for path in run.root.iterdir()} - begun:
        raise ConfigError(f"{run.root}: nothing to resume here (no config.yaml); leave out `resume=True`")
    make_folder(run.root)


def describe_run(run: RunFolder, dataset: Dataset, config: Config, *, given: str) -> None:
    """Write into the folder of a new run what it is; a run to resume has this already.

    Args:
        run: the folder.
        dataset: what is to be trained on.
        config: as resolved.
        given: YAML of the configuration as the user gave it.
    """
    if run.config.is_file():
        return
    write_text(run.collection, json.dumps(dataset.to_dict(), ensure_ascii=False, indent=1))
    write_text(run.given, given or "{}\n")
    write_text(run.config, config.to_yaml())


def _check_same(run: RunFolder, dataset: Dataset, config: Config) -> None:
    try:
        before = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.collection}: cannot read it ({error}); start a new run with another `out`") from None
    if before.classes != dataset.classes:
        raise DataError(
            f"{run.root}: this run has the classes {list(before.classes)}, the dataset has {list(dataset.classes)}; "
            "resume with the same tags, or start a new run with another `out`"
        )
    now = Dataset.from_dict(json.loads(json.dumps(dataset.to_dict())))
    if before.records != now.records:
        raise DataError(
            f"{run.root}: the images or tags have changed since this run began "
            f"({len(before.records)} images then, {len(now.records)} now); "
            "resume with the same ones, or start a new run with another `out`"
        )
    stored = parse_stored_config(load_yaml(run.config), source=str(run.config))
    if stored != config:
        differing = _differences(stored.model_dump(mode="json"), config.model_dump(mode="json"))
        raise ConfigError(
            f"{run.root}: other settings than when this run began: {'; '.join(differing)}; "
            "resume with the same ones, or start a new run with another `out`"
        )


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    lines: list[str] = []
    for key, value in before.items():
        if isinstance(value, dict) and isinstance(now.get(key), dict):
            lines += _differences(value, now[key], f"{prefix}{key}.")
        elif value != now.get(key):
            lines.append(f"{prefix}{key} was {value}, is {now.get(key)}")
    return lines
