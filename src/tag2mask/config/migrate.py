"""Configurations that version 1 stored with its networks: where each of their options is now."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tag2mask.config.dependencies import options, unmet_needs
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

MOVED = {
    **{f"data.{name}": f"paper.{name}" for name in ("hide_image_probability", "hide_grid")},
    **{f"data.{name}": f"paper.{name}" for name in ("hide_probability", "hide_from")},
    **{f"model.{name}": f"paper.{name}" for name in ("shared_stages", "cam_channels")},
    **{f"masks.{name}": f"paper.{name}" for name in ("background", "map_scaling", "background_power")},
    **{f"masks.{name}": f"paper.{name}" for name in ("prior_hard_threshold", "cams_hard_threshold")},
    "model.cam_dropout": "model.tag_dropout",
}
"""New names by old ones."""

REMOVED: dict[str, Any] = {
    "masks.hold_size": False,
    "masks.share_power": 1.0,
    "masks.confidence": 0.0,
    "masks.soft_slope": 8.0,
    "training.tag_loss": 1.0,
    "prediction.share_power": 1.0,
}
"""Options that are gone, with the value that is built in."""

_GATE = ("masks.reassign", "prediction.reassign")
"""1 in both is the default now, 0 in both is `paper.plain_gate`."""


def migrate(tree: Mapping[str, Any], *, source: str = "configuration") -> dict[str, Any]:
    """Bring the options of version 1 to where they are now; those of this version stay as they are.

    Args:
        tree: nested mappings, as stored; not changed.
        source: what error messages call it.

    Raises:
        ConfigError: a removed option holds a value that this version does not have.
    """
    result: dict[str, Any] = copy.deepcopy(dict(tree))
    for name, built_in in REMOVED.items():
        if (value := _take(result, name, built_in)) != built_in:
            raise ConfigError(
                f"{source}: {name} is {value}, and this version has {built_in} alone; use the version of tag2mask that "
                "trained this network, or train it again"
            )
    for old, new in MOVED.items():
        if (value := _take(result, old, _ABSENT)) is not _ABSENT:
            _put(result, new, value)
    if _take(result, "masks.refresh", _ABSENT, where=0) == 0:
        _put(result, "paper.every_step", True)
    reassign = [_take(result, name, _ABSENT) for name in _GATE]
    shares = {1.0 if value is _ABSENT else value for value in reassign}
    if shares not in ({0.0}, {1.0}):
        raise ConfigError(
            f"{source}: {' and '.join(_GATE)} are {' and '.join(map(str, sorted(shares)))}; this version has "
            "1 for both, or 0 for both as paper.plain_gate"
        )
    if shares == {0.0}:
        _put(result, "paper.plain_gate", True)
    return result


def without_idle_options(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options that have no effect their defaults, as version 1 did not refuse them.

    What cannot be parsed for another reason is returned as it is.
    """
    result: dict[str, Any] = copy.deepcopy(dict(tree))
    defaults = {name: info.get_default(call_default_factory=True) for name, info in options(Config)}
    sections = {name: type(getattr(Config(), name)) for name in Config.model_fields}
    while True:
        try:
            given = {name: kind.model_validate(result.get(name) or {}) for name, kind in sections.items()}
        except ValidationError:
            return result
        unmet = unmet_needs(Config.model_construct(**given))
        idle = {one.option for one in unmet}
        # First those that depend on nothing idle: the others may then be in force again.
        settled = idle - {one.option for one in unmet if one.needed in idle}
        if not settled:
            return result
        for name in settled:
            _put(result, name, defaults[name])


def what_became_of(name: str) -> str:
    """What to tell a person who gives an option of version 1 by this dotted name; '' where it is none."""
    if name in MOVED:
        return f"{name} is {MOVED[name]} now"
    if name in _GATE:
        return f"{name} is gone: 1 is built in, and paper.plain_gate=true is what 0 was"
    if name in REMOVED:
        return f"{name} is gone: {REMOVED[name]} is built in; leave it out"
    return ""


_ABSENT = object()


def _take(tree: dict[str, Any], name: str, default: Any, *, where: Any = _ABSENT) -> Any:
    """Remove an option from the tree and return its value; with `where` only if it has that value."""
    section, _, key = name.partition(".")
    node = tree.get(section)
    if not isinstance(node, dict) or key not in node or (where is not _ABSENT and node[key] != where):
        return default
    return node.pop(key)


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    section, _, key = name.partition(".")
    tree.setdefault(section, {})[key] = value
