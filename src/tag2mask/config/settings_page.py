"""The page of the documentation that lists every setting.

python -m tag2mask.config.settings_page > docs/settings.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tag2mask.config.dependencies import as_yaml, options, value_of, words
from tag2mask.config.options import declared_needs
from tag2mask.config.schema import Config, CrfConfig

MARK = "<!-- Below: written by `python -m tag2mask.config.settings_page docs/settings.md`; change the code instead. -->"


def settings_tables() -> str:
    """A table for each section, in Markdown."""
    lines = []
    defaults = Config()
    for name in Config.model_fields:
        section = getattr(defaults, name)
        lines += [f"## {name}", "", _document(type(section)), "", *_table(defaults, name), ""]
    lines += ["## CRF", "", _document(CrfConfig), "", "Of `masks.crf` and `prediction.crf` alike:", "", *_crf(defaults)]
    return "\n".join(lines) + "\n"


def _table(defaults: Config, section: str) -> Iterator[str]:
    yield "| setting | default | range | meaning |"
    yield "|---|---|---|---|"
    schema = type(getattr(defaults, section)).model_json_schema()
    for name, info in options(type(getattr(defaults, section))):
        if "." in name:
            continue
        full = f"{section}.{name}"
        yield _row(f"`{full}`", f"`{as_yaml(value_of(defaults, full))}`", schema["properties"][name], info)


def _crf(defaults: Config) -> Iterator[str]:
    yield "| setting | default of masks | of prediction | range | meaning |"
    yield "|---|---|---|---|---|"
    schema = CrfConfig.model_json_schema()
    for name, info in options(CrfConfig):
        both = (as_yaml(value_of(defaults, f"{part}.crf.{name}")) for part in ("masks", "prediction"))
        yield _row(f"`crf.{name}`", " | ".join(f"`{value}`" for value in both), schema["properties"][name], info)


def _row(name: str, default: str, schema: Mapping[str, Any], info: FieldInfo) -> str:
    meaning = str(info.description)
    conditions = declared_needs(info.json_schema_extra)
    if conditions:
        meaning += ". Needs " + ", ".join(f"`{other}{words(condition)}`" for other, condition in conditions.items())
    return f"| {name} | {default} | {_range(schema)} | {meaning} |"


def _range(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return "mapping"
    if "anyOf" in schema:
        return " or ".join(_range(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        return f"{'pair' if 'prefixItems' in schema else 'list'} of: {_range(items)}"
    names = {"boolean": "true, false", "null": "empty", "string": "text", "object": "mapping"}
    return names.get(str(kind), "") or _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema or "exclusiveMaximum" in schema:
        parts = [f"above {_number(schema['exclusiveMinimum'])}"] if "exclusiveMinimum" in schema else []
        parts += [f"{_number(low)} or more"] if low is not None else []
        parts += [f"below {_number(schema['exclusiveMaximum'])}"] if "exclusiveMaximum" in schema else []
        return ", ".join([*parts, f"up to {_number(high)}"] if high is not None else parts)
    if low is None:
        return "whole number" if schema["type"] == "integer" else "number"
    return f"{_number(low)} or more" if high is None else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e5 else str(int(value))


def _document(kind: type[BaseModel]) -> str:
    return " ".join(str(kind.__doc__).split())


if __name__ == "__main__":
    page = Path(sys.argv[1])
    head, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    page.write_text(f"{head}{mark}\n\n{settings_tables()}", encoding="utf-8")
