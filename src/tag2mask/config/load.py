"""Configurations from YAML files, presets and single options, and what is said of mistakes in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tag2mask.config.dependencies import options
from tag2mask.config.migrate import migrate, what_became_of, without_idle_options
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"
"""Configurations that come with the package, by name: `objects` (the defaults), `surfaces`, `frozen`."""

_FREE = ("backbone_args", "logger_args")
"""Options that hold names which are not ours."""


def parse_config(tree: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Build a `Config` from nested mappings.

    Raises:
        ConfigError: unknown key (named with the nearest known one, or with its new name), value out of range,
            or an option that would have no effect.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{source}: " + "; ".join(_describe(error.errors()))) from None


def parse_stored_config(tree: Mapping[str, Any], *, source: str) -> Config:
    """Build a `Config` from what this or an earlier version stored with a network.

    Raises:
        ConfigError: as `parse_config`, or it holds a removed option with a value that cannot be had any more.
    """
    moved = migrate(tree, source=source)
    if "paper" not in tree:  # version 1 wrote out options that had no effect
        moved = without_idle_options(moved)
    return parse_config(moved, source=source)


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a copy with options replaced, by dotted name.

    Raises:
        ConfigError: as `parse_config`.
    """
    tree = config.model_dump(mode="json")
    for name, value in changes.items():
        _set(tree, name, value)
    if "backbone" not in config.model.model_fields_set and "model.backbone" not in changes:
        del tree["model"]["backbone"]  # not chosen, so that its default may follow the weights
    return parse_config(tree)


def find_config(name: str | Path) -> Path:
    """The file of a configuration: the given one, or the preset of that name.

    Raises:
        ConfigError: a bare word that is neither a file nor a preset.
    """
    path = Path(name)
    if path.is_file() or path.suffix or path.parent != Path():
        return path
    preset = PRESETS / f"{name}.yaml"
    if not preset.is_file():
        known = ", ".join(sorted(one.stem for one in PRESETS.glob("*.yaml")))
        raise ConfigError(f"`config` {name}: neither a file nor a preset; presets: {known}")
    return preset


def load_config(path: str | Path) -> Config:
    """Read a YAML configuration or a preset; options left out have their defaults.

    Raises:
        ConfigError: missing file, no YAML, or as `parse_config`.
    """
    return parse_config(load_yaml(find_config(path)), source=str(path))


def on_preset(preset: str, tree: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Build a `Config` from nested mappings on top of a preset: what the tree leaves out is the preset's.

    Raises:
        ConfigError: as `parse_config`.
    """
    return parse_config(_merged(load_yaml(find_config(preset)), tree), source=source)


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(base)
    for key, value in top.items():
        below = joined.get(key)
        joined[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return joined


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: the file is missing or holds no mapping.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read this configuration ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: this is no YAML ({error}); see `configs/` for examples") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'training:', got {type(tree).__name__}")
    return tree


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, key = name.split(".")
    node: Any = tree
    free = False
    for section in sections:
        if free and isinstance(node, dict):
            node.setdefault(section, {})
        if not isinstance(node, dict) or section not in node:
            raise ConfigError(_unknown(name))
        node = node[section]
        free = free or section in _FREE
    if not isinstance(node, dict) or (key not in node and not free):
        raise ConfigError(_unknown(name))
    node[key] = value


def _unknown(name: str) -> str:
    """What to say of an option that does not exist."""
    if known := what_became_of(name):
        return known
    names = [known for known, _ in options(Config)]
    section, leaf = name.split(".", 1)[0], name.rsplit(".", 1)[-1]
    by_leaf: dict[str, list[str]] = {}
    for option in names:
        by_leaf.setdefault(option.rsplit(".", 1)[-1], []).append(option)
    near = by_leaf.get(leaf) or difflib.get_close_matches(name, names, 1, 0.85)
    if not near and (like := difflib.get_close_matches(leaf, by_leaf, 1, 0.65)):
        near = by_leaf[like[0]]
    near = [option for option in near if option.split(".", 1)[0] == section] or near
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "`tag2mask config` prints all"
    return f"unknown option '{name}'; {hint}"


def _describe(details: Iterable[Any]) -> list[str]:
    """A line for each mistake; one line for an option that may be of several types and is none of them."""
    known = {name for name, _ in options(Config)}
    lines: list[str] = []
    wrong: dict[str, tuple[list[str], Any]] = {}
    for detail in details:
        loc = [str(part) for part in detail["loc"]]
        place = ".".join(loc)
        if detail["type"] == "extra_forbidden":
            lines.append(_unknown(place))
            continue
        kind_tried = ".".join(loc[:-1]) in known and not isinstance(detail["loc"][-1], int)
        messages, _ = wrong.setdefault(".".join(loc[:-1]) if kind_tried else place, ([], detail["input"]))
        messages.append(str(detail["msg"]).removeprefix("Value error, "))
    for place, (messages, value) in wrong.items():
        text = ", or ".join([messages[0], *(message[:1].lower() + message[1:] for message in messages[1:])])
        shown = "" if isinstance(value, Mapping) else f" (got {value!r})"
        lines.append(f"{place}: {text}{shown}" if place else text)
    return lines
