"""The settings of a run: as given, and with the class maps that fit the dataset where the choice was left open."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import yaml

from tag2mask.config.load import PRESETS, find_config, load_yaml, on_preset, parse_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.data import Dataset
from tag2mask.models.backbone import require_weights
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.recipe import Name, Recipe, measure_recipe
from tag2mask.training.schedule import choose_epochs
from tag2mask.training.working_size import SURFACE_FEATURE_BYTES, choose_working_size

_log = logging.getLogger(__name__)

_DECIDES = "model.contrast_stages"
_FROZEN: dict[Name, str] = {"objects": "frozen", "surfaces": "frozen-surfaces"}
"""Presets of each kind of class maps that leave the backbone frozen."""

_OTHER: dict[Name, str] = {"objects": "frozen-surfaces", "surfaces": "frozen"}
_FEATURE_BYTES: dict[Name, int] = {"objects": 4, "surfaces": SURFACE_FEATURE_BYTES}
"""Of kept features, at most, for each pixel of an image as the network sees it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings as given.

    Attributes:
        config: resolved, with the defaults for what was not given.
        text: YAML of what was given, kept beside the run.
        surfaces: the same on top of the preset `surfaces`; None where the choice of class maps is not open.
        closed: why it is not, where that is worth saying; a `Config` says it itself.
        frozen: the same on top of the presets `frozen` and `frozen-surfaces`, which are preferred, by class maps, where
            what was given goes with them.
        trained: why it does not, so that the whole network is trained, by class maps.
        sized: whether `data.image_size` was given.
    """

    config: Config
    text: str
    surfaces: Config | None = None
    closed: str = ""
    frozen: Mapping[Name, Config] = field(default_factory=dict)
    trained: Mapping[Name, str] = field(default_factory=dict)
    sized: bool = False


def resolve(config: Config | str | PathLike[str] | None, options: Mapping[str, Any] | None) -> Settings:
    """Resolve what was given.

    The choice of class maps is open unless a preset, a `Config`, or `model.contrast_stages` makes it, or something was
    given that has no effect with the class maps of surfaces.

    Raises:
        ConfigError: a setting is wrong.
    """
    options = options or {}
    given = "".join(f"# {name}: {value}\n" for name, value in options.items())
    if isinstance(config, Config):
        differing = config.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(differing, sort_keys=False, allow_unicode=True) if differing else ""
        return Settings(config.override(options), text + given)
    tree: dict[str, Any] = {}
    text, source = "", "configuration"
    if config is not None:
        path = find_config(Path(config))
        tree, text, source = load_yaml(path), path.read_text(encoding="utf-8"), str(config)
    chosen = parse_config(tree, source=source).override(options)
    text += given
    if config is not None and find_config(Path(config)).parent == PRESETS:
        return Settings(chosen, text, closed=f"`config='{config}'` makes it")
    if "contrast_stages" in (tree.get("model") or {}) or _DECIDES in options:
        return Settings(chosen, text, closed=f"{_DECIDES} makes it")
    if chosen.training.supervision != "tags":
        return Settings(chosen, text)  # ground truth needs no class maps
    if chosen.model.weights == "none":
        return Settings(chosen, text, closed="random weights have no features to measure it by")
    try:
        surfaces = on_preset("surfaces", tree, source=source).override(options)
    except ConfigError as error:
        return Settings(chosen, text, closed=f"what was given does not go with those of surfaces ({error})")
    frozen: dict[Name, Config] = {}
    trained: dict[Name, str] = {}
    for name, preset in _FROZEN.items():
        try:
            frozen[name] = on_preset(preset, tree, source=source).override(options)
            if name == "objects":
                _check_backbones(tree, options, frozen[name])
        except (ConfigError, WeightsError) as error:
            frozen.pop(name, None)
            trained[name] = str(error)
    sized = "image_size" in (tree.get("data") or {}) or "data.image_size" in options
    return Settings(chosen, text, surfaces, frozen=frozen, trained=trained, sized=sized)


def _check_backbones(tree: Mapping[str, Any], options: Mapping[str, Any], config: Config) -> None:
    """Refuse the two backbones of the preset `frozen` where others were given, or one has no weights.

    Raises:
        ConfigError: there is a backbone, or a file that serves one.
        WeightsError: a folder lacks a file.
    """
    if "backbone" in (tree.get("model") or {}) or "model.backbone" in options:
        raise ConfigError("model.backbone was given")
    weights = config.model.weights
    if weights != "hub" and not Path(weights).is_dir():
        raise ConfigError(f"model.weights={weights} is of one backbone; a folder of weights may hold two")
    require_weights(config.model)


def choose_class_maps(
    settings: Settings,
    dataset: Dataset,
    run: RunFolder,
    *,
    resume: bool,
    device: torch.device,
    progress: bool,
    several: bool = False,
) -> tuple[Settings, Recipe | None]:
    """Measure which class maps fit, where that is open, and say so; a run that goes on keeps its own.

    Backbones stay frozen unless what was given, several devices (`several`) or the room on the disk forbid it.

    Returns:
        Settings with `config` chosen, and why; None where nothing was measured.
    """
    if settings.surfaces is None:
        if settings.closed:
            _log.info("class maps of %s, not measured: %s", _name(settings.config), settings.closed)
        return settings, None
    if resume and run.config.is_file():
        stored = load_yaml(run.config)
        kept = stored.get("model") or {}
        if not kept.get("contrast_stages"):
            return _with(settings, settings.frozen.get("objects") if kept.get("frozen") else settings.config, ""), None
        if not kept.get("frozen"):
            return _with(settings, settings.surfaces, ""), None
        return _with(settings, _of_size(settings, stored), ""), None
    recipe = measure_recipe(dataset, settings.surfaces, device=device, progress=progress)
    said = f"class maps of {recipe.name}: {recipe.reason}"
    _log.info("%s; `config='%s'` chooses the others", said, _OTHER[recipe.name])
    config, why = settings.frozen.get(recipe.name), settings.trained.get(recipe.name, "")
    if several:
        config, why = None, "a light decoder trains on one device"
    elif config is not None and (missing := _missing_room(config, recipe.name, dataset, run)):
        config, why = None, missing
    if config is None:
        config = settings.surfaces if recipe.name == "surfaces" else settings.config
        _log.info("the whole network is trained, not a light decoder on frozen features (%s)", why)
    elif recipe.name == "surfaces" and not settings.sized:
        config, sizes = _sized(config, dataset, run, device=device, progress=progress)
        said += f"; {sizes}"
    return _with(settings, config, f"# {said}\n"), recipe


def _sized(
    config: Config, dataset: Dataset, run: RunFolder, *, device: torch.device, progress: bool
) -> tuple[Config, str]:
    """The settings at the size that fits what is small in the images, and why."""
    found = choose_working_size(dataset, config, device=device, progress=progress)
    said = f"image size {found.image_size}: {found.reason}"
    larger = config.override({"data.image_size": found.image_size})
    if larger != config and (missing := _missing_room(larger, "surfaces", dataset, run)):
        larger, said = config, f"image size {config.data.image_size}, not {found.image_size}: {missing}"
    _log.info("%s", said)
    return larger, said


def _of_size(settings: Settings, stored: Mapping[str, Any]) -> Config | None:
    """The settings of frozen surfaces at the size that a run was begun with, where it was chosen by measuring."""
    config, size = settings.frozen.get("surfaces"), (stored.get("data") or {}).get("image_size")
    if config is None or settings.sized or size is None:
        return config
    return config.override({"data.image_size": size})


def _missing_room(config: Config, name: Name, dataset: Dataset, run: RunFolder) -> str:
    """Why features cannot be kept, where they would take more than half of the room that is left; else empty."""
    needed = _FEATURE_BYTES[name] * config.data.image_size**2 * len(dataset)
    folder = (run.root if config.data.cache is None else Path(config.data.cache)).absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if 2 * needed <= free:
        return ""
    return f"features would take up to {needed / 2**30:.1f} GiB, over half of the {free / 2**30:.1f} GiB that are free"


def described(dataset: Dataset, config: Config) -> str:
    """How much is to be trained on, and for how long."""
    return f"{len(dataset)} images, {len(dataset.classes)} classes, {choose_epochs(config, len(dataset))} epochs"


def _with(settings: Settings, config: Config | None, said: str) -> Settings:
    if config is None:  # of a run that goes on with what it did not begin with: `check_folder` says so
        config = settings.config
    return Settings(config, settings.text + said)


def _name(config: Config) -> str:
    return "surfaces" if config.model.contrast_stages else "objects"
