"""The one check that no option is silently without effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tag2mask.config.options import Condition, declared_needs


@dataclass(frozen=True, slots=True)
class Unmet:
    """An option that was set although what it needs is not met.

    Attributes:
        option: its dotted name.
        needed: dotted name of the option that it depends on.
        found: value of that one.
        condition: what that one would have to meet.
        lacking: of `has_keys`, the keys that `needed` does not list.
        instead: what to use instead, or ''.
    """

    option: str
    needed: str
    found: Any
    condition: Condition
    lacking: tuple[str, ...] = ()
    instead: str = ""

    def message(self) -> str:
        """Both options and the remedy, for people."""
        what = f"{self.option} of {', '.join(self.lacking)}" if self.lacking else self.option
        hint = f" ({self.instead})" if self.instead else ""
        found = f"{self.needed}={as_yaml(self.found)}"
        return f"{what} has no effect with {found}; leave it out{hint}, or {self._remedy()}"

    def _remedy(self) -> str:
        if self.lacking:
            return f"add {', '.join(self.lacking)} to {self.needed}"
        return f"set {self.needed}{words(self.condition)}"


def words(condition: Condition) -> str:
    """A condition after the name of its option: '=[]', '=prior or cams', ' above 0'."""
    ((kind, argument),) = condition.items()
    if kind == "one_of":
        assert isinstance(argument, list)
        return "=" + " or ".join(as_yaml(value) for value in argument)
    if kind == "above":
        return f" above {argument}"
    return "=[]" if kind == "empty" else " with every name in it"


def unmet_needs(config: BaseModel) -> list[Unmet]:
    """The options that differ from their defaults without effect, in the order of the schema."""
    return [
        unmet
        for name, info in options(type(config))
        if value_of(config, name) != info.get_default(call_default_factory=True)
        for unmet in _unmet(config, name, info)
    ]


def options(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every option by its dotted name, groups such as `masks.crf` left out and their members in."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from options(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def value_of(config: Any, name: str) -> Any:
    """The value of an option by its dotted name."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


def as_yaml(value: Any) -> str:
    """A value as it is written in a configuration file."""
    if isinstance(value, tuple):
        value = list(value)
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


def _unmet(config: BaseModel, name: str, info: FieldInfo) -> Iterator[Unmet]:
    extra = info.json_schema_extra
    instead: Any = extra.get("instead", {}) if isinstance(extra, dict) else {}
    for needed, condition in declared_needs(extra).items():
        found = value_of(config, needed)
        lacking = _lacking(value_of(config, name), found) if "has_keys" in condition else ()
        if lacking or not _meets(found, condition):
            yield Unmet(name, needed, found, condition, lacking, instead.get(needed, ""))


def _meets(found: Any, condition: Condition) -> bool:
    ((kind, argument),) = condition.items()
    if kind == "one_of":
        assert isinstance(argument, list)
        return found in argument
    if kind == "above":
        return bool(found > argument)
    return not found if kind == "empty" else True


def _lacking(given: Mapping[str, Any], listed: Sequence[str]) -> tuple[str, ...]:
    return tuple(key for key in given if key not in listed)
