"""The page of the documentation that lists every setting.

python -m tag2mask.config.settings_page > docs/settings.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tag2mask.config.dependencies import as_yaml, options, value_of, words
from tag2mask.config.options import declared_needs
from tag2mask.config.schema import Config, CrfConfig

_HEAD = """# Settings

<!-- Written by `python -m tag2mask.config.settings_page`; change the code, not this page. -->

Any setting can be given in a YAML file (`--config`), by section:

```yaml
data: {image_size: 256}
prediction: {gate: 0.1}
```

or singly, `--set data.image_size=256`; from Python `Config().override({"data.image_size": 256})`.
`tag2mask config --config FILE --set NAME=VALUE` prints every setting as resolved.
Which ones matter most is in the [guide](guide.md#settings).

Editors complete and check such files by their JSON schema: `tag2mask config --schema > tag2mask.json`, and
`# yaml-language-server: $schema=tag2mask.json` as the first line of the YAML file.

A setting that would have no effect is an error: the column *meaning* says what a setting needs. A part that is switched
off (`masks.crf.enabled=false`, `training.supervision=masks`) is no reason to refuse its settings.
"""


def settings_page() -> str:
    """The page in Markdown: a table for each section."""
    lines = [_HEAD]
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
    print(settings_page(), end="")
