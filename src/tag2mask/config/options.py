"""What options need: on which value of which other option each depends, declared in its `Field`.

    soft_prior: float = Field(0.6, json_schema_extra=needs({"paper.background": one_of("soft")}))

The declaration is plain JSON, so that it also stands in the JSON schema and in docs/settings.md.
`tag2mask.config.dependencies` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Percentile = Annotated[float, Field(ge=0.0, le=100.0)]
Band = Annotated[int, Field(ge=1, le=65_535)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]

Condition: TypeAlias = dict[str, JsonValue]
"""One key and its argument: `one_of`, `above`, `empty` or `has_keys`."""

EMPTY: Condition = {"empty": True}
"""The other option is an empty list."""
HAS_KEYS: Condition = {"has_keys": True}
"""The other option lists every key of this one."""


def one_of(*values: str | bool) -> Condition:
    """The other option has one of these values; the first is the one that an error message proposes."""
    return {"one_of": list(values)}


def above(value: float) -> Condition:
    """The other option is above this number."""
    return {"above": value}


def needs(conditions: Mapping[str, Condition], *, instead: Mapping[str, str] | None = None) -> dict[str, JsonValue]:
    """Declare that an option has an effect only where other options, by dotted name, meet all these conditions.

    Args:
        conditions: by the dotted name of the other option.
        instead: by the name of one of them, what to use where it is not met: a clause for the error message.
    """
    declared: dict[str, JsonValue] = {"needs": {name: dict(condition) for name, condition in conditions.items()}}
    return declared | ({"instead": dict(instead)} if instead else {})


class Section(BaseModel):
    """Options that belong together: frozen, and an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def declared_needs(extra: Any) -> dict[str, Condition]:
    """The conditions in a field's `json_schema_extra`, by dotted name."""
    return dict(extra.get("needs", {})) if isinstance(extra, dict) else {}
