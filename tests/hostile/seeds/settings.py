"""Files of the project's own: settings, the stored dataset, the table of uncertainty."""

from __future__ import annotations

from pathlib import Path

import yaml

from tag2mask.config import Config, load_config
from tag2mask.inference.review import TABLE, read_review
from tests.hostile.seeds.seed import Seed


def _settings() -> dict[str, bytes]:
    return {"settings.yaml": yaml.safe_dump(Config().model_dump(mode="json")).encode()}


def _uncertainty() -> dict[str, bytes]:
    rows = "".join(f"p{index}.jpg,0.{index}1,0.2,0.3,0.4\n" for index in range(6))
    return {TABLE: f"image,uncertainty,heads,views,tags\n{rows}".encode()}


def _read_settings(root: Path) -> Config:
    return load_config(root / "settings.yaml")


SEEDS: dict[str, Seed] = {
    "settings": Seed(_settings, "settings.yaml", _read_settings),
    "uncertainty": Seed(_uncertainty, TABLE, read_review),
}
