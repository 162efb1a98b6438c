"""What is generated from the settings is what lies in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tag2mask.config.dependencies import options
from tag2mask.config.load import PRESETS
from tag2mask.config.schema import Config
from tag2mask.config.schema_json import SCHEMA, json_schema
from tag2mask.config.settings_page import MARK, settings_tables

ROOT = Path(__file__).parents[2]


def test_the_schema_that_is_shipped_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema(), "run python -m tag2mask.config.schema_json"


def test_the_page_of_settings_is_that_of_the_code() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    expected = settings_tables()
    assert written.partition(MARK)[2].strip() == expected.strip(), (
        "run python -m tag2mask.config.settings_page docs/settings.md"
    )


def test_every_setting_is_described_and_on_the_page() -> None:
    page = settings_tables()
    for name, info in options(Config):
        assert info.description, name
        section, _, rest = name.partition(".")
        assert f"`{rest}`" in page or f"`{section}.{rest}`" in page, name


@pytest.mark.parametrize(
    "path", [*PRESETS.glob("*.yaml"), *(ROOT / "configs").glob("*.yaml")], ids=lambda path: path.name
)
def test_the_schema_accepts_committed_configurations_and_refuses_mistakes(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json_schema())
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert not list(check.iter_errors(tree))
    assert list(check.iter_errors({**tree, "traning": {}}))
    assert list(check.iter_errors({**tree, "data": {"image_size": 3}}))
