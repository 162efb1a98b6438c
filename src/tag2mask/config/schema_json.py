"""The JSON schema of configuration files, by which editors complete and check them.

    python -m tag2mask.config.schema_json

writes it to schema.json beside this file, which comes with the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tag2mask.config.schema import Config

SCHEMA = Path(__file__).with_name("schema.json")


def json_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12). `needs` says on which options one depends."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "tag2mask configuration",
        "description": "Everything that a run depends on besides the dataset.",
    }


def schema_text() -> str:
    """The schema as text."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
