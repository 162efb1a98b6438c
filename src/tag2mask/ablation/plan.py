"""The YAML file of an ablation: datasets, settings, parts and seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tag2mask.ablation.table import CEILING, FULL
from tag2mask.config.load import load_yaml
from tag2mask.core.errors import ConfigError


class Source(BaseModel):
    """A dataset, with ground truth where there is any. Paths are relative to the folder of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Path
    tags: Path | None = None
    masks: Path | None = None


class Ablation(BaseModel):
    """The contents of the file.

    Attributes:
        train: the dataset to train on; its ground truth scores pseudo masks and trains the ceiling.
        val: images to score on; without ground truth the runs are ranked by their consensus alone.
        classes: file of class names.
        limit: train on the first so many images after a shuffle with seed 0.
        config: configuration file or preset of the full method; None: the defaults.
        settings: settings on top of it, for all runs.
        parts: by name, the settings that remove one part of the full method (or add one).
        seeds: each part is trained once with each seed.
        ceiling: also train the ceiling, the fully supervised upper bound: the same network on ground truth, where
            `train` has some.
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


def load_ablation(path: str | PathLike[str], define: Mapping[str, str] | None = None) -> Ablation:
    """Read the file.

    Args:
        path: the YAML file.
        define: values of variables by name; each `${NAME}` in the file is replaced by that of NAME.

    Raises:
        ConfigError: no such file, unknown key, a variable without a value.
    """
    path = Path(path)
    text = json.dumps(load_yaml(path))
    values = define or {}
    for name in sorted(set(re.findall(r"\$\{(\w+)\}", text))):
        if name not in values:
            raise ConfigError(f"{path}: the variable {name} has no value; add `define={name}=VALUE`")
        text = text.replace("${" + name + "}", json.dumps(str(values[name]))[1:-1])
    try:
        parsed = Ablation.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']}") from None
    _check_names(parsed.parts, path)
    return _resolved(parsed, path.parent)


def folder_name(part: str) -> str:
    """Name of a part's folder."""
    return re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") or "part"


def _check_names(parts: Mapping[str, Any], path: Path) -> None:
    """Refuse reserved names of parts, and those that would share a folder."""
    reserved = {FULL, CEILING} & parts.keys()
    if reserved:
        raise ConfigError(f"{path}: a part cannot be called '{reserved.pop()}'")
    folders: dict[str, str] = {}
    for name in (FULL, CEILING, *parts):
        other = folders.setdefault(folder_name(name), name)
        if other != name:
            raise ConfigError(f"{path}: the parts '{other}' and '{name}' differ too little in name; rename one")


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


def _config_path(config: str | None, folder: Path) -> str | None:
    """A configuration file relative to `folder`, or a preset, which is a bare word."""
    if config is None or not (Path(config).suffix or Path(config).parent != Path()):
        return config
    return str(folder / config)
